"""Where a run's figures go while it trains: the table in its folder, and the tracker that `trainer.logger` names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from gaze.errors import GazeError, one_line
from gaze.files import write_atomic
from gaze.training.trackers import TRACKERS


@contextmanager
def tracked(
    trainer: pl.Trainer, name: str | None, out: Path, settings: Mapping[str, Any], resume: bool
) -> Iterator[None]:
    """Within it a Trainer tells the tracker `name` what it tells its own loggers.

    What a service calls the run is kept in `out`, so that a run that goes on is one run there too.

    Args:
        trainer: of the run.
        name: of the tracker; None: no other.
        out: folder of the run, which exists.
        settings: of the run, by their full names; a service is told them when the run begins.
        resume: whether it goes on.

    Raises:
        GazeError: the service cannot be reached, or refuses the run.
    """
    if name is None:
        yield
        return
    before = trainer.loggers
    logger = _opened(trainer, name, out, settings, resume)
    trainer.loggers = [*before, logger]
    try:
        yield
    finally:
        trainer.loggers = before
        TRACKERS[name].close(logger)


def _opened(trainer: pl.Trainer, name: str, out: Path, settings: Mapping[str, Any], resume: bool) -> Logger:
    tracker, kept = TRACKERS[name], out / f"{name}_run.txt"
    known = kept.read_text(encoding="utf-8").strip() if resume and kept.is_file() else None
    try:
        logger = tracker.make(out, known)
        run = tracker.run_of(logger) if trainer.is_global_zero else None
        if run is not None and known is None:
            logger.log_hyperparams(dict(settings))
    except Exception as error:  # each service has classes of its own for what it refuses
        raise GazeError(f"trainer.logger={name}: the run cannot be begun there ({one_line(error)})") from error
    if run is not None:
        write_atomic(kept, f"{run}\n".encode(), overwrite=True)
    return logger
