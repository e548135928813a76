"""The steepest fan-in: what GradMax asks for, where something stands between the convolutions that maps would join."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gaze.models.widths import depthwise
from gaze.pruning.information.growth_signal import GrowthSignal, OutputGradients, finite
from gaze.pruning.structure.groups import Group, Member, convolution, find_groups
from gaze.pruning.structure.growth import Joining, grow

DECAY = 0.8
"""Weight that an update keeps with each later one: it was read with other directions."""


class SteepestFanIn(GrowthSignal):
    """Fan-out zero, so that a new map changes nothing, and the fan-in in which the gradient of the fan-out is steepest,
    over directions at right angles to each other.

    GradMax (Evci et al. 2022, arXiv 2201.05125) the other way round, as its section on BatchNorm has it. As a ReLU
    stands between there is no closed form. The authors ascend by Adam; here it is orthogonal iteration, one step an
    update: directions V become the Q of a QR decomposition of d/dV |E G(V)|^2 / 2, where G(V) is the gradient of the
    fan-out. Without a ReLU these are the steps of the power method, which end at the right singular vectors of the
    matrix of GradMax. Candidates of all groups are computed at once, in a wider copy of the network that gives the same
    output.

    Each direction is scaled to the mean norm of the weights that write the group's maps, by each producer.

    Args:
        network: gets the hooks.
        groups: of the network, that could grow.
        room: how many maps could join each.
        seed: of the directions that it begins with.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Group], room: Mapping[str, int], seed: int = 0) -> None:
        self.network, self.groups = network, {group.name: group for group in groups if room.get(group.name)}
        self.producers = {name: _dense(network, group) for name, group in self.groups.items()}
        generator = torch.Generator().manual_seed(seed)
        self.directions = {name: self._drawn(name, room[name], generator) for name in self.groups}
        self.ascents = {name: torch.zeros_like(rows) for name, rows in self.directions.items()}
        self.sums: dict[str, list[Tensor]] = {}
        self.weight = 0.0
        wide = bare(network)
        joining = {name: Joining(len(rows)) for name, rows in self.directions.items()}
        self.layers = grow(wide, joining, self.groups.values()).layers
        self.wide = {group.name: group for group in find_groups(wide) if group.name in self.groups}
        self.inputs: tuple[Any, Any] | None = None
        readers = {member.layer for group in self.groups.values() for member in group.consumers}
        self.gradients = OutputGradients(network, readers)
        self.hook = network.register_forward_pre_hook(self._watch(), with_kwargs=True)

    @property
    def ready(self) -> bool:
        """See `GrowthSignal.ready`."""
        return self.weight > 0

    def update(self, divisor: float) -> None:
        """See `GrowthSignal.update`: one step of the ascent."""
        gradients, inputs, self.inputs = self.gradients.read(), self.inputs, None
        if not gradients or inputs is None or not finite(gradients.values()):
            return
        wide = self._wide()
        maps = self._maps(wide, inputs)
        steepness: list[Tensor] = []
        self.weight = DECAY * self.weight + 1
        for name, candidates in maps.items():
            steepness += self._read(name, candidates, wide, gradients, divisor)
        weights = [convolution(wide, m.layer).weight for producers in self.producers.values() for m in producers]
        leaving = [h for candidates in maps.values() for h in candidates]
        unique = list(dict.fromkeys(weights))
        ascents = torch.autograd.grad(leaving, unique, steepness, allow_unused=True)
        found = {id(weight): ascent for weight, ascent in zip(unique, ascents, strict=True) if ascent is not None}
        for name in self.groups:
            self._turn(name, wide, found)

    def values(self) -> dict[str, Tensor]:
        """See `GrowthSignal.values`."""
        return {name: self._values(name).sort(descending=True).values for name in self.sums}

    def joining(self, name: str, count: int) -> Joining:
        """See `GrowthSignal.joining`."""
        best = self._values(name).argsort(descending=True, stable=True)[:count].sort().values
        return self._joining(name, self.directions[name][best])

    def detach(self) -> None:
        """See `GrowthSignal.detach`."""
        self.gradients.detach()
        self.hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """See `GrowthSignal.state_dict`."""
        return {name: copy.copy(getattr(self, name)) for name in ("directions", "ascents", "sums", "weight")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `GrowthSignal.load_state_dict`."""
        for name, value in state.items():
            setattr(self, name, copy.copy(value))

    def _values(self, name: str) -> Tensor:
        return (
            torch.stack([(total / self.weight).square().sum((0, 2, 3)) for total in self.sums[name]])
            .sum(0)
            .float()
            .cpu()
        )

    def _drawn(self, name: str, count: int, generator: torch.Generator) -> Tensor:
        """Random directions at right angles: as many as are asked for, or as there are."""
        weights = [convolution(self.network, member.layer).weight for member in self.producers[name]]
        size = sum(weight[0].numel() for weight in weights)
        rows = torch.randn(min(count, size), size, generator=generator)
        return orthonormal(rows.to(weights[0].device, torch.promote_types(weights[0].dtype, torch.float32)))

    def _weights(self, name: str, rows: Tensor) -> list[Tensor]:
        """Directions as weights of each producer."""
        weights = [convolution(self.network, member.layer).weight for member in self.producers[name]]
        parts = rows.split([weight[0].numel() for weight in weights], 1)
        scaled = zip(parts, weights, self.producers[name], strict=True)
        return [self._norm(name, member) * part.reshape(len(rows), *w.shape[1:]) for part, w, member in scaled]

    def _norm(self, name: str, member: Member) -> float:
        """Mean norm of the rows by which a producer writes a group's maps."""
        weight = convolution(self.network, member.layer).weight.detach()
        return float(weight[member.offset :][: self.groups[name].maps].flatten(1).norm(dim=1).mean())

    @torch.no_grad()
    def _wide(self) -> nn.Module:
        """The network as it is now with the candidates in it."""
        wide = bare(self.network)
        grow(wide, {name: self._joining(name, rows) for name, rows in self.directions.items()}, self.groups.values())
        return wide.requires_grad_(False)

    def _joining(self, name: str, rows: Tensor) -> Joining:
        return Joining(len(rows), dict(zip(self.producers[name], self._weights(name, rows), strict=True)))

    def _reads(self, member: Member) -> Tensor | slice:
        """Where the maps that a producer reads in the network stand in the wide one."""
        kept = self.layers[member.layer].inputs
        return slice(None) if kept is None else kept

    def _maps(self, wide: nn.Module, inputs: tuple[Any, Any]) -> dict[str, list[Tensor]]:
        """The candidates of each group as each of its consumers reads them, of graphs that end at what writes them."""
        readers: dict[str, list[tuple[str, int, slice]]] = {}
        maps = {name: list[Tensor]() for name in self.groups}
        for name, group in self.wide.items():
            maps[name] = [torch.empty(0)] * len(group.consumers)
            for index, member in enumerate(group.consumers):
                first = member.offset + self.groups[name].maps
                new = slice(first, member.offset + group.maps)
                readers.setdefault(member.layer, []).append((name, index, new))

        def watch(layer: str) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
            def take(_: nn.Module, entering: tuple[Tensor]) -> tuple[Tensor]:
                for name, index, new in readers[layer]:
                    maps[name][index] = entering[0][:, new]
                return (entering[0].detach(),)

            return take

        for producers in self.producers.values():
            for member in producers:
                convolution(wide, member.layer).weight.requires_grad_()
        hooks = [wide.get_submodule(layer).register_forward_pre_hook(watch(layer)) for layer in readers]
        with torch.enable_grad():
            wide(*inputs[0], **inputs[1])
        for hook in hooks:
            hook.remove()
        return maps

    def _read(
        self, name: str, candidates: list[Tensor], wide: nn.Module, gradients: Mapping[str, Tensor], divisor: float
    ) -> list[Tensor]:
        """Takes in the gradient of the fan-out; how its squared norm rises with each candidate's activations."""
        rises, sums = [], self.sums.setdefault(name, [])
        for index, (member, h) in enumerate(zip(self.groups[name].consumers, candidates, strict=True)):
            layer = convolution(wide, member.layer)
            scale = divisor / len(h)
            writes = convolution(self.network, member.layer).out_channels
            gradient = gradients.get(member.layer)
            gradient = h.new_zeros(()) if gradient is None else scale * gradient.to(h)
            columns = h.new_zeros(writes, h.shape[1], *layer.kernel_size)
            steep = _fan_out(layer, columns, h.detach(), gradient)[0]
            if index == len(sums):
                sums.append(torch.zeros_like(steep))
            sums[index] = DECAY * sums[index].to(steep) + steep
            rises.append(_fan_out(layer, sums[index] / self.weight, h.detach(), gradient)[1])
        return rises

    def _turn(self, name: str, wide: nn.Module, ascents: Mapping[int, Tensor]) -> None:
        """Turns the directions of a group uphill."""
        parts = []
        for member, own in zip(self.wide[name].producers, self.groups[name].producers, strict=True):
            if own not in self.producers[name]:
                continue
            weight = convolution(wide, member.layer).weight
            ascent = ascents.get(id(weight), torch.zeros_like(weight))
            first = member.offset + self.groups[name].maps
            rows = ascent[first : first + len(self.directions[name])][:, self._reads(member)]
            parts.append(self._norm(name, own) * rows.flatten(1))
        self.ascents[name] = DECAY * self.ascents[name].to(parts[0].device) + torch.cat(parts, 1)
        self.directions[name] = orthonormal(self.ascents[name])

    def _watch(self) -> Callable[[nn.Module, Any, Any], None]:
        def watch(
            _: nn.Module, args: Any, kwargs: Any
        ) -> None:  # no method: a copy of the network would copy its object
            if torch.is_grad_enabled():
                self.inputs = args, kwargs

        return watch


def _dense(network: nn.Module, group: Group) -> tuple[Member, ...]:
    """The members of a group that mix maps to write its own."""
    return tuple(m for m in group.producers if not depthwise(convolution(network, m.layer)))


def _fan_out(layer: nn.Conv2d, columns: Tensor, maps: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of <gradient, what a layer with these weights writes of the maps>, in the weights and in the maps."""
    columns, maps = columns.detach().requires_grad_(), maps.requires_grad_()
    own = {"weight": columns} | ({} if layer.bias is None else {"bias": columns.new_zeros(len(columns))})
    with torch.enable_grad():
        product = (gradient * functional_call(layer, own, (maps,))).sum()
        steep, rise = torch.autograd.grad(product, (columns, maps))
    return steep, rise


def orthonormal(rows: Tensor) -> Tensor:
    """Gram-Schmidt, by QR: row k is what is left of row k at right angles to those before it, of length 1."""
    q, r = torch.linalg.qr(rows.mT)
    return (q * torch.where(r.diagonal() < 0, -1, 1)).mT.contiguous()


def bare(network: nn.Module) -> nn.Module:
    """A copy that predicts, without what hooks into a network while it trains."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    return network
