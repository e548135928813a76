"""A gaze network small enough to build in every test."""

import pytest
import torch

from gaze.models import GazeNetwork, ModelConfig, build_network
from gaze.models.config import BackboneConfig, FinalizerConfig, InputConfig, ReadoutConfig


def small_config(**backbone) -> ModelConfig:
    """LCNet-035, a quarter of a million parameters, random, tapped at strides 8, 16 and 32."""
    settings = {
        "name": "lcnet_035",
        "taps": [2, 3, 4],
        "weights": "none",
        "reparameterize": False,
        "activation": None,
        "skip": [],
        **backbone,
    }
    return ModelConfig(
        "small",
        InputConfig(64, 16),
        BackboneConfig(**settings),
        ReadoutConfig(8, [4, 1]),
        FinalizerConfig(1.0, [3, 4]),
    )


@pytest.fixture
def network() -> GazeNetwork:
    torch.manual_seed(0)
    return build_network(small_config()).eval()
