"""Pretrained feature extractors from timm, tapped at one or several depths."""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import Conv2dSame
from timm.layers.activations import GELU
from timm.models import FeatureListNet
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from gaze.errors import ConfigError, ModelError, expect
from gaze.models.config import PRETRAINED, RANDOM, RELU, WEIGHTS, BackboneConfig

SMOOTH = (nn.SiLU, nn.Hardswish, nn.GELU, GELU)
"""Activations that ReLU may take the place of."""

LEAST = 64
"""Pixels of the sides of an image that every network takes."""


class Backbone(nn.Module):
    """Feature maps of a timm model, cut off behind the deepest tap.

    BatchNorm keeps its running statistics while training: gaze sets are small, and so are their batches.

    Attributes:
        scaled: whether pixels are divided by their standard deviations, or the first convolution does that.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.features = features
        self.scaled = True
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(1, 3, 1, 1))
        module: Any
        for module in self.modules():  # an in-place activation would overwrite the tap before it
            if hasattr(module, "inplace"):
                module.inplace = False
        self.train()

    @property
    def channels(self) -> list[int]:
        """Maps of each tap, as they are now: pruning removes some."""
        return [tap.shape[1] for tap in self._example()]

    @property
    def strides(self) -> list[int]:
        """Pixels of the image that a cell of each tap covers, each way."""
        return [LEAST // tap.shape[2] for tap in self._example()]

    @torch.no_grad()
    def fixed_strides(self, multiple: int) -> list[int | None]:
        """Those strides that divide every image whose sides are multiples of `multiple`; None of the other taps."""
        many = max(5, math.ceil(LEAST / multiple))
        sides = (many * multiple, (many + 1) * multiple)  # what divides both divides every image
        taps = self(torch.zeros(1, *sides, 3, dtype=torch.uint8, device=self.mean.device))
        exact = [tuple(side / stride for side in sides) for stride in self.strides]
        return [
            stride if tuple(tap.shape[2:]) == size else None
            for stride, tap, size in zip(self.strides, taps, exact, strict=True)
        ]

    @torch.no_grad()
    def fold_scale(self) -> None:
        """Divides the weights of the first convolution by the standard deviations instead of the pixels.

        It does so where that is a plain one that alone reads the pixels and mixes all their colors.
        """
        readers: list[nn.Module] = []
        entering: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(
                lambda layer, inputs: readers.append(layer) if inputs and inputs[0] is entering[0] else None
            )
            for layer in self.features.modules()
            if not list(layer.children())
        ]
        first = self.features.register_forward_pre_hook(lambda layer, inputs: entering.append(inputs[0]))
        self._example()
        for hook in [*hooks, first]:
            hook.remove()
        for layer in readers:
            if type(layer) not in (nn.Conv2d, Conv2dSame):  # others may do something to their weights first
                continue
            assert isinstance(layer, nn.Conv2d)
            if len(readers) == 1 and layer.in_channels == 3 and layer.groups == 1:
                layer.weight.div_(self.std)
                self.scaled = False

    @torch.no_grad()
    def _example(self) -> list[Tensor]:
        return self(torch.zeros(1, LEAST, LEAST, 3, dtype=torch.uint8, device=self.mean.device))

    def forward(self, images: Tensor) -> list[Tensor]:
        """uint8 RGB images, B x H x W x 3, to one B x C x H/stride x W/stride float tensor a tap."""
        pixels = images.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean
        return self.features(pixels / self.std if self.scaled else pixels)

    def train(self, mode: bool = True) -> "Backbone":
        """Sets the mode, but keeps BatchNorm on its running statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def build_backbone(config: BackboneConfig) -> Backbone:
    """Builds the extractor that `config` describes and loads its weights.

    Raises:
        ConfigError: see `set_activation` and `leave_out`.
        ModelError: timm does not know the model or the tap, or the weights are missing or belong to another model.
    """
    if config.name not in timm.list_models():
        near = ", ".join(timm.list_models(f"*{config.name.split('_')[0]}*")[:5]) or "see timm.list_models()"
        raise ModelError(f"model.backbone.name={config.name}: timm has no such model (near it: {near})")
    features = _tapped(config)
    if config.reparameterize:
        features = reparameterize_model(features.eval())
    if config.weights not in (PRETRAINED, RANDOM):
        load_weights(features, Path(config.weights))
    set_activation(features, config.activation)
    settings: Any = timm.get_pretrained_cfg(config.name)
    backbone = Backbone(features, settings.mean, settings.std)
    leave_out(backbone, config.skip)
    return backbone


def set_activation(network: nn.Module, activation: str | None) -> None:
    """Puts ReLU in place of every smooth activation; gates (sigmoids) stay. None changes nothing.

    Raises:
        ConfigError: `activation` is neither `relu` nor None.
    """
    expect(activation in (RELU, None), "model.backbone.activation", f"{RELU} or null", activation)
    for module in list(network.modules()) if activation else ():
        for name, child in module.named_children():
            if isinstance(child, SMOOTH):
                setattr(module, name, nn.ReLU())


def leave_out(backbone: Backbone, patterns: Sequence[str]) -> None:
    """Puts the identity in place of modules: of residual blocks that pruning left thin, of squeeze-and-excitation.

    A module costs an engine its calls however thin it is. What follows has to be trained on.

    Args:
        backbone: changed in place.
        patterns: glob patterns of timm's names of the modules, such as `blocks.5.[1-7]` or `*.se`.

    Raises:
        ConfigError: no module fits a pattern, or one that fits changes the shape of what it is given.
    """
    for pattern in patterns:
        names = [name for name, _ in backbone.features.named_modules() if name and fnmatchcase(name, pattern)]
        if not names:
            raise ConfigError(f"model.backbone.skip: the network has no module {pattern}")
        for name in names:
            parent, _, child = name.rpartition(".")
            setattr(backbone.features.get_submodule(parent), child, nn.Identity())
        try:
            backbone.channels  # noqa: B018
        except RuntimeError as error:
            raise ConfigError(
                f"model.backbone.skip={pattern}: expected modules that keep the shape of what they are given "
                f"({_first_line(error)})"
            ) from error


def _tapped(config: BackboneConfig) -> nn.Module:
    by_name = any(isinstance(tap, str) for tap in config.taps)
    try:
        options: dict[str, Any] = (
            {"num_classes": 0} if by_name else {"features_only": True, "out_indices": tuple(config.taps)}
        )
        model: Any = timm.create_model(config.name, pretrained=config.weights == PRETRAINED, **options)
        if not by_name:
            return model
        model.feature_info = [
            {"num_chs": 1, "reduction": 1, "module": str(tap)} for tap in config.taps
        ]  # measured below
        return FeatureListNet(model, out_indices=tuple(range(len(config.taps))), flatten_sequential=True)
    except (AssertionError, IndexError, KeyError) as error:
        raise ModelError(
            f"model.backbone.taps={config.taps}: {config.name} cannot be tapped there ({error})"
        ) from error
    except (
        OSError,
        RuntimeError,
    ) as error:  # what timm and the hub's client raise without a network or a file
        raise ModelError(
            f"the pretrained weights of {config.name} cannot be had from timm's hub ({_first_line(error)}); give a "
            "safetensors file with model.backbone.weights=PATH, or model.backbone.weights=none for random weights"
        ) from error


def load_weights(features: nn.Module, path: Path) -> None:
    """Loads a safetensors file with timm's keys into a tapped model, cast to float32; every tensor must be there.

    timm renames `features.conv0` to `features_conv0` when it taps a model, so keys are compared without their dots.

    Raises:
        ModelError: the file is missing or damaged, or lacks a tensor of the model, or has it in another shape.
    """
    if not path.is_file():
        raise ModelError(f"model.backbone.weights={path}: no such file; expected {WEIGHTS}")
    try:
        stored = {key.replace(".", "_"): value for key, value in load_file(path).items()}
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({_first_line(error)})") from error
    state = features.state_dict()
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        found = stored.get(key.replace(".", "_"))
        if found is None or found.shape != value.shape:
            came = "is not in the file" if found is None else f"has shape {tuple(found.shape)} in the file"
            raise ModelError(
                f"{path}: {key} {came}, expected {tuple(value.shape)}: are these weights of another model?"
            )
        state[key] = found.to(value.dtype)
    features.load_state_dict(state)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
