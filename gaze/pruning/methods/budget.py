"""When a network is done: on fresh measurements that fit a budget of milliseconds, else with the fastest that was."""

import copy
import math
import statistics
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import nn

from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.methods.base import PacedPruning
from gaze.pruning.methods.outcome import FasterOutcome
from gaze.pruning.methods.removal_log import read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.snapshot import Restoration, Snapshot

CONFIRMATIONS = 5
"""Fresh measurements of a network that seems to fit."""


class Timed(PacedPruning):
    """A change towards a budget of milliseconds, which the network is measured against.

    Of many noisy measurements the first that fits is likely a lucky one. So a network that seems to fit is measured
    `CONFIRMATIONS` times afresh: the median of these decides, and it is what is reported.

    Args:
        stopwatch: measures a network: milliseconds, the median of many runs.
        budget: milliseconds.
        schedule: when maps leave or join.
        base: milliseconds of the network as it was given, where they are known already.

    Attributes:
        base: measured time before the first change, milliseconds.
        measured: the last measured time; where it fits, the median of fresh measurements.
    """

    def __init__(
        self, stopwatch: Callable[[nn.Module], float], budget: float, schedule: ScheduleConfig,
        base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(schedule)
        self.stopwatch, self.budget = stopwatch, budget
        self.base = self.measured = math.nan if base is None else base

    @property
    def met(self) -> bool:
        """Whether the measured time fits the budget."""
        return self.measured <= self.budget

    def measure_base(self) -> None:
        """Times the network as it was given, where its time is not known, and confirms it where it fits already."""
        if math.isnan(self.base):
            self.base = self.stopwatch(self.network)
        self.measured = self.base
        if self.met:
            self.measured = self.afresh(self.network)

    def afresh(self, network: nn.Module) -> float:
        """The median of fresh measurements."""
        return statistics.median(self.stopwatch(network) for _ in range(CONFIRMATIONS))

    def faster(
        self, checkpoint: str, gains: tuple[float, float], log: Path, before: dict[str, int], after: dict[str, int]
    ) -> FasterOutcome:
        """The `outcome`, where a log in the style of `removals.csv` has a row for each change and its step."""
        return FasterOutcome(
            checkpoint=checkpoint,
            met=self.met,
            before_gain=gains[0],
            after_gain=gains[1],
            removals=len({row.step for row in read(log)}),
            updates=self.step,
            budget_ms=self.budget,
            before_ms=self.base,
            after_ms=self.measured,
            before=before,
            after=after,
        )

    def state_dict(self) -> dict[str, Any]:
        """See `PacedPruning.state_dict`."""
        return super().state_dict() | {"base": self.base, "measured": self.measured}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`. Where the budget is a share, milliseconds stay those of the run's first part."""
        super().load_state_dict(state_dict)
        if isinstance(self.stopwatch, Stopwatch) and self.stopwatch.relative:
            self.budget *= self.base / self.stopwatch.base
            self.stopwatch.base = self.base


class TimedPruning(Timed):
    """Pruning towards a budget: where it is missed, the fastest network that there was is kept; see `Timed`."""

    def __init__(
        self, stopwatch: Callable[[nn.Module], float], budget: float, schedule: ScheduleConfig,
        base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(stopwatch, budget, schedule, base)
        self.fastest = self.measured
        self.earlier: dict[str, Any] | None = None

    def measure_base(self) -> None:
        """See `Timed.measure_base`."""
        super().measure_base()
        self.fastest = self.base

    def measure(self, last: bool = False) -> None:
        """Times the network as it is now; afresh where it seems to fit, and where nothing more can be removed."""
        self.measured = self.stopwatch(self.network)
        if self.met or last:
            self.measured = self.afresh(self.network)
        if self.measured < self.fastest:
            self.fastest, self.earlier = self.measured, None

    def notes(self) -> dict[str, Any]:
        """What is to be known of the network before this removal, should the pruning go back to it; plain values."""
        return {"step": self.step - 1, "removals": self.removals - 1}

    def remember(self) -> None:
        """Keeps the network, should it turn out to be the fastest: before maps of it are masked."""
        if self.earlier is None:
            self.earlier = {"snapshot": Snapshot.of(self.kept()).state_dict(), **self.notes()}

    def kept(self) -> Any:
        """What `remember` keeps: the network as it is without what hooks into it while it trains."""
        return self.network

    def end_where_done(self, trainer: pl.Trainer, more: bool) -> None:
        """The pruning is over when a measurement fits the budget, or when nothing is left to remove."""
        if self.finished is not None or not (self.met or not more):
            return
        self.finished = trainer.global_step
        if not self.met and (noted := self.keep_fastest(trainer)) is not None:
            self.go_back(noted)

    @abstractmethod
    def go_back(self, noted: dict[str, Any]) -> None:
        """The network is again as it was when these notes were taken."""

    def keep_fastest(self, trainer: pl.Trainer) -> dict[str, Any] | None:
        """Goes back to an earlier network if fresh measurements show that it is faster.

        Returns:
            The `notes` on that one; None where the network is the fastest that there was.
        """
        if self.earlier is None:
            return None
        snapshot, earlier = Snapshot.load(self.earlier["snapshot"]), copy.deepcopy(self.network)
        Restoration(snapshot, earlier)
        time = self.afresh(earlier)
        if time >= self.measured:
            return None
        noted, self.earlier = self.earlier, None
        self.measured, self.removals = time, noted["removals"]
        self.tell(trainer, Restoration(snapshot, self.network))
        return noted

    def state_dict(self) -> dict[str, Any]:
        """See `PacedPruning.state_dict`."""
        return super().state_dict() | {"fastest": self.fastest, "earlier": self.earlier}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        super().load_state_dict(state_dict)
        self.fastest = state_dict.get("fastest", self.measured)  # earlier checkpoints hold none
