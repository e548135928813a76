"""The Lightning callback that has feature maps join a network while it trains, those worth most for their time."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn

from gaze.errors import ConfigError
from gaze.pruning.cost.models import Cost
from gaze.pruning.information.fan_in import SteepestFanIn
from gaze.pruning.information.gradmax import GradMax
from gaze.pruning.information.growth_signal import GrowthSignal
from gaze.pruning.information.signal import GradientSignal, Signal
from gaze.pruning.methods.additions import Addition, Additions, room
from gaze.pruning.methods.base import METHODS
from gaze.pruning.methods.budget import Timed
from gaze.pruning.methods.candidates import Rules, check_exclude
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.outcome import FasterOutcome
from gaze.pruning.methods.removal_log import GROWTH, Removal, RemovalLog
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure import surgery
from gaze.pruning.structure.groups import Group, find_groups, find_pinned
from gaze.pruning.structure.growth import grow, growable

WIDEST = 2
"""The latency table reaches to so many times the maps of a network that growing begins with."""


@METHODS.register("grow")
class Growing(Timed):
    """Has feature maps join `module.network` as long as its measured time fits a budget.

    It begins with the network as it is, or with the share of each group's maps that a signal says is worth most. Then,
    every few updates, those maps join that promise the steepest fall of the loss for the time that they cost, and the
    network is measured: where it does not fit, they are taken out again and fewer are tried. `GradMax` says what maps
    are worth where it is defined, `SteepestFanIn` elsewhere. The predicted time rises by the same factor at each of
    `schedule.removals` additions; after those whatever fits joins. When nothing does, the training ends
    `finetune_updates` later.

    Args:
        signal: makes the signal that a share is kept by.
        cost: what the choice weighs.
        clock: predicts milliseconds; may be the same as `cost`.
        stopwatch: measures a network: milliseconds, the median of many runs.
        budget: milliseconds.
        schedule: when maps join.
        log: where each addition is written down: a row as of a removal, with the indices of the maps that joined.
        removal_log: where what leaves at the start is written down; used with `start`.
        rules: of the choice.
        start: share of each group's maps to begin with, above 0, below 1; None: all.
        seed: of the directions that maps are sought in.
        base: milliseconds of the network as it was given, where they are known already.

    Attributes:
        before: maps of each group of the network as it was given.
        begun: removals before the first addition: 0, or 1 where the network was cut first; None before that.
        narrow: measured time before the first addition, milliseconds.
    """

    IDLE = dict.fromkeys(
        ("pruner.beta", "schedule.removals_per_surgery"), "pruner.method=grow removes nothing by and by"
    )

    def __init__(
        self, signal: Callable[[nn.Module, list[Group]], Signal], cost: Cost, clock: Cost,
        stopwatch: Callable[[nn.Module], float], budget: float, schedule: ScheduleConfig, log: RemovalLog,
        removal_log: RemovalLog | None = None, rules: Rules | None = None, start: float | None = None, seed: int = 0,
        base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(stopwatch, budget, schedule, base)
        self.make_signal, self.cost, self.clock = signal, cost, clock
        self.log_file, self.removal_log, self.rules = log, removal_log, rules or Rules()
        self.start, self.seed = start, seed
        self.before: dict[str, int] = {}
        self.begun: int | None = None
        self.narrow = math.nan
        self.signal: Signal | None = None
        self.growth_signals: list[GrowthSignal] = []
        self.restored: list[Mapping[str, Any]] | None = None

    @classmethod
    def check(cls, job: Job) -> None:
        """Refuses names that no group begins with, a network with nothing to grow, and a share of its own time."""
        found = find_groups(job.unpruned, least=1)
        check_exclude(job.rules.exclude, [group.name for group in found])
        groups = [group.name for group in found if growable(job.unpruned, group)]
        if not any(not name.startswith(tuple(job.rules.exclude)) for name in groups):
            why = f"pruner.exclude={list(job.rules.exclude)}" if groups else _told_of_none(job.unpruned, found)
            raise ConfigError(f"pruner=grow: expected a group that can take more maps, the network has none ({why})")
        if job.start is None and job.budget is not None:
            raise ConfigError(
                f"budget={job.budget}: a share of its own time is nothing that a network can grow to; give "
                "budget_ms=MILLISECONDS, or pruner.start=SHARE of its maps to begin with"
            )

    @classmethod
    def make(cls, job: Job) -> Self:
        """See `PacedPruning.make`: measures the network, and the latency table where there is none that fits.

        Raises:
            ConfigError: the network that growing begins with takes more than the budget as it is.
        """
        stopwatch, budget = job.make_stopwatch()
        if job.start is None:
            _expect_room(stopwatch.base, budget, "the network")
        widest = {g.name: g.maps * (WIDEST if job.start is None else 1) for g in find_groups(job.unpruned, least=1)}
        cost, clock = job.measure_costs(widest)
        log, removal_log = RemovalLog(job.removals.with_name(GROWTH)), None
        if job.start is not None:
            removal_log = RemovalLog(job.removals)
        return cls(job.make_signal, cost, clock, stopwatch, budget, job.schedule, log, removal_log, job.rules,
                   job.start, job.signal_options.seed, stopwatch.base)  # fmt: skip

    @property
    def maps(self) -> dict[str, int]:
        """Maps of each group now."""
        return {group.name: group.maps for group in self.groups}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches signals and measures the network, or goes on where a checkpoint left off."""
        self.groups = find_groups(self.network, least=1)
        rank_zero_info(_told(self.network, self.groups))
        if not self.before:
            self.before = self.maps
            self.measure_base()
            self._calibrate()
            if self.start is None:
                self._begin()
        if self.finished is None:
            self._attach()
        if self.restored:
            for signal, state in zip(self._signals(), self.restored, strict=True):
                signal.load_state_dict(state)

    def read(self, divisor: float) -> None:
        """See `PacedPruning.read`."""
        if isinstance(self.signal, GradientSignal):
            self.warn_once()
        for signal in self._signals():
            signal.update(divisor)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, in tensors and plain values."""
        own = {name: getattr(self, name) for name in ("before", "begun", "narrow")}
        signals = [signal.state_dict() for signal in self._signals()]
        return super().state_dict() | own | {"signals": signals, "scales": [self.cost.scale, self.clock.scale]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        state = dict(state_dict)
        self.restored = state.pop("signals")
        self.cost.scale, self.clock.scale = state.pop("scales")
        super().load_state_dict(state)
        for log in (self.log_file, self.removal_log):
            if log is not None:
                log.truncate_after(self.step)

    def remove(self, trainer: pl.Trainer) -> None:
        """One addition; before the first of them, where it begins with a share of the maps, the others leave.

        Raises:
            ConfigError: what growing begins with takes more than the budget.
            GazeError: no gradient since the last addition was finite, so nothing says what a map would be worth.
        """
        self.expect(any(signal.ready for signal in self._signals()))
        if self.begun is None:
            self._cut(trainer)
            self._begin()
            return self._attach()
        goal = self._goal()
        added = self._add(trainer, goal)
        self._write(added)
        if added:
            self._attach()
        elif goal >= self.budget:
            self.finished = trainer.global_step
            self._detach()

    def shown(self) -> dict[str, float]:
        """Maps, predicted and measured milliseconds against the budget."""
        return {"maps": float(sum(self.maps.values())), "predicted": self.clock.total(self.maps),
                "measured": self.measured, "budget": self.budget}  # fmt: skip

    def outcome(self, checkpoint: str, before_gain: float, after_gain: float) -> FasterOutcome:
        """See `PacedPruning.outcome`."""
        gains = (before_gain, after_gain)
        return self.faster(checkpoint, gains, self.log_file.path, self.before, self.maps)

    def _signals(self) -> list[Any]:
        return [self.signal] if self.signal is not None else self.growth_signals

    def _attach(self) -> None:
        """Hooks the signals that are needed now into the network, in place of those that were."""
        self._detach()
        groups = self._growing()
        if self.begun is None:
            self.signal = self.make_signal(self.network, find_groups(self.network))
            return
        published = GradMax(self.network, groups)
        others = [group for group in groups if group.name not in published.chains]
        most = {group.name: room(self.cost, group.maps, self.rules.multiple)[-1] for group in others}
        self.growth_signals = [published, SteepestFanIn(self.network, others, most, self.seed + self.removals)]

    def _growing(self) -> list[Group]:
        """The groups that maps may join; the others keep what they have from the beginning."""
        exclude = tuple(self.rules.exclude)
        return [g for g in self.groups if growable(self.network, g) and not g.name.startswith(exclude)]

    def _detach(self) -> None:
        for signal in self._signals():
            signal.detach()
        self.signal, self.growth_signals = None, []

    def _begin(self) -> None:
        """Growing begins: the network is as narrow as it gets."""
        self.begun, self.narrow = self.removals, self.measured
        share = "" if self.start is None else f"pruner.start={self.start} "
        _expect_room(self.narrow, self.budget, f"{share}of the maps" if share else "the network")

    def _cut(self, trainer: pl.Trainer) -> None:
        """The maps that are worth least leave, down to a share of each group, and to multiples."""
        assert self.signal is not None
        values, growing = self.signal.values(), {group.name for group in self._growing()}
        gone = {name: self._least(value) for name, value in values.items() if name in growing}
        self.tell(trainer, surgery.remove(self.network, gone))
        self.groups = find_groups(self.network, least=1)
        self.measured = self.afresh(self.network)
        self._calibrate()
        maps, rows = dict(self.before), []
        for name, indices in gone.items():
            if indices:
                maps[name] -= len(indices)
                worth = float(values[name][indices].sum())
                rows.append(self._row(name, tuple(indices), worth, maps))
        self._log(self.removal_log, rows)

    def _least(self, worth: Tensor) -> list[int]:
        """The maps of a group that leave at the start."""
        multiple = self.rules.multiple
        stay = max(1, round((self.start or 1.0) * len(worth) / multiple)) * multiple
        return worth.argsort(stable=True)[: max(0, len(worth) - stay)].tolist()

    def _goal(self) -> float:
        """Predicted time that this addition may reach: it rises by the same factor each time, up to the budget."""
        share = min(1.0, (self.removals - (self.begun or 0)) / self.schedule.removals)
        return self.budget if share == 1 else self.narrow * (self.budget / self.narrow) ** share

    def _add(self, trainer: pl.Trainer, goal: float) -> list[Addition]:
        """Has maps join, as many as are measured to fit; none where none do."""
        taken = self._choose(goal, None)
        while taken:
            kept, groups = self.measured, self.groups
            growth = grow(self.network, self._joining(taken), groups)
            self.tell(trainer, growth)
            self.groups = find_groups(self.network, least=1)
            self.measured = self.afresh(self.network)
            self._calibrate()
            if self.met:
                return taken
            self.tell(trainer, growth.undo(self.network))
            self.groups, self.measured = groups, kept
            self._calibrate()  # lest the network that stays seems as dear as the one that did not fit
            taken = self._choose(goal, len(taken) // 2)
        return []

    def _choose(self, goal: float, most: int | None) -> list[Addition]:
        """What joins now, in order, best first: until the predicted time reaches the goal."""
        values = {name: value for signal in self.growth_signals for name, value in signal.values().items()}
        additions = Additions(values, self.cost, self.rules.exclude, self.rules.multiple)
        maps, taken, count = self.maps, list[Addition](), 0
        limit = self.schedule.maps_per_removal
        while (most is None or len(taken) < most) and (limit is None or count < limit):
            addition = additions.best(maps, lambda wider: self.clock.total(wider) <= goal)
            if addition is None:
                break
            additions.take(addition)
            maps[addition.group] += addition.count
            count += addition.count
            taken.append(addition)
        return taken

    def _joining(self, taken: list[Addition]) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for addition in taken:
            counts[addition.group] = counts.get(addition.group, 0) + addition.count
        return {
            name: signal.joining(name, counts[name])
            for signal in self.growth_signals
            for name in signal.values()
            if name in counts
        }

    def _write(self, added: list[Addition]) -> None:
        """A row an addition, as the network was after it; the last one has the measurement."""
        maps, rows = self.maps, []
        for addition in reversed(added):
            joined = range(maps[addition.group] - addition.count, maps[addition.group])
            rows.append(self._row(addition.group, tuple(joined), addition.value, maps))
            maps[addition.group] -= addition.count
        self._log(self.log_file, rows[::-1])

    def _row(self, name: str, indices: tuple[int, ...], worth: float, maps: Mapping[str, int]) -> Removal:
        time = self.clock.total(maps)
        return Removal(self.step, name, indices, worth, time, None, maps[name], self.loss, self.gain)

    def _log(self, log: RemovalLog | None, rows: list[Removal]) -> None:
        for index, row in enumerate(rows):
            if log is not None:
                last = index == len(rows) - 1
                log.append(Removal(**{**vars(row), "measured_ms": self.measured}) if last else row)

    def _calibrate(self) -> None:
        """Corrects the predictions by the last measurement."""
        self.clock.calibrate(self.maps, self.measured)
        if self.cost.unit == self.clock.unit:
            self.cost.calibrate(self.maps, self.measured)


def _told(network: nn.Module, groups: Sequence[Group]) -> str:
    """What maps can join and what they cannot, in a line or two."""
    open_ = [group for group in groups if growable(network, group)]
    names = ", ".join(f"{group.name} ({group.maps})" for group in open_)
    found = f"growing: maps can join {len(open_)} groups: {names}"
    return found if len(open_) == len(groups) else f"{found}\nnone can join others: {_told_of_none(network, groups)}"


def _told_of_none(network: nn.Module, groups: Sequence[Group]) -> str:
    """Why maps cannot join what none can join."""
    linear = ", ".join(group.name for group in groups if not growable(network, group))
    pinned = ", ".join(map(str, find_pinned(network)))
    return f"pinned: {pinned or 'none'}; linear layers write or read: {linear or 'none'}"


def _expect_room(time: float, budget: float, what: str) -> None:
    if time >= budget:
        raise ConfigError(
            f"budget: growing begins with {what}, which takes {time:.2f} ms; expected more than that, got {budget:.2f}"
        )
