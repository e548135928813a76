"""Widths and weights of a network at one moment, to go back to: the widening that undoes a removal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gaze.models.widths import BatchNorm, Replaced


@dataclass(frozen=True)
class Snapshot:
    """A copy of what pruning changes.

    Attributes:
        tensors: parameters and persistent buffers, by name.
        channels: of each convolution, by name: maps read, maps written, groups.
    """

    tensors: dict[str, Tensor]
    channels: dict[str, list[int]]

    @classmethod
    def of(cls, network: nn.Module) -> "Snapshot":
        """The network as it is now."""
        tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}
        convolutions = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
        return cls(tensors, {name: [m.in_channels, m.out_channels, m.groups] for name, m in convolutions.items()})

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, for `load`."""
        return dict(vars(self))

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Snapshot":
        """The snapshot of a `state_dict`."""
        return cls(dict(state["tensors"]), dict(state["channels"]))


class Restoration:
    """The change that gives a network the widths and weights of a snapshot; made when it is built.

    Attributes:
        replaced: the parameters that took the place of narrower ones; what an optimiser knew of those is lost.
    """

    def __init__(self, snapshot: Snapshot, network: nn.Module) -> None:
        self.snapshot = snapshot
        self.replaced = self.apply(network)

    @torch.no_grad()
    def apply(self, network: nn.Module) -> list[Replaced]:
        """See `Change.apply`."""
        swapped = [_put(network, name, value) for name, value in self.snapshot.tensors.items()]
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                layer.in_channels, layer.out_channels, layer.groups = self.snapshot.channels[name]
            elif isinstance(layer, nn.Linear):
                layer.out_features, layer.in_features = layer.weight.shape
            elif isinstance(layer, BatchNorm):
                held = layer.weight if layer.running_mean is None else layer.running_mean
                layer.num_features = layer.num_features if held is None else len(held)
        return [change for change in swapped if change]


def _put(network: nn.Module, name: str, value: Tensor) -> Replaced | None:
    """Sets a parameter or a buffer: in place where the shape is the same."""
    path, _, own = name.rpartition(".")
    layer = network.get_submodule(path)
    old: Tensor = getattr(layer, own)
    if old.shape == value.shape:
        old.copy_(value)
        return None
    new = value.to(old.device, copy=True)
    if not isinstance(old, nn.Parameter):
        setattr(layer, own, new)
        return None
    parameter = nn.Parameter(new, old.requires_grad)
    setattr(layer, own, parameter)
    return Replaced(old, parameter, ())
