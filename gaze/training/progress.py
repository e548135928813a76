"""How far a training has come: Lightning's bar on a terminal, elsewhere a plain line an epoch."""

import sys
from collections.abc import Mapping

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, TQDMProgressBar

from gaze.progress import is_terminal, say


def make_progress_bar(refresh_rate: int) -> ProgressBar:
    """What suits where the command runs; Lightning writes its bar to standard output.

    Args:
        refresh_rate: batches between two updates of the bar.
    """
    if is_terminal(sys.stdout) and is_terminal(sys.stderr):
        return TQDMProgressBar(refresh_rate=refresh_rate)
    return EpochLines()


class EpochLines(ProgressBar):
    """Writes a line after each epoch to standard error, with what a bar would show."""

    def __init__(self) -> None:
        super().__init__()
        self.enable()

    def enable(self) -> None:
        """Has the lines written."""
        self.enabled = True

    def disable(self) -> None:
        """Leaves the lines out, as in all but the first of several processes."""
        self.enabled = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the line; the epoch's validation is over."""
        if self.enabled:
            of = f" of {trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
            say(f"epoch {trainer.current_epoch + 1}{of}: {_listed(self.get_metrics(trainer, pl_module))}")


def _listed(metrics: Mapping[str, object]) -> str:
    """Names and values; a value to four digits."""
    shown = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in metrics.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
