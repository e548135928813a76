"""Gaze networks of every architecture that can be pruned, and small ones of each kind."""

from collections.abc import Callable

import pytest
import timm
import torch
from timm.models import FeatureListNet
from timm.models.vgg import VGG
from torch import nn

from gaze.models import GazeNetwork, ModelConfig, build_network
from gaze.models.backbone import Backbone
from gaze.models.config import BackboneConfig, FinalizerConfig, InputConfig, ReadoutConfig
from gaze.models.finalizer import Finalizer
from gaze.models.readout import Readout

ARCHITECTURES = {
    **{f"{name}{norm}": [3, 4] for name in ("vgg11", "vgg13", "vgg16", "vgg19") for norm in ("", "_bn")},
    "densenet121": [2, 3],
    "densenet169": [3],
    "densenet201": [3, 4],
    "tf_efficientnetv2_b0": [2, 3, 4],
    "mobileone_s0": [1, 2, 3],
    "lcnet_035": [2, 3, 4],
}
SMALL = ("vgg", "vgg_bn", "densenet", "lcnet", "mobilenet")


def live(network: GazeNetwork, seed: int = 0) -> GazeNetwork:
    """Random weights that every map's value depends on: BatchNorms that shift, and activations of about 1."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (2, 64, 64, 3), generator=generator, dtype=torch.uint8)
    hooks = [m.register_forward_hook(standardize) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
            for values in (norm.weight, norm.bias, norm.running_mean):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.2)
        network(images)
    for hook in hooks:
        hook.remove()
    return network.eval()


def standardize(convolution: nn.Conv2d, _, output: torch.Tensor) -> torch.Tensor:
    """Makes a convolution's output vary by 1, and around 1/2 if there is a bias to do it."""
    spread = output.std().clamp(min=0.1)
    convolution.weight.div_(spread)
    output = output / spread
    if convolution.bias is None:
        return output
    center = output.mean((0, 2, 3))
    convolution.bias.div_(spread).add_(0.5 - center)
    return output + (0.5 - center)[:, None, None]


def build(name: str) -> GazeNetwork:
    """A network as `build_network` makes it, random."""
    torch.manual_seed(0)
    backbone = BackboneConfig(name, ARCHITECTURES[name], "none", name.startswith("mobileone"), None, [])
    readout, finalizer = ReadoutConfig(8, [4, 1]), FinalizerConfig(1.0, [3, 4])
    return live(build_network(ModelConfig(name, InputConfig(64, 16), backbone, readout, finalizer)))


def build_small(kind: str, reduce: int | None = 4) -> GazeNetwork:
    """A network of a few thousand weights around a backbone that timm builds from smaller numbers."""
    torch.manual_seed(0)
    features = {
        "vgg": lambda: tapped_vgg(False),
        "vgg_bn": lambda: tapped_vgg(True),
        "densenet": lambda: timm.create_model(
            "densenet121", growth_rate=4, block_config=(2, 3), features_only=True, out_indices=(1, 2)
        ),
        "lcnet": lambda: timm.create_model("lcnet_035", features_only=True, out_indices=(2, 4)),
        "cut short": lambda: timm.create_model("lcnet_035", features_only=True, out_indices=(1, 2)),
        "mobilenet": lambda: timm.create_model("mobilenetv3_small_050", features_only=True, out_indices=(2, 4)),
    }[kind]()  # fmt: skip
    backbone = Backbone(features, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    readout = Readout(backbone.channels, reduce, [4, 1])
    described = BackboneConfig(kind, [1, 2], "none", False, None, [])  # of no model that timm has by name
    config = ModelConfig(
        kind, InputConfig(64, 16), described, ReadoutConfig(reduce, [4, 1]), FinalizerConfig(1.0, [3, 4])
    )
    return live(GazeNetwork(config, backbone, readout, Finalizer(1.0, (3, 4))))


def tapped_vgg(norm: bool) -> nn.Module:
    model = VGG(cfg=[6, "M", 8, 8, "M", 10], num_classes=0, norm_layer=nn.BatchNorm2d if norm else None, mlp_ratio=0.01)
    return FeatureListNet(model, out_indices=(1, 2), flatten_sequential=True)


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest) -> GazeNetwork:
    return build_small(request.param)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (4, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(
    params=[pytest.param(name, marks=[] if "lcnet" in name else pytest.mark.slow) for name in ARCHITECTURES]
)
def architecture(request: pytest.FixtureRequest) -> GazeNetwork:
    return build(request.param)


@pytest.fixture
def small_kind() -> Callable[..., GazeNetwork]:
    return build_small
