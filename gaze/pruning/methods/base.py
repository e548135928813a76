"""What all pruning callbacks share: schedule, stop, confirmation and state."""

import copy
import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

from gaze.errors import ConfigError, GazeError
from gaze.models.network import GazeNetwork
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.outcome import Outcome
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.followers import Change, followers
from gaze.pruning.structure.snapshot import Restoration, Snapshot
from gaze.registry import Registry

CONFIRMATIONS = 5
"""Fresh measurements of a network that seems to fit."""


class PacedPruning(pl.Callback, ABC):
    """Removes something of `module.network` every few updates, and ends the training some updates after the last.

    Args:
        schedule: when.

    Attributes:
        finished: the step of the last removal; None while pruning goes on.
        removals: how many there were.
        step: the last update.
        losses: of the batches since the last removal: the mean over the examples of each, and how many these are.
    """

    IDLE: Mapping[str, str] = {}
    """Keys of the configuration (glob patterns) that the method does not ask for, and why."""

    def __init__(self, schedule: ScheduleConfig) -> None:
        schedule.check()
        self.schedule = schedule
        self.finished: int | None = None
        self.removals, self.step, self.examples = 0, 0, 0
        self.losses: list[tuple[float, int]] = []

    @classmethod
    def check(cls, job: Job) -> None:
        """Refuses what the method cannot do, before anything is measured or written.

        Raises:
            ConfigError: a setting does not fit the method or the network.
        """

    @classmethod
    @abstractmethod
    def make(cls, job: Job) -> "PacedPruning":
        """The callback for a job; may measure the engine first."""

    @abstractmethod
    def read(self, divisor: float) -> None:
        """Takes in a backward pass; `divisor` is as in `Signal.update`."""

    @abstractmethod
    def remove(self, trainer: pl.Trainer) -> None:
        """Removes; sets `finished` where that was the last time."""

    @abstractmethod
    def shown(self) -> dict[str, float]:
        """What progress bar and loggers tell."""

    @abstractmethod
    def outcome(self, checkpoint: str, before_gain: float, after_gain: float) -> Outcome:
        """What came of it, once the training is over; the arguments are as in `Outcome`."""

    @property
    def loss(self) -> float | None:
        """Mean over the examples since the last removal; None where there was none."""
        examples = sum(count for _, count in self.losses)
        return sum(mean * count for mean, count in self.losses) / examples if examples else None

    def expect(self, signal: bool) -> None:
        """Refuses to choose by nothing.

        Raises:
            GazeError: there is no signal, as no gradient since the last removal was finite.
        """
        if not signal:
            raise GazeError(
                f"pruning, update {self.step}: expected finite gradients since the last removal, got none; "
                "set trainer.precision=bf16-mixed or 32-true, or raise schedule.updates_per_removal"
            )

    def tell(self, trainer: pl.Trainer, cut: Change) -> None:
        """Has the trainer's optimisers and callbacks follow a change of the network."""
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        for follower in followers(callbacks, trainer.optimizers):
            follower.follow(cut)

    def rate(self, step: int) -> float:
        """Factor of the learning rates at a step: a short rise, 1 while pruning, then a cosine to 0."""
        length = max(1, self.schedule.finetune_updates)
        if self.finished is None:
            return min(1.0, (step + 1) / max(1, length // 10))
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - self.finished) / length)))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses modules without a gaze network, and several processes, whose copies surgery would leave behind."""
        found: Any = getattr(pl_module, "network", None)
        if not isinstance(found, GazeNetwork):
            raise ConfigError(f"pruning: expected a GazeNetwork as the module's network, got {type(found).__name__}")
        if trainer.world_size > 1:
            raise ConfigError(f"pruning runs in one process, the trainer has {trainer.world_size}: set devices=1")
        self.network = found

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Counts the examples of a batch."""
        self.examples = len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0])

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads the signal, free of what mixed precision scaled the loss by."""
        if self.finished is None:
            scaler: Any = getattr(trainer.precision_plugin, "scaler", None)
            scale = scaler.get_scale() if scaler else 1.0
            self.read(self.examples * trainer.accumulate_grad_batches / scale)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Removes when it is time to, and ends the training when it is over."""
        # Lightning tells each batch's share of an update: its mean over the number of batches that are accumulated
        if self.finished is None:
            self.losses.append((float(outputs["loss"]) * trainer.accumulate_grad_batches, self.examples))
        if trainer.global_step == self.step:  # gradients are being accumulated
            return
        self.step = trainer.global_step
        if self.finished is None and self.step % self.schedule.updates_per_removal == 0:
            self.removals += 1
            self.remove(trainer)
            self.losses.clear()
            pl_module.log_dict(self.shown(), prog_bar=True, logger=bool(trainer.loggers), on_step=True)
        if self.finished is not None and self.step - self.finished >= self.schedule.finetune_updates:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, in tensors and plain values."""
        return {name: getattr(self, name) for name in ("finished", "removals", "step", "losses")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        for name, value in state_dict.items():
            setattr(self, name, value)
        # earlier checkpoints hold the means alone
        self.losses = [(loss, 1) if isinstance(loss, float) else (loss[0], loss[1]) for loss in self.losses]


class TimedPruning(PacedPruning):
    """Pruning towards a budget of milliseconds, which the network is measured against.

    Of many noisy measurements the first that fits is likely a lucky one. So a network that seems to fit is measured
    `CONFIRMATIONS` times afresh: the median of these decides, and it is what is reported. Where the budget is missed,
    the fastest network that there was is kept.

    Args:
        stopwatch: measures a network: milliseconds, the median of many runs.
        budget: milliseconds.
        schedule: when maps leave.
        base: milliseconds of the unpruned network, where they are known already.

    Attributes:
        base: measured time before the first removal, milliseconds.
        measured: the last measured time; where it fits, the median of fresh measurements.
    """

    def __init__(
        self, stopwatch: Callable[[GazeNetwork], float], budget: float, schedule: ScheduleConfig,
        base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(schedule)
        self.stopwatch, self.budget = stopwatch, budget
        self.base = self.measured = self.fastest = math.nan if base is None else base
        self.earlier: dict[str, Any] | None = None

    @property
    def met(self) -> bool:
        """Whether the measured time fits the budget."""
        return self.measured <= self.budget

    def measure_base(self) -> None:
        """Times the unpruned network where its time is not known, and confirms it where it fits already."""
        if math.isnan(self.base):
            self.base = self.stopwatch(self.network)
        self.measured = self.fastest = self.base
        if self.met:
            self.measured = self._afresh(self.network)

    def measure(self, last: bool = False) -> None:
        """Times the network as it is now; afresh where it seems to fit, and where nothing more can be removed."""
        self.measured = self.stopwatch(self.network)
        if self.met or last:
            self.measured = self._afresh(self.network)
        if self.measured < self.fastest:
            self.fastest, self.earlier = self.measured, None

    def notes(self) -> dict[str, Any]:
        """What is to be known of the network before this removal, should the pruning go back to it; plain values."""
        return {"step": self.step - 1, "removals": self.removals - 1}

    def remember(self) -> None:
        """Keeps the network, should it turn out to be the fastest: before maps of it are masked."""
        if self.earlier is None:
            self.earlier = {"snapshot": Snapshot.of(self.network).state_dict(), **self.notes()}

    def keep_fastest(self, trainer: pl.Trainer) -> dict[str, Any] | None:
        """Goes back to an earlier network if fresh measurements show that it is faster.

        Returns:
            The `notes` on that one; None where the network is the fastest that there was.
        """
        if self.earlier is None:
            return None
        snapshot, earlier = Snapshot.load(self.earlier["snapshot"]), copy.deepcopy(self.network)
        Restoration(snapshot, earlier)
        time = self._afresh(earlier)
        if time >= self.measured:
            return None
        noted, self.earlier = self.earlier, None
        self.measured, self.removals = time, noted["removals"]
        self.tell(trainer, Restoration(snapshot, self.network))
        return noted

    def state_dict(self) -> dict[str, Any]:
        """See `PacedPruning.state_dict`."""
        return super().state_dict() | {name: getattr(self, name) for name in ("base", "measured", "fastest", "earlier")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`. Where the budget is a share, milliseconds stay those of the run's first part."""
        super().load_state_dict(state_dict)
        self.fastest = state_dict.get("fastest", self.measured)  # earlier checkpoints hold none
        if isinstance(self.stopwatch, Stopwatch) and self.stopwatch.relative:
            self.budget *= self.base / self.stopwatch.base
            self.stopwatch.base = self.base

    def _afresh(self, network: GazeNetwork) -> float:
        return statistics.median(self.stopwatch(network) for _ in range(CONFIRMATIONS))


METHODS: Registry[type[PacedPruning]] = Registry("gaze.pruning.methods", "method")
"""The methods by their names in `pruner.method`."""
