"""The benchmark that turns an exported network back into a checkpoint."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gaze.models import build_network
from gaze.models.config import HeadsConfig, PreferenceConfig
from gaze.models.onnx import export_onnx, rounded
from gaze.pruning.structure.groups import find_groups
from gaze.pruning.structure.surgery import remove
from tests.models.conftest import small_config

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from checkpoint_of_export import is_same, reopened

CONFIG = replace(small_config(), heads=HeadsConfig(6, [5], 0.5), preference=PreferenceConfig(4, [3]))


@pytest.fixture
def exported(tmp_path):
    """A pruned network and its file."""
    torch.manual_seed(0)
    network = build_network(CONFIG).eval()
    for group in find_groups(network)[::3]:
        if group.maps > 2:
            remove(network, {group.name: [1]})
    network = rounded(network)
    export_onnx(network, tmp_path / "net.onnx")
    return network, tmp_path / "net.onnx"


def test_the_network_comes_back(exported):
    network, path = exported
    again = reopened(path, CONFIG)
    images = torch.randint(0, 256, (1, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = network.outputs(images), again.outputs(images)
    assert one.keys() == other.keys() == {"log_density", "heads", "preference"}
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=1e-4)
    assert is_same(again, path)


def test_another_network_is_seen_to_be_another(exported):
    _, path = exported
    again = reopened(path, CONFIG)
    with torch.no_grad():
        again.readout.layers[0].weight[0] *= 1.001
    assert not is_same(again, path)
