"""How many feature maps each layer reads and writes: what pruning changes and every checkpoint carries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gaze.errors import ModelError

BatchNorm = nn.modules.batchnorm._BatchNorm
WAS_DEPTHWISE = "was_depthwise"
"""Attribute of a convolution whose width was changed."""
MIXES = (nn.Conv2d, nn.Linear)
"""Layers that write maps from others."""


@dataclass(frozen=True)
class Kept:
    """Indices of the maps that a layer goes on reading and writing; None keeps them all."""

    inputs: Tensor | None = None
    outputs: Tensor | None = None


@dataclass(frozen=True)
class Replaced:
    """A parameter before and after.

    Attributes:
        indices: along each of its first dimensions, what the wider of the two shares with the other (None: all).
        grown: whether the new one is the wider.
    """

    old: nn.Parameter
    new: nn.Parameter
    indices: tuple[Tensor | None, ...]
    grown: bool = False

    def carry(self, value: Tensor) -> Tensor:
        """What goes with the new parameter of a tensor that went with the old one: zeros where maps joined."""
        return put(value, self.indices, value.new_zeros(self.new.shape)) if self.grown else take(value, self.indices)


def widths(network: nn.Module) -> dict[str, list[int]]:
    """Maps read and written, [inputs, outputs], of convolutions and linear layers by name, and [maps] of BatchNorms."""
    return {name: _width(layer) for name, layer in network.named_modules() if isinstance(layer, (*MIXES, BatchNorm))}


def set_widths(network: nn.Module, stored: Mapping[str, Sequence[int]]) -> None:
    """Brings a network to the `widths` of another one, for that one's weights to be loaded: maps that join are zeros.

    Raises:
        ModelError: `stored` names a layer that the network lacks, or a width that none can have.
    """
    layers = dict(network.named_modules())
    for name, width in stored.items():
        if name not in layers:
            raise ModelError(f"widths: the network has no layer {name}")
        has = _width(layers[name])
        if len(width) != len(has) or min(width) < 1:
            expected = "[maps read, maps written]" if len(has) > 1 else "[maps]"
            raise ModelError(f"widths of {name}: expected {expected}, each at least 1, got {list(width)}")
        if list(width) != has:
            _set_width(layers[name], width, has)


def select(layer: nn.Module, kept: Kept) -> list[Replaced]:
    """Cuts a convolution, linear layer or BatchNorm down to some of its maps: weights, biases and statistics.

    Returns:
        The parameters that took the place of the old ones.
    """
    parts = {name: (take(t.detach(), indices), indices) for name, t, indices in _tensors(layer, kept)}
    return _replace(layer, parts, grown=False)


def widen(layer: nn.Module, kept: Kept, values: Mapping[str, Tensor]) -> list[Replaced]:
    """Has maps join a convolution, linear layer or BatchNorm: the inverse of `select`.

    Args:
        layer: changed in place.
        kept: where the maps that it has stand among those that it will have; `select` would undo it with that.
        values: of its parameters and buffers, by name, as wide as they become; what they are of maps that join. The
            rest is overwritten by what the layer has.

    Returns:
        The parameters that took the place of the old ones.
    """
    parts = {name: (put(t.detach(), indices, values[name]), indices) for name, t, indices in _tensors(layer, kept)}
    return _replace(layer, parts, grown=True)


def take(tensor: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """A copy of what `indices` name along the first dimensions."""
    for dimension, index in enumerate(indices):
        if index is not None:
            tensor = tensor.index_select(dimension, index.to(tensor.device))
    return tensor.clone()


def put(tensor: Tensor, indices: Sequence[Tensor | None], wide: Tensor) -> Tensor:
    """The inverse of `take`: writes a tensor into a wider one, in place, where `indices` say, and returns that."""
    every = [torch.arange(n) if index is None else index for index, n in zip(indices, tensor.shape, strict=False)]
    wide[torch.meshgrid([index.to(wide.device) for index in every], indexing="ij")] = tensor.to(wide)
    return wide


def shapes(layer: nn.Module, width: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shapes that a layer's parameters and buffers have, by name, where it has a width as `widths` tells it."""
    everything = Kept(torch.arange(0), torch.arange(0))
    return {
        name: (*(width[-1 - d] for d in range(len(indices))), *tensor.shape[len(indices) :])
        for name, tensor, indices in _tensors(layer, everything)
    }


Tensors = Iterator[tuple[str, Tensor, tuple[Tensor | None, ...]]]


def _tensors(layer: nn.Module, kept: Kept) -> Tensors:
    """What a layer has of each map, by name, and what of its first dimensions is kept."""
    dense = not _by_map(layer)
    for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
        if tensor.ndim:  # not the number of batches seen
            yield name, tensor, (kept.outputs, kept.inputs) if dense and name == "weight" else (kept.outputs,)


def _replace(
    layer: nn.Module, parts: Mapping[str, tuple[Tensor, tuple[Tensor | None, ...]]], grown: bool
) -> list[Replaced]:
    replaced, dense = [], not _by_map(layer)
    for name, (part, indices) in parts.items():
        old: Tensor = getattr(layer, name)
        if isinstance(old, nn.Parameter):
            part = nn.Parameter(part, old.requires_grad)
            replaced.append(Replaced(old, part, indices, grown))
        setattr(layer, name, part)
    _count(layer, dense)
    return replaced


def _set_width(layer: nn.Module, width: Sequence[int], has: Sequence[int]) -> None:
    """The first maps stay, and zeros join where there are more to be."""
    reads, writes = (torch.arange(min(width[side], has[side])) for side in (0, -1))
    kept = Kept(None if _by_map(layer) else reads, writes)
    select(layer, kept)
    values = {name: getattr(layer, name).detach().new_zeros(shape) for name, shape in shapes(layer, width).items()}
    widen(layer, kept, values)


def depthwise(layer: nn.Conv2d) -> bool:
    """Whether each map that a convolution writes comes of one map of its own.

    One that has been cut down to a single map looks like a dense one, so it remembers.
    """
    alone = layer.groups > 1 or getattr(layer, WAS_DEPTHWISE, False)
    return alone and layer.groups == layer.in_channels == layer.out_channels


def _count(layer: Any, dense: bool) -> None:
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.Conv2d):
        setattr(layer, WAS_DEPTHWISE, not dense)
        layer.out_channels = len(layer.weight)
        layer.in_channels = layer.weight.shape[1] if dense else layer.out_channels
        layer.groups = 1 if dense else layer.out_channels
    elif (held := layer.weight if layer.running_mean is None else layer.running_mean) is not None:
        layer.num_features = len(held)


def _width(layer: Any) -> list[int]:
    if isinstance(layer, nn.Linear):
        return [layer.in_features, layer.out_features]
    return [layer.in_channels, layer.out_channels] if isinstance(layer, nn.Conv2d) else [layer.num_features]


def _by_map(layer: nn.Module) -> bool:
    """Whether each map that the layer writes comes of one map alone: BatchNorm, depthwise convolution."""
    return isinstance(layer, BatchNorm) or (isinstance(layer, nn.Conv2d) and depthwise(layer))
