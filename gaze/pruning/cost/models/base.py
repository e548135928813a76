"""What every cost model says: what a network costs as a function of the maps of its groups, what a removal saves."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.registry import Registry

MS, MAC, MAP = "ms", "MAC", "maps"


class Cost(ABC):
    """What each operator of a network costs, as a function of the maps of the groups; the network's cost is the sum.

    Every cost model is made in this way, so that what reads a name makes any of them.

    Args:
        operators: of the network; they need not be found again after surgery.
        table: their measured times; None where the cost model needs none.

    Raises:
        ValueError: it needs a table.

    Attributes:
        unit: of the numbers.
        scale: what all numbers are multiplied with, see `calibrate`.
    """

    unit: str = MS

    def __init__(self, operators: Sequence[FusedOperator], table: LatencyTable | None = None) -> None:
        self.operators, self.scale = list(operators), 1.0
        self.touched: dict[str, list[int]] = {}
        for index, operator in enumerate(self.operators):
            for name in operator.groups:
                self.touched.setdefault(name, []).append(index)

    @abstractmethod
    def of_operator(self, operator: FusedOperator, maps: Mapping[str, int]) -> float:
        """What one operator costs, before scaling."""

    def noise_of(self, operators: Iterable[FusedOperator], maps: Mapping[str, int]) -> float:
        """What a saving in these operators must exceed to be told from none, before scaling."""
        return 0.0

    def candidates(self, maps: int) -> Iterable[int]:
        """How many of a group's maps may be removed for the rest to be faster, fewest first."""
        return range(1, maps)

    def additions(self, maps: int) -> Iterable[int]:
        """How many maps may join a group that has so many, fewest first."""
        return (1,)

    def total(self, maps: Mapping[str, int]) -> float:
        """What the whole network costs where each group has so many maps."""
        return self.scale * sum(self.of_operator(operator, maps) for operator in self.operators)

    def saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        """What the removal of `n` maps of a group saves; negative where it costs."""
        return self.scale * self._saving(name, n, maps)

    def addition(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        """What `n` more maps of a group cost; negative where they save."""
        return -self.scale * self._saving(name, -n, maps)

    def step(self, name: str, maps: Mapping[str, int]) -> int | None:
        """The fewest maps of a group whose removal saves more than the noise; None if no removal down to one does."""
        noise = self.noise_of([self.operators[index] for index in self.touched.get(name, [])], maps)
        return next((n for n in self.candidates(maps[name]) if self._saving(name, n, maps) > noise), None)

    def neighbours(self, name: str) -> set[str]:
        """The groups whose savings change when maps leave this one: those that share an operator with it; itself."""
        operators = [self.operators[index] for index in self.touched.get(name, [])]
        return {name}.union(*(operator.groups for operator in operators))

    def calibrate(self, maps: Mapping[str, int], measured: float) -> None:
        """Scales all numbers so that `total(maps)` is `measured`."""
        self.scale *= measured / self.total(maps)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, to go on from."""
        return {"scale": self.scale}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.scale = float(state["scale"])

    def _saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        fewer = {**maps, name: maps[name] - n}
        operators = [self.operators[index] for index in self.touched.get(name, [])]
        return sum(self.of_operator(operator, maps) - self.of_operator(operator, fewer) for operator in operators)


def required(table: LatencyTable | None) -> LatencyTable:
    """The table, which a cost model cannot do without; ValueError where it is None."""
    if table is None:
        raise ValueError("table: expected a latency table, got None")
    return table


COSTS: Registry[type[Cost]] = Registry("gaze.pruning.cost.models", "cost")
"""The cost models by their names in `pruner.cost`."""
