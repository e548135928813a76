"""Growth: feature maps join a network, which goes on as it was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gaze.errors import ModelError
from gaze.models.widths import BatchNorm, Kept, Replaced, depthwise, put, shapes, widen, widths
from gaze.pruning.structure import surgery
from gaze.pruning.structure.groups import Group, Member, find_groups
from gaze.pruning.structure.surgery import Cut


@dataclass(frozen=True)
class Joining:
    """Maps that are to join a group, behind those that it has.

    One of the two sides stays zero, for the network to go on as it was; with `fan_in` zero whatever stands between
    producers and consumers must map zero to zero.

    Attributes:
        count: how many.
        fan_in: weights by which producers write them, count x maps read x rows x columns; zero where none are given.
        fan_out: weights by which consumers read them, maps written x count x rows x columns; zero where none are given.
    """

    count: int
    fan_in: Mapping[Member, Tensor] = field(default_factory=dict)
    fan_out: Mapping[Member, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Growth:
    """What an addition did.

    Attributes:
        layers: where the maps that each layer had stand among those that it has, by its name.
        values: parameters and buffers of these layers, by layer and name, with what they are of the maps that joined.
        maps: where the maps that each group had stand among those that it has.
        replaced: the parameters that took the place of others, for the optimiser.
    """

    layers: dict[str, Kept]
    values: dict[str, dict[str, Tensor]]
    maps: dict[str, Tensor]
    replaced: list[Replaced]

    def apply(self, network: nn.Module) -> list[Replaced]:
        """Repeats the addition on a copy of the network, in place."""
        return _apply(network, self.layers, self.values)

    def undo(self, network: nn.Module) -> Cut:
        """Takes the maps that joined out of the network again."""
        return Cut(self.layers, self.maps, surgery.apply(network, self.layers))


def grow(network: nn.Module, joining: Mapping[str, Joining], known: Iterable[Group] | None = None) -> Growth:
    """Has feature maps join the groups of `find_groups(network, least=1)`, in place.

    What stands between producers and consumers treats a map that joins as it treats the others on average, but shifts
    it by nothing: a BatchNorm has their mean scale and variance and no mean or bias, a depthwise convolution hands the
    map on, times the mean norm of its kernels. Biases of what joins are zero.

    The parameters of the layers that change are new ones: optimisers and copies of the network (averaged weights) must
    follow, see `gaze.pruning.structure.followers`.

    Args:
        network: changed in place.
        joining: the maps, by their group.
        known: the groups of the network where they are known: it is not traced then, and nothing is checked.

    Raises:
        ModelError: a group is not there, or not `growable`, both sides of a map would be other than zero, weights have
            another shape, or other maps joined than were asked.
    """
    groups = {group.name: group for group in (find_groups(network, least=1) if known is None else known)}
    joining = {name: maps for name, maps in joining.items() if maps.count}
    for name, maps in joining.items():
        _check(network, groups, name, maps)
    places = _Places(network, groups, {name: maps.count for name, maps in joining.items()})
    values = {name: _values(network.get_submodule(name), places.width(name)) for name in places.layers}
    for name, maps in joining.items():
        _fill(network, groups[name], maps, places, values)
    replaced = _apply(network, places.layers, values)
    if known is None:
        _check_maps(network, {name: group.maps + places.counts.get(name, 0) for name, group in groups.items()})
    return Growth(places.layers, values, {name: torch.arange(groups[name].maps) for name in joining}, replaced)


def growable(network: nn.Module, group: Group) -> bool:
    """Whether maps can join a group: convolutions alone write and read it, not linear layers."""
    mixing = (network.get_submodule(member.layer) for member in group.producers + group.consumers)
    return all(isinstance(layer, nn.Conv2d) for layer in mixing)


class _Places:
    """Where things stand in the layers that maps join.

    Attributes:
        counts: how many maps join each group.
        layers: see `Growth`.
    """

    def __init__(self, network: nn.Module, groups: Mapping[str, Group], counts: Mapping[str, int]) -> None:
        self.counts, self.before = dict(counts), widths(network)
        self.joins: tuple[dict[str, list[tuple[int, int]]], ...] = ({}, {})
        for name, count in counts.items():
            group = groups[name]
            for members, joins in zip((group.consumers, group.producers + group.norms), self.joins, strict=True):
                for member in members:
                    joins.setdefault(member.layer, []).append((member.offset + group.maps, count))
        names = self.joins[0] | self.joins[1]
        self.layers = {name: Kept(self._stay(name, 0), self._stay(name, -1)) for name in names}

    def width(self, layer: str) -> list[int]:
        """The width of a layer afterwards, as `widths` tells it."""
        reads, writes = (sum(count for _, count in joins.get(layer, ())) for joins in self.joins)
        before = self.before[layer]
        return [before[0] + reads, before[1] + writes] if len(before) > 1 else [before[0] + writes]

    def new(self, member: Member, group: Group, side: int) -> slice:
        """Where the maps that join a group are in a layer that reads them (side 0) or else writes them (-1)."""
        end = member.offset + group.maps
        first = end + sum(count for place, count in self.joins[side].get(member.layer, ()) if place < end)
        return slice(first, first + self.counts[group.name])

    def _stay(self, layer: str, side: int) -> Tensor | None:
        joins = self.joins[side].get(layer)
        if joins is None:
            return None
        places = torch.arange(self.before[layer][side])
        return places + sum(count * (places >= place).long() for place, count in joins)


def _apply(
    network: nn.Module, layers: Mapping[str, Kept], values: Mapping[str, Mapping[str, Tensor]]
) -> list[Replaced]:
    replaced = []
    for name, kept in layers.items():
        layer = network.get_submodule(name)
        copies = {key: value.clone() for key, value in values[name].items()}
        replaced += widen(layer, kept, copies)
    return replaced


def _check(network: nn.Module, groups: Mapping[str, Group], name: str, maps: Joining) -> None:
    if name not in groups:
        raise ModelError(f"no group {name} can take more maps (groups: {', '.join(groups)})")
    if not growable(network, groups[name]):
        layers = ", ".join(dict.fromkeys(m.layer for m in groups[name].producers + groups[name].consumers))
        raise ModelError(f"group {name}: expected convolutions alone to write and read it, got {layers}")
    if all(any(bool(weights.any()) for weights in side.values()) for side in (maps.fan_in, maps.fan_out)):
        raise ModelError(f"group {name}: expected fan-in or fan-out to be zero, for the network to go on as it was")


def _check_maps(network: nn.Module, expected: Mapping[str, int]) -> None:
    found = {group.name: group.maps for group in find_groups(network, least=1)}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected if found.get(name) != expected.get(name))
        raise ModelError(f"other maps joined than were asked, in the groups {', '.join(wrong)}")


def _values(layer: nn.Module, width: Sequence[int]) -> dict[str, Tensor]:
    """Parameters and buffers of a layer as wide as it becomes, all zero."""
    return {name: getattr(layer, name).detach().new_zeros(shape) for name, shape in shapes(layer, width).items()}


def _fill(
    network: nn.Module, group: Group, maps: Joining, places: _Places, values: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Writes what the layers of a group do to the maps that join it."""
    for member in group.norms + group.producers:
        layer, new = network.get_submodule(member.layer), places.new(member, group, -1)
        others = slice(member.offset, member.offset + group.maps)
        if isinstance(layer, BatchNorm):
            _fill_norm(layer, others, values[member.layer], new)
        elif isinstance(layer, nn.Conv2d) and depthwise(layer):
            rows, columns = layer.weight.shape[2:]
            norm = layer.weight.detach()[others].flatten(1).norm(dim=1).mean()
            values[member.layer]["weight"][new, :, rows // 2, columns // 2] = norm
        elif member in maps.fan_in:
            stay = places.layers[member.layer].inputs
            _put(maps.fan_in[member], (None, stay), values[member.layer]["weight"][new], member)
    for member in group.consumers:
        if member in maps.fan_out:
            stay, new = places.layers[member.layer].outputs, places.new(member, group, 0)
            _put(maps.fan_out[member], (stay, None), values[member.layer]["weight"][:, new], member)


def _fill_norm(layer: nn.Module, others: slice, values: Mapping[str, Tensor], new: slice) -> None:
    for name, tensor in values.items():
        own: Tensor = getattr(layer, name).detach()[others]
        if name in ("weight", "running_var"):
            tensor[new] = own.abs().mean()


def _put(weights: Tensor, stay: tuple[Tensor | None, ...], wide: Tensor, member: Member) -> None:
    """Writes weights of maps that join between those of others, which read and write them by zeros."""
    room = tuple(len(index) if index is not None else n for index, n in zip(stay, wide.shape, strict=False))
    if tuple(weights.shape) != (*room, *wide.shape[2:]):
        shape = (*room, *wide.shape[2:])
        raise ModelError(f"{member.layer}: expected weights of shape {shape} for the maps, got {tuple(weights.shape)}")
    put(weights, stay, wide)
