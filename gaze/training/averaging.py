"""Averaged weights, of a network that may lose or gain maps meanwhile."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gaze.models.widths import set_widths
from gaze.pruning.structure.followers import Change


class Averaging(WeightAveraging):
    """Lightning's moving average of the weights, warmed up, for modules whose `network` may lose or gain maps.

    Args:
        decay: 0 to 1, share of the average that an update keeps once it is warm; see `warmed_up`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=warmed_up(decay))

    @property
    def network(self) -> Any:
        """The averaged network."""
        assert self._average_model is not None
        module: Any = self._average_model.module
        return module.network

    def follow(self, cut: Change) -> None:
        """Repeats on the averaged network what was done to the trained one."""
        cut.apply(self.network)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Brings the averaged network to the checkpoint's widths before its weights are loaded."""
        if self._average_model is not None:
            network: nn.Module = self.network
            set_widths(network, checkpoint.get("widths", {}))
        super().on_load_checkpoint(trainer, pl_module, checkpoint)


def warmed_up(decay: float) -> Callable[[Any, Any, Tensor | int], None]:
    """An exponential moving average, average <- d * average + (1 - d) * weights, that forgets its start soon.

    d = min(decay, (1 + n) / (10 + n)) in update n, counted from 0: `num_updates` of TensorFlow's
    `ExponentialMovingAverage`. n is the average's own count, which its checkpoints hold, so a resumed run goes on as
    it would have.
    """

    def update(averages: Any, weights: Any, n: Tensor | int) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(n)) / (10 + int(n))))(averages, weights, n)

    return update
