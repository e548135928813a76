"""The Lightning callback that prunes feature maps while a network trains, the cheapest by a signal first."""

from collections.abc import Callable
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from torch import nn

from gaze.errors import ConfigError
from gaze.pruning.cost.models import Cost
from gaze.pruning.information.signal import GradientSignal, Signal
from gaze.pruning.methods.base import METHODS
from gaze.pruning.methods.budget import TimedPruning
from gaze.pruning.methods.candidates import Candidate, Choice, Rules, check_exclude
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.outcome import FasterOutcome
from gaze.pruning.methods.removal_log import Removal, RemovalLog
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure import surgery
from gaze.pruning.structure.gates import Gates
from gaze.pruning.structure.groups import Group, find_groups, find_pinned, told


@METHODS.register("greedy")
class FisherPruning(TimedPruning):
    """Removes feature maps of a network, see `PacedPruning`, until its measured time fits a budget.

    Every few updates the maps with the least expected loss for the time they save are masked, every few removals what
    is masked is cut out, of all that follows the network too, and the network is measured. The predictions are
    calibrated by each measurement, and only confirmed measurements end the pruning. The training ends
    `finetune_updates` later.

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
    """

    def __init__(
        self, signal: Callable[[nn.Module, list[Group]], Signal], cost: Cost, clock: Cost,
        stopwatch: Callable[[nn.Module], float], budget: float, schedule: ScheduleConfig, log: RemovalLog,
        rules: Rules | None = None, base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(stopwatch, budget, schedule, base)
        self.make_signal, self.cost, self.clock = signal, cost, clock
        self.removal_log, self.rules = log, rules or Rules()
        self.restored: dict[str, Any] = {}

    @classmethod
    def check(cls, job: Job) -> None:
        """Refuses names to be left alone that no group's name begins with."""
        check_exclude(job.rules.exclude, [group.name for group in _groups(job.unpruned)])

    @classmethod
    def make(cls, job: Job) -> Self:
        """See `PacedPruning.make`: measures the latency table where there is none that fits, and the network."""
        cost, clock = job.measure_costs()
        stopwatch, budget = job.make_stopwatch()
        log = RemovalLog(job.removals)
        return cls(job.make_signal, cost, clock, stopwatch, budget, job.schedule, log, job.rules, stopwatch.base)

    @property
    def maps(self) -> dict[str, int]:
        """See the class."""
        return {name: int(still.sum()) for name, still in self.gates.open.items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches gates and signal and measures the network, or goes on where a checkpoint left off."""
        groups = _groups(self.network)
        rank_zero_info(told(groups, find_pinned(self.network)))
        self.gates, self.signal = Gates(self.network, groups), self.make_signal(self.network, groups)
        if self.restored:
            for name, maps in self.restored["closed"].items():
                self.gates.close(name, maps)
            self.signal.load_state_dict(self.restored["signal"])
        else:
            self.before = self.maps
            self.indices = {group.name: list(range(group.maps)) for group in groups}
            self.measure_base()
            self._calibrate()
        self.end_where_done(trainer, more=True)

    def read(self, divisor: float) -> None:
        """See `PacedPruning.read`."""
        if isinstance(self.signal, GradientSignal):
            self.warn_once()
        self.signal.update(divisor)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, in tensors and plain values."""
        state = {name: getattr(self, name) for name in ("before", "indices")}
        return super().state_dict() | state | {"closed": self.gates.closed(), "signal": self.signal.state_dict(),
                        "scales": [self.cost.scale, self.clock.scale]}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        state = dict(state_dict)
        self.restored = {name: state.pop(name) for name in ("closed", "signal")}
        self.cost.scale, self.clock.scale = state.pop("scales")
        super().load_state_dict(state)
        self.removal_log.truncate_after(self.step)

    def remove(self, trainer: pl.Trainer) -> None:
        """One removal: maps are masked; where it is time they are cut out and the network is measured.

        Raises:
            GazeError: no gradient since the last removal was finite, so nothing says what each map is worth.
        """
        self.expect(self.signal.ready)
        if not self.gates.closed():
            self.remember()
        taken, more = self._choose()
        rows = [self._close(candidate) for candidate in taken]
        predicted = self.clock.total(self.maps)
        if not more or predicted <= self.budget or self.removals % self.schedule.removals_per_surgery == 0:
            self._operate(trainer)
            self.measure(last=not more)
            self._calibrate()
            if rows:
                rows[-1] = Removal(**{**vars(rows[-1]), "measured_ms": self.measured})
        for row in rows:
            self.removal_log.append(row)
        if getattr(self.signal, "decay", 1.0) == 1.0:
            self.signal.restart()
        self.end_where_done(trainer, more)

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

    def _close(self, candidate: Candidate) -> Removal:
        self.gates.close(candidate.group, candidate.maps)
        return Removal(
            step=self.step,
            layer=candidate.group,
            maps=tuple(self.indices[candidate.group][k] for k in candidate.maps),
            signal=candidate.loss,
            predicted_ms=self.clock.total(self.maps),
            measured_ms=None,
            maps_left=int(self.gates.open[candidate.group].sum()),
            loss=self.loss,
            information_gain=self.gain,
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

    def _calibrate(self) -> None:
        """Corrects the predictions by the last measurement."""
        self.clock.calibrate(self.maps, self.measured)
        if self.cost.unit == self.clock.unit:
            self.cost.calibrate(self.maps, self.measured)

    def end_where_done(self, trainer: pl.Trainer, more: bool) -> None:
        """See `TimedPruning.end_where_done`; gates and signal are needed no more."""
        super().end_where_done(trainer, more)
        if self.finished is not None:
            self.gates.detach()
            self.signal.detach()

    def go_back(self, noted: dict[str, Any]) -> None:
        """See `TimedPruning.go_back`."""
        self.indices = noted["indices"]
        self.gates.reset(find_groups(self.network))
        self.removal_log.truncate_after(noted["step"])

    def notes(self) -> dict[str, Any]:
        """See `TimedPruning.notes`."""
        return super().notes() | {"indices": {name: list(indices) for name, indices in self.indices.items()}}

    def shown(self) -> dict[str, float]:
        """Maps left, predicted and measured milliseconds against the budget."""
        return {"maps": float(sum(self.maps.values())), "predicted": self.clock.total(self.maps),
                "measured": self.measured, "budget": self.budget}  # fmt: skip

    def outcome(self, checkpoint: str, before_gain: float, after_gain: float) -> FasterOutcome:
        """See `PacedPruning.outcome`."""
        gains = (before_gain, after_gain)
        return self.faster(
            checkpoint,
            gains,
            self.removal_log.path,
            self.before,
            {name: self.maps.get(name, 1) for name in self.before},
        )


def _groups(network: nn.Module) -> list[Group]:
    """Those of a network that has some; ConfigError where it has none."""
    if not (groups := find_groups(network)):
        raise ConfigError(f"pruning: no feature map of {type(network).__name__} can leave: it has no group")
    return groups
