"""Fixations to maps over the pixels of the stimulus."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.fixations import Fixations
from gaze.geometry import Size


def fixation_map(fixations: Fixations, size: Size) -> NDArray[np.float32]:
    """Counts fixations per pixel, unblurred; those outside the stimulus count nowhere.

    Returns:
        float32 size.height x size.width, whole numbers >= 0.
    """
    kept = fixations.select(fixations.inside(size.width, size.height))
    columns = np.floor(kept.x + 0.5).astype(np.int64)
    rows = np.floor(kept.y + 0.5).astype(np.int64)
    counts = np.bincount(rows * size.width + columns, minlength=size.height * size.width)
    return counts.reshape(size.height, size.width).astype(np.float32)


def fixation_density(fixations: Fixations, size: Size, sigma: float) -> NDArray[np.float32]:
    """The fixation map under `blurred`, a Gaussian of `sigma` pixels.

    Returns:
        float32 size.height x size.width >= 0, sum 1.

    Raises:
        ValueError: no fixation lies inside the stimulus, or `sigma` is not above 0.
    """
    counts = fixation_map(fixations, size)
    if not counts.any():
        raise ValueError("no fixation inside the stimulus, so there is no density")
    return blurred(counts, sigma)


def blurred(values: NDArray, sigma: float) -> NDArray[np.float32]:
    """Blurs a map (H x W >= 0) with a Gaussian of `sigma` pixels, cut at 4 sigma, and makes it sum to 1.

    Mass that falls over the border is lost before the map is normalised, so no fixation is mirrored back in. A
    prediction that is compared with a fixation density is blurred by this too: one rule at the border for both.

    Raises:
        ValueError: `sigma` is not above 0, or the map is as `normalise` does not take it.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0 pixels, got {sigma}")
    width = 2 * int(np.ceil(4 * sigma)) + 1
    return normalise(cv2.GaussianBlur(values, (width, width), sigma, borderType=cv2.BORDER_CONSTANT))


def normalise(values: NDArray) -> NDArray[np.float32]:
    """Makes a map of numbers >= 0 (H x W) sum to 1, as float32.

    Raises:
        ValueError: a value is negative or not finite, or all are 0.
    """
    total = values.sum(dtype=np.float64)
    if not np.isfinite(total) or total <= 0 or values.min() < 0:
        raise ValueError("a density needs finite values >= 0 that are not all 0")
    return (values / total).astype(np.float32)
