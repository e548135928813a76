"""Folding: what multiplies feature maps becomes part of the weights of the layers that read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gaze.models.widths import Replaced
from gaze.pruning.structure.groups import Group, weighted


@dataclass(frozen=True)
class Folding:
    """The change that multiplies the weights by which layers read maps.

    Attributes:
        factors: by layer, one number for each channel that it reads.
    """

    factors: dict[str, Tensor]
    replaced: tuple[Replaced, ...] = ()

    @torch.no_grad()
    def apply(self, network: nn.Module) -> None:
        """See `Change.apply`."""
        for name, factors in self.factors.items():
            weight = weighted(network, name).weight
            weight.mul_(factors.reshape(1, -1, *[1] * (weight.ndim - 2)).to(weight))


def fold(network: nn.Module, groups: Iterable[Group], multipliers: Mapping[str, Tensor]) -> Folding:
    """Multiplies the maps of groups for good, in place; the network computes what `Multipliers` made it compute.

    Args:
        network: whose weights change, and nothing else of it.
        groups: of the network; those that `multipliers` does not name stay as they are.
        multipliers: by group, one number a map.
    """
    factors: dict[str, Tensor] = {}
    for group in groups:
        if group.name in multipliers:
            for member in group.consumers:
                weight = weighted(network, member.layer).weight
                factor = factors.setdefault(member.layer, weight.new_ones(weight.shape[1]))
                own = multipliers[group.name].detach().to(factor)
                factor[member.channels(group.maps)] = own.repeat_interleave(member.span)
    folding = Folding(factors)
    folding.apply(network)
    return folding
