"""Event files in the run's folder, for `tensorboard --logdir`."""

from pathlib import Path
from typing import TYPE_CHECKING

from gaze.training.trackers.base import TRACKERS, Tracker

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """A run that goes on gets another file beside the first."""

    package = "tensorboard"

    @classmethod
    def make(cls, out: Path, run: str | None) -> "Logger":
        """Writes into `out` itself."""
        from pytorch_lightning.loggers import TensorBoardLogger

        return TensorBoardLogger(out, name="", version="")
