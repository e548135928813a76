"""What all pruning callbacks share: when they remove, how the training ends after that, and their state."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import pytorch_lightning as pl
from torch import Tensor, nn

from gaze.errors import ConfigError, GazeError
from gaze.pruning.information.signal import warn_of_batch_statistics
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.outcome import Outcome
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.followers import Change, followers
from gaze.registry import Registry

GAIN = "val/information_gain"
"""What the validation of a gaze network logs."""


class PacedPruning(pl.Callback, ABC):
    """Removes something of a network every few updates, and ends the training some updates after the last.

    The network is the one that the job was made with, if that is the LightningModule or a part of it; else `network` of
    the LightningModule.

    Args:
        schedule: when.

    Attributes:
        finished: the step of the last removal; None while pruning goes on.
        removals: how many there were.
        step: the last update.
        gain: bits per fixation at the last validation; None where there was none.
        losses: of the batches since the last removal: the mean over the examples of each, and how many these are;
            what a training step says is `penalty` is not counted.
        given: the network that it was made for, or a copy of that; None where it is not known.
        summed: whether the loss of a batch is the sum over its examples, not their mean.
    """

    given: nn.Module | None = None
    summed = False
    warned = False

    IDLE: Mapping[str, str] = {"pruner.start": "only pruner=grow begins with a share of the maps"}
    """Keys of the configuration (glob patterns) that the method does not ask for, and why."""

    def __init__(self, schedule: ScheduleConfig) -> None:
        schedule.check()
        self.schedule = schedule
        self.finished: int | None = None
        self.removals, self.step, self.examples = 0, 0, 0
        self.losses: list[tuple[float, int]] = []
        self.gain: float | None = None

    @classmethod
    def check(cls, job: Job) -> None:
        """Refuses what the method cannot do, before anything is measured or written.

        Raises:
            ConfigError: a setting does not fit the method or the network.
        """

    @classmethod
    @abstractmethod
    def make(cls, job: Job) -> Self:
        """The callback for a job; may measure the engine first."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """The callback for a job, checked; as `make`, it may measure the engine first.

        Raises:
            ConfigError: a value of the job makes no sense, or does not fit the method or the network.
        """
        job.check()
        cls.check(job)
        pruning = cls.make(job)
        pruning.given, pruning.summed = job.unpruned, job.loss == "sum"
        return pruning

    def attach(self, module: pl.LightningModule) -> None:
        """Gives the module what the method trains beside the network; before anything copies the module."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The optimiser's groups for that."""
        return []

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

    def warn_once(self) -> None:
        """Says, the first time, where the signal is approximate; see `warn_of_batch_statistics`."""
        if not self.warned:
            self.warned = True
            warn_of_batch_statistics(self.network)

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

    def find(self, module: nn.Module) -> nn.Module:
        """The network that changes: that of the job where it is a part of the module, else the module's `network`.

        Raises:
            ConfigError: the module has neither.
        """
        found = next((part for part in module.modules() if part is self.given), getattr(module, "network", None))
        if not isinstance(found, nn.Module):
            raise ConfigError(
                "pruning: expected the job's network within the LightningModule, or another as its attribute network, "
                f"got {type(found).__name__}"
            )
        return found

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses modules without a network, and several processes, whose copies surgery would leave behind."""
        found = self.find(pl_module)
        if trainer.world_size > 1:
            raise ConfigError(f"pruning runs in one process, the trainer has {trainer.world_size}: set devices=1")
        self.network = found

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Counts the examples of a batch."""
        self.examples = _examples(batch)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads the signal, free of what mixed precision scaled the loss by."""
        if self.finished is None:
            examples = 1 if self.summed else self.examples
            self.read(examples * trainer.accumulate_grad_batches / self.loss_scale(trainer))

    def loss_scale(self, trainer: pl.Trainer) -> float:
        """What mixed precision multiplies the loss by."""
        scaler: Any = getattr(trainer.precision_plugin, "scaler", None)
        return float(scaler.get_scale()) if scaler else 1.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Removes when it is time to, and ends the training when it is over."""
        # Lightning tells each batch's share of an update: its mean over the number of batches that are accumulated
        if self.finished is None:
            loss = float(outputs["loss"]) * trainer.accumulate_grad_batches - float(outputs.get("penalty", 0))
            self.losses.append((loss / self.examples if self.summed else loss, self.examples))
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

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the information gain, of which the trainer of a run that goes on does not know."""
        if GAIN in trainer.callback_metrics:
            self.gain = float(trainer.callback_metrics[GAIN])

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, in tensors and plain values."""
        return {name: getattr(self, name) for name in ("finished", "removals", "step", "losses", "gain")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        for name, value in state_dict.items():
            setattr(self, name, value)
        # earlier checkpoints hold the means alone
        self.losses = [(loss, 1) if isinstance(loss, float) else (loss[0], loss[1]) for loss in self.losses]


def _examples(batch: Any) -> int:
    """How many there are in a batch: rows of the first tensor in it."""
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
    return len(batch)


METHODS: Registry[type[PacedPruning]] = Registry("gaze.pruning.methods", "method")
"""The methods by their names in `pruner.method`."""
