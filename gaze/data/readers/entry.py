"""What every reader returns: the images of a set in order, each with a way to read its gaze in its turn."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size
from gaze.images import SUFFIXES
from gaze.registry import Registry

Gaze = Fixations | NDArray[np.generic]
"""Fixations, or a saliency map (H x W >= 0) where the set has no points."""

_SUFFIXES = {suffix for group in SUFFIXES.values() for suffix in group}


@dataclass(frozen=True)
class Entry:
    """One image of a data set, not yet read.

    Attributes:
        name: unique within the set.
        image: the file.
        gaze: reads the gaze on this image, given the size of the upright image in pixels.
        split: the set's official one, None where it has none.
        heads: M x 4, left, top, right and bottom of each in pixels of the upright image; None where none are labelled.
    """

    name: str
    image: Path
    gaze: Callable[[Size], Gaze]
    split: str | None = None
    heads: NDArray[np.float32] | None = None


Reader = Callable[[Path], list[Entry]]

READERS: Registry[Reader] = Registry("gaze.data.readers", "reader")
"""Name in `reader` of `gaze/conf/data/*.yaml` -> what reads the folder of such a set."""


def require(root: Path, layout: str, *parts: Iterable[Path] | Path) -> None:
    """Checks that every part of a data set is there: a path that exists, or a listing that is not empty.

    Raises:
        DataError: one line that names the folder and the layout expected.
    """
    for part in parts:
        if not (part.exists() if isinstance(part, Path) else any(True for _ in part)):
            raise DataError(f"data.root={root}: expected {layout}")


def images_in(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if is_image(path))


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in `folder`, sorted by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def is_image(path: Path) -> bool:
    """Tells by its name whether a file is an image; hidden files are not."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
