"""Which maps leave next: the least loss for the time they save."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from gaze.errors import ConfigError


class Savings(Protocol):
    """What a choice needs of a cost model; see `gaze.pruning.cost.models.Cost`."""

    def saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        """Cost that `n` fewer maps in the group `name` save, where every group has `maps`."""

    def step(self, name: str, maps: Mapping[str, int]) -> int | None:
        """The fewest maps of a group whose removal saves measurably; None: there is no such number."""

    def neighbours(self, name: str) -> set[str]:
        """The groups whose savings change when maps leave this one, itself among them."""


@dataclass(frozen=True)
class Candidate:
    """Maps that could leave together.

    Attributes:
        group: that they are of.
        maps: their indices in it.
        loss: sum of their signals, the expected rise of the loss.
        saving: of cost, in the unit of the cost model.
    """

    group: str
    maps: tuple[int, ...]
    loss: float
    saving: float

    def score(self, beta: float | None) -> float:
        """What is minimised: Delta_L + beta Delta_T (Theis et al. 2018, arXiv 1801.05787), or Delta_L / -Delta_T.

        Without a beta it is the loss per unit of cost saved, infinite where nothing is saved.
        """
        if beta is not None:
            return self.loss - beta * self.saving
        return self.loss / self.saving if self.saving > 0 else float("inf")


@dataclass(frozen=True)
class Rules:
    """What may leave and at what price; see `Choice`."""

    beta: float | None = None
    exclude: tuple[str, ...] = ()
    multiple: int = 1


class Choice:
    """The candidates of one reading of the signal, best first as costs change with every removal.

    For each group there are two: its least important map alone (the paper's), and the run of its least important maps
    down to the next width that is measurably faster. No group is emptied.

    Args:
        values: of the signal, one tensor a group.
        closed: maps of a group that are removed already and count for nothing.
        cost: the cost model.
        beta: price of a unit of cost in units of the loss; None takes the ratio.
        exclude: groups whose name begins with one of these are left alone.
        multiple: widths are brought to multiples of this.
    """

    def __init__(
        self, values: Mapping[str, Tensor], closed: Mapping[str, Collection[int]], cost: Savings,
        beta: float | None = None, exclude: Collection[str] = (), multiple: int = 1,
    ) -> None:  # fmt: skip
        self.cost, self.beta, self.multiple = cost, beta, multiple
        self.order: dict[str, list[int]] = {}
        self.signals: dict[str, list[float]] = {}
        self.known: dict[str, list[Candidate]] = {}
        for name, signal in values.items():
            if not name.startswith(tuple(exclude)):
                gone = set(closed.get(name, ()))
                self.order[name] = [k for k in torch.argsort(signal, stable=True).tolist() if k not in gone]
                self.signals[name] = signal.tolist()

    def best(self, maps: Mapping[str, int], largest: int | None = None) -> Candidate | None:
        """The candidate with the lowest score where groups have `maps` open; None if no removal lowers the cost.

        Args:
            maps: open maps of each group: those of the last call less what was taken since.
            largest: number of maps that a candidate may have.
        """
        for name in self.order.keys() - self.known.keys():
            self.known[name] = [candidate for candidate in self._of(name, maps) if candidate.saving > 0]
        candidates = [candidate for name in self.order for candidate in self.known[name]
                      if largest is None or len(candidate.maps) <= largest]  # fmt: skip
        return min(candidates, key=lambda candidate: candidate.score(self.beta), default=None)

    def take(self, candidate: Candidate) -> None:
        """Strikes the maps of a candidate off the list; the savings that they change are computed anew."""
        for name in self.cost.neighbours(candidate.group):
            self.known.pop(name, None)
        self.order[candidate.group] = self.order[candidate.group][len(candidate.maps) :]

    def _of(self, name: str, maps: Mapping[str, int]) -> Iterator[Candidate]:
        width = maps.get(name, 1)
        one, run = down_to(width, 1, self.multiple), self.cost.step(name, maps)
        for count in {one, None if run is None else down_to(width, run, self.multiple)} - {None}:
            assert count is not None
            gone = tuple(self.order[name][:count])
            loss = sum(self.signals[name][k] for k in gone)
            yield Candidate(name, gone, loss, self.cost.saving(name, count, maps))


def down_to(width: int, count: int, multiple: int) -> int | None:
    """The fewest maps, `count` or more, that leave a multiple of `multiple`, and one at least; None: there are none."""
    left = (width - count) // multiple * multiple
    return width - left if left > 0 else None


def check_exclude(exclude: Collection[str], groups: Collection[str]) -> None:
    """Refuses what no group's name begins with.

    Raises:
        ConfigError: naming what comes near.
    """
    for name in exclude:
        if not any(group.startswith(name) for group in groups):
            known = sorted({part for group in groups for part in accumulate(group.split("."), "{}.{}".format)})
            near = difflib.get_close_matches(name, known, 3, 0.5) or [part for part in known if part.count(".") < 2]
            raise ConfigError(f"pruner.exclude: expected how a group's name begins: {', '.join(near)}; got {name!r}")
