"""Weights & Biases: who is asked, and whether anybody is, its own environment says (`WANDB_MODE=offline`)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaze.training.trackers.base import PROJECT, TRACKERS, Tracker

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@TRACKERS.register("wandb")
class WeightsAndBiases(Tracker):
    """A run that goes on has the id that it had."""

    package = "wandb"

    @classmethod
    def make(cls, out: Path, run: str | None) -> "Logger":
        """Keeps its files in `out/wandb`; the run is called after the folder, the project `WANDB_PROJECT` or gaze."""
        from pytorch_lightning.loggers import WandbLogger

        project = os.environ.get("WANDB_PROJECT", PROJECT)
        return WandbLogger(name=out.resolve().name, save_dir=out, id=run, project=project)

    @classmethod
    def run_of(cls, logger: Any) -> str | None:
        """Its id."""
        return str(logger.experiment.id)

    @classmethod
    def close(cls, logger: Any) -> None:
        """Ends the run, of which there is one a process: the next training would go on with it."""
        logger.experiment.finish()
