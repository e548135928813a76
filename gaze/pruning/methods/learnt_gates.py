"""Gates that are learnt: which map has which number, whatever surgery did to the network since."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gaze.pruning.cost.expectations.base import moments
from gaze.pruning.methods.closing import leaving
from gaze.pruning.structure.hard_concrete import HardConcrete


class LearntGates:
    """A hard concrete gate on every map of a network's groups.

    One parameter holds log alpha of all maps that there were at first, group after group. So it stays as it is when
    maps leave, and with it what optimisers, averages and checkpoints know of it; those of maps that are gone mean
    nothing any more. A group that is down to one map has no gate.

    Args:
        gate: the distribution.
        maps: of each group at first.
        ungated: groups that have no gates.
        start: log alpha at first.

    Attributes:
        log_alpha: the parameter.
        indices: by group, which of the maps at first are still there.
    """

    def __init__(self, gate: HardConcrete, maps: Mapping[str, int], ungated: set[str], start: float) -> None:
        self.gate, self.before, self.ungated = gate, dict(maps), ungated
        self.log_alpha = nn.Parameter(torch.full((sum(maps.values()),), start))
        self.indices = {name: list(range(count)) for name, count in maps.items()}
        self.offsets = dict(zip(maps, torch.tensor([0, *maps.values()]).cumsum(0).tolist(), strict=False))

    @property
    def maps(self) -> dict[str, int]:
        """Maps of every group now, one at least."""
        return {name: len(indices) for name, indices in self.indices.items()}

    @property
    def places(self) -> dict[str, Tensor]:
        """By group that has gates, where in `log_alpha` its maps stand now."""
        return {
            name: torch.tensor(indices, device=self.log_alpha.device) + self.offsets[name]
            for name, indices in self.indices.items()
            if len(indices) > 1 and name not in self.ungated
        }

    def at_test_time(self) -> Tensor:
        """The gates at test time, 1 x maps at first."""
        return self.gate.gate(self.log_alpha)[None]

    def by_group(self, names: Any = None) -> dict[str, Tensor]:
        """The gates at test time of the groups that have some, or of those in `names`."""
        gates = self.at_test_time()[0].detach()
        return {name: gates[place] for name, place in self.places.items() if names is None or name in names}

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of the number of open maps of each group, as `Expectation` takes them."""
        opened = self.gate.open_probability(self.log_alpha)
        return moments({name: opened[place] for name, place in self.places.items()}, self.maps)

    def chance(self, name: str, maps: list[int]) -> float:
        """The sum of P(z != 0) over maps of a group."""
        return float(self.gate.open_probability(self.log_alpha.detach())[self.places[name][maps]].sum())

    def leaving(self, multiple: int) -> dict[str, list[int]]:
        """By group, the maps that are closed and need not fill a multiple: see `closing.leaving`."""
        gates, log_alpha = self.at_test_time()[0].detach(), self.log_alpha.detach()
        found = {name: leaving(gates[place], log_alpha[place], multiple) for name, place in self.places.items()}
        return {name: maps for name, maps in found.items() if maps}

    def keep(self, maps: Mapping[str, Tensor]) -> None:
        """Forgets the maps that surgery removed; `Cut.maps` says which stayed."""
        for name, stayed in maps.items():
            self.indices[name] = [self.indices[name][k] for k in stayed.tolist()]
