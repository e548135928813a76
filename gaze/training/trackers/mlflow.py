"""MLflow, at `MLFLOW_TRACKING_URI` or where MLflow keeps its figures without."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaze.training.trackers.base import PROJECT, TRACKERS, Tracker

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@TRACKERS.register("mlflow")
class MLflow(Tracker):
    """A run that goes on has the id that it had."""

    package = "mlflow"

    @classmethod
    def make(cls, out: Path, run: str | None) -> "Logger":
        """The run is called after its folder, the experiment `MLFLOW_EXPERIMENT_NAME` or gaze."""
        import mlflow
        from pytorch_lightning.loggers import MLFlowLogger

        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        where = mlflow.get_tracking_uri()
        return MLFlowLogger(experiment, run_name=out.resolve().name, tracking_uri=where, run_id=run)

    @classmethod
    def run_of(cls, logger: Any) -> str | None:
        """Its id."""
        return str(logger.run_id)
