"""How many feature maps each layer reads and writes: what pruning changes and every checkpoint carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gaze.errors import ModelError

BatchNorm = nn.modules.batchnorm._BatchNorm
MIXES = (nn.Conv2d, nn.Linear)
"""Layers that write maps from others."""


@dataclass(frozen=True)
class Kept:
    """Indices of the maps that a layer goes on reading and writing; None keeps them all."""

    inputs: Tensor | None = None
    outputs: Tensor | None = None


@dataclass(frozen=True)
class Replaced:
    """A parameter before and after, and what was kept of each of its first dimensions (None: all)."""

    old: nn.Parameter
    new: nn.Parameter
    indices: tuple[Tensor | None, ...]


def widths(network: nn.Module) -> dict[str, list[int]]:
    """Maps read and written, [inputs, outputs], of convolutions and linear layers by name, and [maps] of BatchNorms."""
    return {name: _width(layer) for name, layer in network.named_modules() if isinstance(layer, (*MIXES, BatchNorm))}


def set_widths(network: nn.Module, stored: Mapping[str, Sequence[int]]) -> None:
    """Narrows a network to the `widths` of another one, for that one's weights to be loaded.

    Raises:
        ModelError: `stored` names a layer that the network lacks, or is wider than it.
    """
    layers = dict(network.named_modules())
    for name, width in stored.items():
        if name not in layers:
            raise ModelError(f"widths: the network has no layer {name}")
        full = _width(layers[name])
        if len(width) != len(full) or not all(0 < n <= limit for n, limit in zip(width, full, strict=True)):
            raise ModelError(f"widths of {name}: expected at most {full}, got {list(width)}")
        if list(width) != full:
            inputs = None if _by_map(layers[name]) else torch.arange(width[0])
            select(layers[name], Kept(inputs, torch.arange(width[-1])))


def select(layer: nn.Module, kept: Kept) -> list[Replaced]:
    """Cuts a convolution, linear layer or BatchNorm down to some of its maps: weights, biases and statistics.

    Returns:
        The parameters that took the place of the old ones.
    """
    dense = not _by_map(layer)
    replaced = []
    for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
        if not tensor.ndim:  # the number of batches seen
            continue
        indices = (kept.outputs, kept.inputs) if dense and name == "weight" else (kept.outputs,)
        part = take(tensor.detach(), indices)
        if isinstance(tensor, nn.Parameter):
            part = nn.Parameter(part, tensor.requires_grad)
            replaced.append(Replaced(tensor, part, indices))
        setattr(layer, name, part)
    _count(layer, dense, kept)
    return replaced


def take(tensor: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """A copy of what `indices` name along the first dimensions."""
    for dimension, index in enumerate(indices):
        if index is not None:
            tensor = tensor.index_select(dimension, index.to(tensor.device))
    return tensor.clone()


def _count(layer: Any, dense: bool, kept: Kept) -> None:
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.Conv2d):
        layer.out_channels = len(layer.weight)
        layer.in_channels = layer.weight.shape[1] if dense else layer.out_channels
        layer.groups = 1 if dense else layer.out_channels
    elif kept.outputs is not None:
        layer.num_features = len(kept.outputs)


def _width(layer: Any) -> list[int]:
    if isinstance(layer, nn.Linear):
        return [layer.in_features, layer.out_features]
    return [layer.in_channels, layer.out_channels] if isinstance(layer, nn.Conv2d) else [layer.num_features]


def _by_map(layer: nn.Module) -> bool:
    """Whether each map that the layer writes comes of one map alone: BatchNorm, depthwise convolution."""
    return isinstance(layer, BatchNorm) or (isinstance(layer, nn.Conv2d) and layer.groups > 1)
