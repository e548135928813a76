"""CAT2000: Borji and Itti, "CAT2000: a large scale fixation dataset", arXiv:1505.03581, 2015."""

from functools import partial
from pathlib import Path

import numpy as np

from gaze.data.readers.entry import READERS, Entry, folders_in, images_in, require
from gaze.data.readers.maps import check_size, points
from gaze.data.readers.matlab import read_mat
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size

LAYOUT = "CAT2000's trainSet/Stimuli/<category>/*.jpg and trainSet/FIXATIONLOCS/<category>/*.mat"


@READERS.register("cat2000")
def read(root: Path) -> list[Entry]:
    """Lists the 2,000 training images as `<category>/<file>`; their fixations have no subject and no order.

    The folders `Output` inside the categories, which hold drawings of the fixations, are left alone.

    Raises:
        DataError: the files are not there.
    """
    stimuli, locations = root / "trainSet" / "Stimuli", root / "trainSet" / "FIXATIONLOCS"
    images = [path for category in folders_in(stimuli) for path in images_in(category)]
    require(root, LAYOUT, images, locations)
    entries = []
    for path in images:
        name = path.relative_to(stimuli)
        entries.append(Entry(name.as_posix(), path, partial(_fixations, locations / name.with_suffix(".mat"))))
    return entries


def _fixations(path: Path, size: Size) -> Fixations:
    masks = [value for value in read_mat(path).values() if isinstance(value, np.ndarray) and value.ndim == 2]
    if len(masks) != 1:
        raise DataError(f"{path.name}: expected one binary map, found {len(masks)}")
    return points(check_size(masks[0], size, path.name))
