"""Averaged weights, of a network that may lose maps meanwhile."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import nn

from gaze.models.widths import set_widths
from gaze.pruning.structure.followers import Change


class Averaging(EMAWeightAveraging):
    """Lightning's moving average of the weights, for modules whose `network` may lose maps."""

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
        """Narrows the averaged network to the checkpoint's before its weights are loaded."""
        if self._average_model is not None:
            network: nn.Module = self.network
            set_widths(network, checkpoint.get("widths", {}))
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
