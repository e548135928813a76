"""Surgery: feature maps leave a network for good."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gaze.errors import ModelError
from gaze.models.widths import Kept, Replaced, select, widths
from gaze.pruning.structure.groups import Group, find_groups


@dataclass(frozen=True)
class Cut:
    """What a removal did.

    Attributes:
        layers: what each layer that changed went on with, by its name; `apply` repeats it on a copy of the network.
        maps: the maps that stayed of each group that lost some, by their indices before.
        replaced: the parameters that took the place of others, for the optimiser.
    """

    layers: dict[str, Kept]
    maps: dict[str, Tensor]
    replaced: list[Replaced]

    def apply(self, network: nn.Module) -> None:
        """Repeats the removal on a copy of the network, in place."""
        apply(network, self.layers)


def remove(network: nn.Module, maps: Mapping[str, Collection[int]]) -> Cut:
    """Removes feature maps, given by their indices in the groups of `find_groups`, in place.

    The parameters of the layers that change are new ones: optimisers and copies of the network (averaged weights) must
    follow, see `gaze.pruning.structure.followers`.

    Raises:
        ModelError: a group or a map is not there, a layer would lose its last map, or other maps left than were asked.
    """
    groups = {group.name: group for group in find_groups(network)}
    stay = {name: _staying(groups, name, gone) for name, gone in maps.items() if gone}
    layers = _layers(network, groups, stay)
    replaced = apply(network, layers)
    expected = {name: len(stay.get(name, range(group.maps))) for name, group in groups.items()}
    found = {group.name: group.maps for group in find_groups(network)}
    if found != {name: count for name, count in expected.items() if count > 1}:
        wrong = sorted(name for name in found.keys() | expected if found.get(name, 1) != expected.get(name, 1))
        raise ModelError(f"pruning removed other maps than it was asked to, in the groups {', '.join(wrong)}")
    return Cut(layers, stay, replaced)


def keep_random(network: nn.Module, maps: Mapping[str, int], seed: int) -> Cut:
    """Removes feature maps drawn at random, until each group of `find_groups` has as many as `maps` says.

    A network of given widths to set beside one that was pruned to them: Liu et al. 2019 (arXiv 1810.05270).

    Raises:
        ModelError: a group is not there, or has fewer maps.
    """
    groups, generator = {group.name: group.maps for group in find_groups(network)}, torch.Generator().manual_seed(seed)
    for name, count in maps.items():
        if not 1 <= count <= groups.get(name, 1):
            raise ModelError(f"group {name}: expected 1 to {groups.get(name, 1)} maps to stay, got {count}")
    gone = {name: torch.randperm(count, generator=generator)[maps.get(name, count) :] for name, count in groups.items()}
    return remove(network, {name: indices.tolist() for name, indices in gone.items()})


def apply(network: nn.Module, layers: Mapping[str, Kept]) -> list[Replaced]:
    """Makes a cut; the layers are named as in the network that the cut was planned on."""
    return [replaced for name, kept in layers.items() for replaced in select(network.get_submodule(name), kept)]


def _staying(groups: Mapping[str, Group], name: str, gone: Collection[int]) -> Tensor:
    if name not in groups:
        raise ModelError(f"no group {name} has maps to spare (groups: {', '.join(groups)})")
    count = groups[name].maps
    if wrong := [k for k in gone if not 0 <= k < count]:
        raise ModelError(f"group {name} has the maps 0 to {count - 1}, got {wrong}")
    if len(set(gone)) == count:
        raise ModelError(f"group {name}: all {count} maps were to be removed, expected at least one to stay")
    return torch.tensor([k for k in range(count) if k not in set(gone)])


def _layers(network: nn.Module, groups: Mapping[str, Group], stay: Mapping[str, Tensor]) -> dict[str, Kept]:
    """What each touched layer goes on with: all its channels but those of the maps that leave."""
    width = widths(network)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for name, maps in stay.items():
        group = groups[name]
        gone = torch.ones(group.maps, dtype=torch.bool).index_fill(0, maps, False)
        for members, masks, side in ((group.consumers, inputs, 0), (group.producers + group.norms, outputs, -1)):
            for member in members:
                mask = masks.setdefault(member.layer, torch.ones(width[member.layer][side], dtype=torch.bool))
                mask[member.channels(group.maps)] &= ~gone.repeat_interleave(member.span)
    indices = [{name: mask.nonzero()[:, 0] for name, mask in masks.items()} for masks in (inputs, outputs)]
    return {name: Kept(*(side.get(name) for side in indices)) for name in inputs | outputs}
