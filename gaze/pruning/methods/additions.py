"""Which maps join next: the steepest fall of the loss for the time that they cost."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Expenses(Protocol):
    """What a choice needs of a cost model; see `gaze.pruning.cost.models.Cost`."""

    def addition(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        """Cost of `n` more maps in the group `name`, where every group has `maps`."""

    def additions(self, maps: int) -> Iterable[int]:
        """How many maps may join a group that has so many, fewest first."""


@dataclass(frozen=True)
class Addition:
    """Maps that could join a group together.

    Attributes:
        group: its name.
        count: how many.
        value: sum of theirs, see `GrowthSignal`.
        cost: that they add, in the unit of the cost model.
    """

    group: str
    count: int
    value: float
    cost: float

    @property
    def score(self) -> tuple[float, float]:
        """What is maximised: the value for the cost, and the value alone where nothing is added to the cost."""
        return (self.value / self.cost, 0.0) if self.cost > 0 else (float("inf"), self.value)


class Additions:
    """The additions that one reading of the signals speaks for, best first as costs change with each.

    Args:
        values: of maps that could join, falling, one tensor a group.
        cost: the cost model.
        exclude: groups whose name begins with one of these are left alone.
        multiple: widths are brought to multiples of this.
    """

    def __init__(
        self, values: Mapping[str, Tensor], cost: Expenses, exclude: Collection[str] = (), multiple: int = 1
    ) -> None:
        self.cost, self.multiple = cost, multiple
        self.left = {n: v.tolist() for n, v in values.items() if not n.startswith(tuple(exclude))}

    def best(self, maps: Mapping[str, int], fits: Callable[[dict[str, int]], bool]) -> Addition | None:
        """The addition with the highest score where the groups have `maps`; None if none that is worth something fits.

        Args:
            maps: of each group: those of the last call and what was taken since.
            fits: whether a network of so many maps is small enough.
        """
        found = (addition for name in self.left for addition in self._of(name, maps))
        fitting = [a for a in found if a.value > 0 and fits({**maps, a.group: maps[a.group] + a.count})]
        return max(fitting, key=lambda addition: addition.score, default=None)

    def take(self, addition: Addition) -> None:
        """Strikes the maps of an addition off the list."""
        self.left[addition.group] = self.left[addition.group][addition.count :]

    def _of(self, name: str, maps: Mapping[str, int]) -> Iterator[Addition]:
        for count in room(self.cost, maps[name], self.multiple):
            if count <= len(self.left[name]):
                yield Addition(name, count, sum(self.left[name][:count]), self.cost.addition(name, count, maps))


def room(cost: Expenses, width: int, multiple: int) -> list[int]:
    """How many maps may join a group of `width`, fewest first: those of the cost model, and on to a multiple."""
    return sorted({-(-(width + count) // multiple) * multiple - width for count in cost.additions(width)})
