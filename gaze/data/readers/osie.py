"""OSIE: Xu et al., "Predicting human gaze beyond pixels", Journal of Vision 14(1):28, 2014."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from gaze.data.readers.entry import Entry, images_in, require
from gaze.data.records import Fixations
from gaze.errors import DataError

LAYOUT = "OSIE's stimuli/*.jpg and eye/fixations.mat"


def read(root: Path) -> list[Entry]:
    """Lists the images in `stimuli/` with the fixations of `eye/fixations.mat`, held in memory (1 MB).

    The coordinates are taken as 0-based, as an eye tracker writes them: over all 98,321 fixations x runs from
    1.2 to 799.2 and y from 1.2 to 599.2 on 800 x 600 images, so none needs 800 or 600 to be a pixel.

    Raises:
        DataError: the files are not there, or the MAT file is damaged or laid out differently.
    """
    images, mat = images_in(root / "stimuli"), root / "eye" / "fixations.mat"
    require(root, LAYOUT, mat, images)
    try:
        cells = scipy.io.loadmat(mat, squeeze_me=True, struct_as_record=False)["fixations"]
        viewings = {str(cell.img): np.atleast_1d(cell.subjects) for cell in np.atleast_1d(cells)}
    except Exception as error:  # scipy raises whatever it stumbled over
        raise DataError(f"{mat}: not OSIE's fixations.mat ({error})") from error
    return [Entry(path.name, path, partial(_fixations, viewings.get(path.name))) for path in images]


def _fixations(subjects: Any) -> Fixations:
    if subjects is None:
        raise DataError("fixations.mat does not list this image")
    parts = []
    for number, subject in enumerate(subjects):
        x = np.atleast_1d(subject.fix_x)
        parts.append(Fixations.of(x, subject.fix_y, number, np.arange(len(x)), subject.fix_duration))
    return Fixations.join(parts)
