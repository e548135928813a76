"""The Lightning callback that sets single weights to zero while a network trains: `method=weights`."""

from dataclasses import dataclass
from typing import Any, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from gaze.errors import ConfigError
from gaze.models.widths import Replaced
from gaze.pruning.information.weight_fisher import ParameterFisher
from gaze.pruning.methods.base import METHODS, PacedPruning
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.outcome import SparserOutcome
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.groups import convolution


@METHODS.register("weights")
class WeightPruning(PacedPruning):
    """Masks the convolution weights with the least Delta_i = F_i theta_i^2 / 2 until a share of them is left.

    The masks have no structure, so an engine for dense networks gains no time by them. Removal i of N leaves the share
    keep^(i/N); the last map of a layer is not protected, as a layer of zeros is still a layer.

    Args:
        keep: share of all convolution weights that stays, above 0, below 1.
        schedule: when; `maps_per_removal` and `removals_per_surgery` are not used.
        decay: of the signal, see `ParameterFisher`.
    """

    IDLE = dict.fromkeys(
        (
            "pruner.signal",
            "pruner.start",
            "pruner.cost",
            "pruner.beta",
            "pruner.exclude",
            "pruner.multiple",
            "engine",
            "threads",
            "size",
            "rounds",
            "latency",
            "schedule.maps_per_removal",
            "schedule.removals_per_surgery",
        ),
        "pruner.method=weights prunes single weights",
    )

    def __init__(self, keep: float, schedule: ScheduleConfig, decay: float = 1.0) -> None:
        if not 0 < keep < 1:
            raise ConfigError(f"budget: expected a share of the weights between 0 and 1, got {keep}")
        super().__init__(schedule)
        self.keep, self.decay = keep, decay
        self.masks: dict[str, Tensor] = {}
        self.state: Any = None

    @classmethod
    def check(cls, job: Job) -> None:
        """Refuses a budget of time."""
        if job.budget is None:
            raise ConfigError("budget_ms: zeros among the weights save no time; give budget=SHARE of the weights")

    @classmethod
    def make(cls, job: Job) -> Self:
        """See `PacedPruning.make`."""
        return cls(job.budget or 0, job.schedule, job.signal_options.decay)

    @property
    def share(self) -> float:
        """Of the convolution weights that are not masked."""
        return sum(int(mask.sum()) for mask in self.masks.values()) / sum(m.numel() for m in self.masks.values())

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attaches the signal."""
        self.signal = ParameterFisher(self.network, self.decay)
        if self.state is not None:
            self.signal.load_state_dict(self.state)
        fresh = {name: torch.ones_like(layer.weight, dtype=torch.bool) for name, layer in self.signal.layers.items()}
        self.masks = {name: mask.to(fresh[name].device) for name, mask in (self.masks or fresh).items()}

    def read(self, divisor: float) -> None:
        """See `PacedPruning.read`."""
        self.warn_once()
        self.signal.update(divisor)

    def remove(self, trainer: pl.Trainer) -> None:
        """Masks down to this removal's share."""
        self.expect(self.signal.ready)
        values = self.signal.values()
        signals = torch.cat([value.masked_fill(~self.masks[name], -1).flatten() for name, value in values.items()])
        share = self.keep ** (self.removals / self.schedule.removals)
        gone = signals.argsort(stable=True)[: round((1 - share) * len(signals))]
        still = torch.ones_like(signals, dtype=torch.bool).index_fill(0, gone, False)
        sizes = [value.numel() for value in values.values()]
        self.masks = {
            name: part.reshape(values[name].shape) for name, part in zip(values, still.split(sizes), strict=True)
        }
        if self.removals == self.schedule.removals:
            self.finished = trainer.global_step
            self.signal.detach()
        elif self.decay == 1:
            self.signal.restart()

    def shown(self) -> dict[str, float]:
        """The share of weights left and the one asked for."""
        return {"weights": self.share, "budget": self.keep}

    def outcome(self, checkpoint: str, before_gain: float, after_gain: float) -> SparserOutcome:
        """See `PacedPruning.outcome`."""
        return SparserOutcome(checkpoint, self.finished is not None, before_gain, after_gain, self.removals, self.step,
                              self.share)  # fmt: skip

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Removes when it is time to; keeps what was removed at zero after every update, in the average as well."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        zeroing = Zeroing(self.masks)
        zeroing.apply(self.network)
        self.tell(trainer, zeroing)

    def state_dict(self) -> dict[str, Any]:
        """See `PacedPruning.state_dict`."""
        return {**super().state_dict(), "masks": self.masks, "state": self.signal.state_dict()}


@dataclass(frozen=True)
class Zeroing:
    """The change that sets convolution weights to zero where the mask of their layer, by its name, is False."""

    masks: dict[str, Tensor]
    replaced: tuple[Replaced, ...] = ()

    @torch.no_grad()
    def apply(self, network: nn.Module) -> None:
        """See `Change.apply`."""
        for name, mask in self.masks.items():
            weight = convolution(network, name).weight
            weight.mul_(mask.to(weight))
