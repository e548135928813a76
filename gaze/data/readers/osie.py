"""OSIE: Xu et al., "Predicting human gaze beyond pixels", Journal of Vision 14(1):28, 2014."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gaze.data.readers.entry import READERS, Entry, images_in, require
from gaze.data.readers.matlab import read_mat
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size

LAYOUT = "OSIE's stimuli/*.jpg and eye/fixations.mat"


@READERS.register("osie")
def read(root: Path) -> list[Entry]:
    """Lists the images in `stimuli/` with the fixations of `eye/fixations.mat`, held in memory (1 MB).

    The coordinates are taken as 0-based, as an eye tracker writes them: over all 98,321 fixations x runs from
    1.2 to 799.2 and y from 1.2 to 599.2 on 800 x 600 images, so none needs 800 or 600 to be a pixel.

    Raises:
        DataError: the files are not there, or the MAT file is damaged or laid out differently.
    """
    return read_official(root, LAYOUT)


def has_mat(root: Path) -> bool:
    """Tells whether `root`, or the folder `data` in it as in the authors' repositories, holds `eye/fixations.mat`."""
    return _mat(_inner(root)).is_file()


def read_official(root: Path, layout: str) -> list[Entry]:
    """Lists the images of a set that its authors laid out as OSIE, in `root` or in `data/` below it.

    Raises:
        DataError: the files are not there; the message gives `layout`. Or the MAT file is damaged or laid out
            differently.
    """
    folder = _inner(root)
    images, mat = images_in(folder / "stimuli"), _mat(folder)
    require(root, layout, mat, images)
    try:
        viewings = {str(cell.img): cell.subjects for cell in np.atleast_1d(read_mat(mat)["fixations"])}
    except (KeyError, AttributeError) as error:
        raise DataError(f"{mat}: expected fixations{{i}} with img and subjects") from error
    return [Entry(path.name, path, partial(_fixations, viewings.get(path.name))) for path in images]


def _inner(root: Path) -> Path:
    return root / "data" if _mat(root / "data").is_file() else root


def _mat(folder: Path) -> Path:
    return folder / "eye" / "fixations.mat"


def _fixations(subjects: Any, size: Size) -> Fixations:
    if subjects is None:
        raise DataError("fixations.mat does not list this image")
    parts = []
    for number, subject in enumerate(np.atleast_1d(subjects)):
        try:
            x, y, duration = (np.atleast_1d(getattr(subject, f"fix_{name}")) for name in ("x", "y", "duration"))
        except AttributeError as error:
            raise DataError("fixations.mat: expected subjects{j} with fix_x, fix_y, fix_duration") from error
        parts.append(Fixations.of(x, y, number, np.arange(len(x)), duration))
    return Fixations.join(parts)
