"""Learning rates, their groups and their schedule."""

import numpy as np
import pytest

from gaze.models import ModelConfig, build_network
from gaze.models.config import BackboneConfig, FinalizerConfig, InputConfig, ReadoutConfig
from gaze.training.config import OptimConfig
from gaze.training.lightning_module import parameter_groups, warmup_cosine


def test_rate_rises_in_a_line_and_falls_as_a_cosine():
    rates = [warmup_cosine(100, 0.1, step) for step in range(101)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], 0.5 * (1 + np.cos(np.pi * np.arange(91) / 90)), atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_few_steps_has_a_rate_for_each_and_for_those_beyond(steps):
    assert all(0 <= warmup_cosine(steps, 0.1, step) <= 1 for step in range(steps + 3))
    assert warmup_cosine(steps, 0.1, 0) == 1


def test_every_parameter_is_in_one_group_and_only_convolutions_decay():
    config = ModelConfig(
        "small",
        InputConfig(64, 16),
        BackboneConfig("lcnet_035", [2, 3], "none", False, None, []),
        ReadoutConfig(8, [4, 1]),
        FinalizerConfig(1.0, [3, 4]),
    )
    network = build_network(config)
    groups = parameter_groups(network, OptimConfig(0.1, 0.2, 0.3, 0.0))
    grouped = {id(p): group for group in groups for p in group["params"]}
    assert len(grouped) == sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        group = grouped[id(parameter)]
        assert group["lr"] == (0.1 if name.startswith("backbone.") else 0.2), name
        assert group["weight_decay"] == (0.3 if parameter.ndim == 4 else 0.0), name
