"""The Lightning callback that prunes a network while it trains."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from gaze.models.network import GazeNetwork
from gaze.pruning.cost.models import Cost
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.information.signal import Signal
from gaze.pruning.methods.base import PacedPruning
from gaze.pruning.methods.candidates import Candidate, Choice
from gaze.pruning.methods.removal_log import Removal, RemovalLog
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure import surgery
from gaze.pruning.structure.gates import Gates
from gaze.pruning.structure.groups import Group, find_groups

GAIN = "val/information_gain"


@dataclass(frozen=True)
class Rules:
    """What may leave and at what price; see `gaze.pruning.methods.candidates.Choice`."""

    beta: float | None = None
    exclude: tuple[str, ...] = ()
    multiple: int = 1


class FisherPruning(PacedPruning):
    """Removes feature maps of `module.network`, a gaze network, until its measured time fits a budget.

    Every few updates the maps with the least expected loss for the time they save are masked, every few removals what
    is masked is cut out, of optimiser and averaged weights too, and the network is measured. The predictions are
    calibrated by each measurement, and only a measurement ends the pruning. The training ends `finetune_updates` later.

    Args:
        signal: makes the signal of a network and its groups.
        cost: what the choice weighs.
        clock: predicts milliseconds; may be the same as `cost`.
        stopwatch: measures a network: milliseconds, the median of many runs.
        budget: milliseconds.
        schedule: when maps leave.
        log: where each removal is written down.
        rules: of the choice.
        base: milliseconds of the unpruned network, where they are known already.

    Attributes:
        maps: open maps of each group now; groups with a single map left are not told.
        before: the same before the first removal.
        base: measured time before the first removal, milliseconds.
        measured: the last measured time.
    """

    def __init__(
        self, signal: Callable[[GazeNetwork, list[Group]], Signal], cost: Cost, clock: Cost,
        stopwatch: Callable[[GazeNetwork], float], budget: float, schedule: ScheduleConfig, log: RemovalLog,
        rules: Rules | None = None, base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(schedule)
        self.make_signal, self.cost, self.clock, self.stopwatch = signal, cost, clock, stopwatch
        self.budget, self.removal_log, self.rules = budget, log, rules or Rules()
        self.base = self.measured = math.nan if base is None else base
        self.restored: dict[str, Any] = {}

    @property
    def maps(self) -> dict[str, int]:
        """See the class."""
        return {name: int(still.sum()) for name, still in self.gates.open.items()}

    @property
    def met(self) -> bool:
        """Whether the measured time fits the budget."""
        return self.measured <= self.budget

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches gates and signal and measures the network, or goes on where a checkpoint left off."""
        groups = find_groups(self.network)
        self.gates, self.signal = Gates(self.network, groups), self.make_signal(self.network, groups)
        if self.restored:
            for name, maps in self.restored["closed"].items():
                self.gates.close(name, maps)
            self.signal.load_state_dict(self.restored["signal"])
        else:
            self.before = self.maps
            self.indices = {group.name: list(range(group.maps)) for group in groups}
            if math.isnan(self.base):
                self.base = self.stopwatch(self.network)
            self._calibrate(self.base)
        self._end_where_done(trainer, more=True)

    def read(self, divisor: float) -> None:
        """See `PacedPruning.read`."""
        self.signal.update(divisor)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, in tensors and plain values."""
        state = {name: getattr(self, name) for name in ("base", "measured", "before", "indices")}
        return super().state_dict() | state | {"closed": self.gates.closed(), "signal": self.signal.state_dict(),
                        "scales": [self.cost.scale, self.clock.scale]}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        state = dict(state_dict)
        self.restored = {name: state.pop(name) for name in ("closed", "signal")}
        self.cost.scale, self.clock.scale = state.pop("scales")
        super().load_state_dict(state)
        if isinstance(self.stopwatch, Stopwatch) and self.stopwatch.relative:  # milliseconds as in the run's first part
            self.budget *= self.base / self.stopwatch.base
            self.stopwatch.base = self.base
        self.removal_log.truncate_after(self.step)

    def remove(self, trainer: pl.Trainer) -> None:
        """One removal: maps are masked; where it is time they are cut out and the network is measured."""
        taken, more = self._choose()
        rows = [self._close(candidate, trainer) for candidate in taken]
        predicted = self.clock.total(self.maps)
        if not more or predicted <= self.budget or self.removals % self.schedule.removals_per_surgery == 0:
            self._operate(trainer)
            self._calibrate(self.stopwatch(self.network))
            if rows:
                rows[-1] = Removal(**{**vars(rows[-1]), "measured_ms": self.measured})
        for row in rows:
            self.removal_log.append(row)
        if getattr(self.signal, "decay", 1.0) == 1.0:
            self.signal.restart()
        self._end_where_done(trainer, more)

    def _choose(self) -> tuple[list[Candidate], bool]:
        """What leaves now, in order, and whether more could."""
        maps, taken = self.maps, list[Candidate]()
        rules, schedule = self.rules, self.schedule
        choice = Choice(self.signal.values(), self.gates.closed(), self.cost, rules.beta, rules.exclude, rules.multiple)
        goal = schedule.goal(self.removals, self.base, self.budget)
        count = 0
        while self.clock.total(maps) > goal if schedule.maps_per_removal is None else count < schedule.maps_per_removal:
            largest = None if schedule.maps_per_removal is None else schedule.maps_per_removal - count
            candidate = choice.best(maps, largest) or choice.best(maps)  # a run, where no fewer maps save time
            if candidate is None:
                return taken, False
            choice.take(candidate)
            maps[candidate.group] -= len(candidate.maps)
            count += len(candidate.maps)
            taken.append(candidate)
        return taken, True

    def _close(self, candidate: Candidate, trainer: pl.Trainer) -> Removal:
        self.gates.close(candidate.group, candidate.maps)
        gain = trainer.callback_metrics.get(GAIN)
        return Removal(
            step=self.step,
            layer=candidate.group,
            maps=tuple(self.indices[candidate.group][k] for k in candidate.maps),
            signal=candidate.loss,
            predicted_ms=self.clock.total(self.maps),
            measured_ms=None,
            maps_left=int(self.gates.open[candidate.group].sum()),
            loss=sum(self.losses) / max(1, len(self.losses)),
            information_gain=None if gain is None else float(gain),
        )

    def _operate(self, trainer: pl.Trainer) -> None:
        """Cuts out what is masked, of the network, all that follows it, and the signal."""
        cut = surgery.remove(self.network, self.gates.closed())
        self.tell(trainer, cut)
        for name, kept in cut.maps.items():
            self.indices[name] = [self.indices[name][k] for k in kept.tolist()]
        groups = find_groups(self.network)
        self.signal.keep(cut.maps, groups)
        self.gates.reset(groups)

    def _calibrate(self, measured: float) -> None:
        """Corrects the predictions by a measurement."""
        self.measured = measured
        self.clock.calibrate(self.maps, self.measured)
        if self.cost.unit == self.clock.unit:
            self.cost.calibrate(self.maps, self.measured)

    def _end_where_done(self, trainer: pl.Trainer, more: bool) -> None:
        """The pruning is over when a measurement fits the budget, or when nothing is left to remove."""
        if self.finished is None and (self.met or not more):
            self.finished = trainer.global_step
        if self.finished is not None:
            self.gates.detach()
            self.signal.detach()

    def shown(self) -> dict[str, float]:
        """Maps left, predicted and measured milliseconds against the budget."""
        return {"maps": float(sum(self.maps.values())), "predicted": self.clock.total(self.maps),
                "measured": self.measured, "budget": self.budget}  # fmt: skip
