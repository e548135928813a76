"""Gates: multipliers on feature maps, where a zero and the removal of the map give the same output."""

from collections.abc import Callable, Collection, Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaze.errors import ModelError
from gaze.pruning.structure.groups import Group, weighted


class Gates:
    """Multiplies feature maps by zero or one at the input of every layer that reads them.

    There, behind BatchNorm and activation, a zero is what removal leaves: on a convolution's output a BatchNorm would
    still shift it, and a map's padding would not be zero. A depthwise convolution needs no gate, since its output is
    gated. Gates cost nothing while they are open.

    Args:
        network: gets the hooks.
        groups: of the network; all maps start open.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Group]) -> None:
        self.network = network
        self.reset(groups)
        readers = {member.layer for group in self.groups.values() for member in group.consumers}
        self.hooks = [network.get_submodule(name).register_forward_pre_hook(self._gate(name)) for name in readers]

    def reset(self, groups: Iterable[Group]) -> None:
        """Opens all gates; after surgery, with the groups that the network has then."""
        self.groups = {group.name: group for group in groups}
        self.open = {name: torch.ones(group.maps, dtype=torch.bool) for name, group in self.groups.items()}
        self.masks: dict[str, Tensor] = {}

    def close(self, name: str, maps: Collection[int]) -> None:
        """Sets maps of a group to zero from the next forward pass on.

        Raises:
            ModelError: the group would have no open map left.
        """
        still = self.open[name].clone()
        still[list(maps)] = False
        if not still.any():
            raise ModelError(f"group {name}: all maps were to be closed, expected at least one to stay open")
        self.open[name] = still
        for member in self.groups[name].consumers:
            weight = weighted(self.network, member.layer).weight
            mask = self.masks.setdefault(member.layer, weight.new_ones(weight.shape[1], *(1,) * (weight.ndim - 2)))
            mask.view(-1)[member.channels(len(still))] = still.repeat_interleave(member.span).to(mask)

    def closed(self) -> dict[str, list[int]]:
        """The closed maps of each group that has some: what `remove` is to remove."""
        maps = {name: (~still).nonzero()[:, 0].tolist() for name, still in self.open.items()}
        return {name: gone for name, gone in maps.items() if gone}

    def detach(self) -> None:
        """Takes the gates out of the network."""
        for hook in self.hooks:
            hook.remove()

    def _gate(self, name: str) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor] | None]:
        def gate(_: nn.Module, entering: tuple[Tensor]) -> tuple[Tensor] | None:
            mask = self.masks.get(name)
            return None if mask is None else (entering[0] * mask.to(entering[0]),)

        return gate


class Multipliers:
    """Multiplies feature maps by any numbers, at the same places as `Gates`; gradients flow into the numbers.

    Args:
        network: gets the hooks.
        groups: that are multiplied; of the others nothing is.
        places: of each map of each group, by the group's name: which of the `values` is its own.
        values: is asked in the forward pass of each layer that reads maps: examples x numbers, or 1 x numbers where all
            examples have the same.
    """

    def __init__(
        self, network: nn.Module, groups: Iterable[Group], places: Mapping[str, Tensor], values: Callable[[], Tensor]
    ) -> None:
        self.network, self.values, groups = network, values, list(groups)
        self.reset(groups, places)
        self.hooks = [network.get_submodule(name).register_forward_pre_hook(self._hook(name)) for name in self.sources]

    def reset(self, groups: Iterable[Group], places: Mapping[str, Tensor]) -> None:
        """After surgery: the groups that the network has then, and the places of their maps."""
        self.sources: dict[str, Tensor] = {}
        for group in groups:
            for member in group.consumers:
                weight = weighted(self.network, member.layer).weight
                own = torch.full((weight.shape[1],), -1, device=weight.device)  # the 1 behind the last number
                source = self.sources.setdefault(member.layer, own)
                source[member.channels(group.maps)] = places[group.name].to(source).repeat_interleave(member.span)

    def detach(self) -> None:
        """Takes the multipliers out of the network."""
        for hook in self.hooks:
            hook.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor] | None]:
        convolves = isinstance(self.network.get_submodule(name), nn.Conv2d)

        def multiply(_: nn.Module, entering: tuple[Tensor]) -> tuple[Tensor] | None:
            source = self.sources.get(name)
            if source is None:
                return None
            values, maps = F.pad(self.values(), (0, 1), value=1.0)[:, source], entering[0]
            between, behind = (0, 2) if convolves else (maps.ndim - 2, 0)  # dimensions of positions
            return (maps * values.reshape(len(values), *[1] * between, len(source), *[1] * behind).to(maps),)

        return multiply
