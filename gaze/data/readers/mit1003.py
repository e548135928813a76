"""MIT1003: Judd, Ehinger, Durand, Torralba, "Learning to predict where humans look", ICCV 2009."""

from functools import partial
from pathlib import Path

import numpy as np

from gaze.data.readers.entry import READERS, Entry, Gaze, folders_in, images_in, require
from gaze.data.readers.fixatons import read_fixatons
from gaze.data.readers.maps import points, read_grey
from gaze.data.readers.matlab import read_mat
from gaze.data.readers.samples import detect_fixations
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size

LAYOUT = (
    "MIT1003's ALLSTIMULI/*.jpeg with DATA/<subject>/*.mat or ALLFIXATIONMAPS/*.jpg,"
    " or FixaTons' STIMULI/ with SCANPATHS/<image>/<subject>"
)
RATE = 240.0
"""Samples per second of the eye tracker (Judd et al. 2009)."""
DISPERSION = 35.0
"""Pixels, about one degree of visual angle."""
SHORTEST = 100.0
"""Milliseconds, customary for fixations by dispersion (Salvucci and Goldberg 2000)."""


@READERS.register("mit1003")
def read(root: Path) -> list[Entry]:
    """Lists the images of either layout.

    In the official one the gaze of an image is the first of these that exists: the raw samples in `DATA/`,
    the points in `ALLFIXATIONMAPS/<name>_fixPts.jpg`, and, as a density, `<name>_fixMap.jpg`. The authors
    find fixations in the samples with MATLAB code (`checkFixations`, by acceleration); here it is done by
    dispersion within one degree, so the fixations resemble theirs but are not the same.

    Raises:
        DataError: there are no images or no gaze.
    """
    if (root / "STIMULI").is_dir():
        return read_fixatons(root, LAYOUT)
    images = images_in(root / "ALLSTIMULI")
    require(root, LAYOUT, images, [path for path in (root / "DATA", root / "ALLFIXATIONMAPS") if path.is_dir()])
    return [Entry(path.name, path, partial(_gaze, root, path)) for path in images]


def _gaze(root: Path, image: Path, size: Size) -> Gaze:
    viewings = []
    for number, subject in enumerate(folders_in(root / "DATA")):
        path = subject / f"{image.stem}.mat"
        if path.exists():
            viewings.append(detect_fixations(_samples(path), RATE, DISPERSION, SHORTEST, number))
    if viewings:
        return Fixations.join(viewings)
    maps = root / "ALLFIXATIONMAPS"
    marked, blurred = maps / f"{image.stem}_fixPts.jpg", maps / f"{image.stem}_fixMap.jpg"
    if marked.exists():
        return points(np.greater(read_grey(marked, size), 127))  # JPEG leaves faint rings around the points
    if blurred.exists():
        return read_grey(blurred, size)
    raise DataError("no file in DATA/<subject>/ and no map in ALLFIXATIONMAPS/ for this image")


def _samples(path: Path) -> np.ndarray:
    """Reads `<image>.DATA.eyeData`, T x 2 or wider, of the first showing."""
    try:
        (trial,) = read_mat(path).values()
        samples = np.asarray(np.atleast_1d(trial.DATA)[0].eyeData, np.float64)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path.parent.name}/{path.name}: expected one struct with DATA.eyeData") from error
    if samples.ndim != 2 or samples.shape[1] < 2:
        raise DataError(f"{path.parent.name}/{path.name}: expected DATA.eyeData of T x 2, got {samples.shape}")
    return samples
