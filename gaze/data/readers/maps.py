"""Gaze that comes as a picture or matrix over the pixels of the stimulus."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size


def read_grey(path: Path, size: Size) -> NDArray[np.generic]:
    """Reads a grey picture of 8 or 16 bits: H x W uint8 or uint16.

    Raises:
        DataError: it is not a picture, or not as large as the stimulus.
    """
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    values = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH) if encoded.size else None
    if values is None:
        raise DataError(f"{path.name} is not a picture")
    return check_size(np.asarray(values), size, path.name)


def check_size(values: NDArray[np.generic], size: Size, name: str) -> NDArray[np.generic]:
    """Returns `values` if it is H x W of the stimulus.

    Raises:
        DataError: another shape; the message gives both.
    """
    if values.shape != (size.height, size.width):
        shape = " x ".join(str(length) for length in values.shape[::-1])
        raise DataError(f"{name} is {shape}, the image {size.width} x {size.height}")
    return values


def points(mask: NDArray[np.generic]) -> Fixations:
    """One fixation, of unknown subject and order, on the centre of every non-zero pixel of `mask` (H x W)."""
    rows, columns = np.nonzero(mask)
    return Fixations.of(columns, rows)
