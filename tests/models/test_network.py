"""The whole network, as the configuration describes it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import gaze.conf
from gaze.errors import ConfigError
from gaze.models import ModelConfig, build_network

CONF = Path(gaze.conf.__file__).parent / "model"


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_configured_model_builds_and_returns_a_density(name):
    values = OmegaConf.merge(OmegaConf.structured(ModelConfig), OmegaConf.load(CONF / f"{name}.yaml"))
    values.backbone.weights = "none"
    network = build_network(OmegaConf.to_object(values)).eval()
    with torch.no_grad():
        density = network(torch.full((2, 64, 96, 3), 128, dtype=torch.uint8)).exp()
    assert density.shape == (2, 16, 24)
    torch.testing.assert_close(density.sum((1, 2)), torch.ones(2))


def test_one_image_does_not_change_another(network):
    images = torch.randint(0, 256, (3, 64, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        together, alone = network(images), torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_readout_and_center_bias_that_cannot_be_are_named(network):
    config = network.config
    with pytest.raises(ConfigError, match=r"model\.readout\.channels: expected .* the last is 1, .*, got \[16, 2\]"):
        build_network(replace(config, readout=replace(config.readout, channels=[16, 2])))
    with pytest.raises(ConfigError, match=r"model\.finalizer\.center_bias: expected \[rows, columns\], .*, got \[12\]"):
        build_network(replace(config, finalizer=replace(config.finalizer, center_bias=[12])))
