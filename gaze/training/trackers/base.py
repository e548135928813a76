"""What every tracker says: which package it needs, and how Lightning's logger of it is made."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from gaze.errors import ConfigError
from gaze.extras import missing_modules
from gaze.registry import Registry

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

PROJECT = "gaze"
"""What runs are filed under where the environment names no project or experiment."""


class Tracker(ABC):
    """Something that keeps the figures of runs, or a service that does.

    Attributes:
        package: what has to be installed for it, as it is imported and as pip calls it.
    """

    package: ClassVar[str]

    @classmethod
    @abstractmethod
    def make(cls, out: Path, run: str | None) -> "Logger":
        """Lightning's logger of a run.

        Args:
            out: folder of the run.
            run: what the service called the run that goes on; None: a new one.
        """

    @classmethod
    def run_of(cls, logger: "Logger") -> str | None:
        """Begins the run and says what the service calls it; None where a run is its folder."""
        return None

    @classmethod
    def close(cls, logger: "Logger") -> None:
        """Ends what Lightning leaves open when a training is over."""
        return None


TRACKERS: Registry[type[Tracker]] = Registry("gaze.training.trackers", "trainer.logger")


def check_tracker(name: str | None) -> None:
    """Raises ConfigError where there is no tracker of this name, or its package is missing; None is none at all."""
    if name is None:
        return
    package = TRACKERS.get(name).package
    if missing_modules([package]):
        raise ConfigError(f"trainer.logger={name}: {package} is not installed; pip install {package}")
