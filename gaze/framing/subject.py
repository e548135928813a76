"""What the predicted gaze lies on: the parts of an image that look like what people look at. Arithmetic only.

People look at faces, and a crop is to hold the body as well; at the middle of a building, and a crop is to hold its
roof. No object is detected. The colors of what is looked at are set against those of the rest, and of the border above
all, each as a histogram, and every cell is told by its color how likely it belongs to the former: the color models of
Boykov and Jolly 2001, "Interactive graph cuts for optimal boundary and region segmentation of objects in N-D images"
(section 3), learnt anew from what they found as in Rother, Kolmogorov and Blake 2004, "GrabCut" (section 3.1), with the
gaze in place of a person's strokes. Nothing is cut out: cells keep their probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

BINS = 8
"""Of each channel of CIELAB, between the least and the greatest value in the image."""

LEAST_RANGE = 40
"""Of a channel of CIELAB in OpenCV's bytes: less is not spread over all bins."""

ROUNDS = 3
"""How often the histograms are made, at first of the gaze, then of what they found."""

AROUND = 0.06
"""Standard deviation of what lies around the gaze, in parts of the image's width: what is further off hardly counts."""

BORDER = 0.06
"""Of the width: how wide the border is whose colors count `BORDER_WEIGHT` for what is not looked at; others `INNER`."""

BORDER_WEIGHT, INNER = 1.3, 0.3
GAZE_WEIGHT, FOUND_WEIGHT = 0.3, 3.0

LEAST = 1e-3
"""What a cell counts at least for what is not looked at, before its border: an even gaze leaves nothing else."""


@dataclass(frozen=True)
class Subject:
    """What is looked at, as far as its colors tell.

    Attributes:
        cells: float64, h x w, at least 0, sums to 1: of cells that divide the image evenly.
        distinct: 0 to 1, how far its colors are from those of the rest: 1 less the Bhattacharyya coefficient of the two
            histograms. A crowd among crowds is hardly distinct, a bird in the sky is.
    """

    cells: NDArray[np.float64]
    distinct: float

    @classmethod
    def mean(cls, parts: "Sequence[Subject]") -> "Subject":
        """That of several frames of one size, each counting the same."""
        cells = np.mean([part.cells for part in parts], axis=0)
        return cls(cells, float(np.mean([part.distinct for part in parts])))

    @classmethod
    def of(cls, image: NDArray[np.uint8], density: NDArray) -> "Subject":
        """What the gaze of an image lies on.

        Args:
            image: H x W x 3 uint8, RGB in sRGB; a small one will do, but for the cells of `density`.
            density: h x w, at least 0, with some mass: the gaze in cells that divide the same image evenly.
        """
        high, wide = density.shape
        colors = _colors(_small(image, high, wide))
        gaze = (density * (density.size / density.sum(dtype=np.float64))).astype(np.float32)
        around = cv2.GaussianBlur(gaze, (0, 0), AROUND * wide)
        around /= around.max()
        border, both = _border(high, wide), np.stack([colors, colors + BINS**3])
        weights = np.stack([gaze, np.maximum(1 - gaze, LEAST) * border])
        for _ in range(ROUNDS):
            ours, others = _histograms(both, weights)
            found = (ours / (ours + others + 1e-9)).astype(np.float32).take(colors)
            found = cv2.GaussianBlur(found, (5, 5), 0.8).astype(np.float32, copy=False)
            weights[0] = GAZE_WEIGHT * gaze + FOUND_WEIGHT * found * found * around
            weights[1] = np.maximum((1 - found) ** 2, LEAST) * border
        cells = (found * np.sqrt(around)).astype(np.float64)
        return cls(cells / cells.sum(), float(1 - np.sqrt(ours * others).sum()))


def _colors(image: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The bin of each cell's color, h x w."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    low, high = np.transpose([cv2.minMaxLoc(channel)[:2] for channel in cv2.split(lab)])
    steps = BINS / np.maximum(high - low + 1, LEAST_RANGE)
    bins = np.floor(np.minimum((np.arange(256)[:, None] - low) * steps, BINS - 1)).astype(np.float32)
    number = np.array([[BINS**2, BINS, 1]], np.float32)
    return cv2.transform(cv2.LUT(lab, bins[:, None]), number).astype(np.intp)


def _small(image: NDArray[np.uint8], high: int, wide: int) -> NDArray[np.uint8]:
    """The means of the cells; OpenCV is quickest with two by two pixels."""
    if image.shape[:2] == (4 * high, 4 * wide):
        image = cv2.resize(image, (2 * wide, 2 * high), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


@lru_cache(maxsize=8)
def _border(high: int, wide: int) -> NDArray[np.float32]:
    """What each cell counts for what is not looked at."""
    weights = np.full((high, wide), BORDER_WEIGHT, np.float32)
    by = max(1, round(BORDER * wide))
    weights[by:-by, by:-by] = INNER
    weights.setflags(write=False)  # the next photo of this shape has the same
    return weights


def _histograms(colors: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """The share of each of two weights in each bin; `colors` are the bins, those of the second weight further on."""
    counts = np.bincount(colors.ravel(), weights.ravel(), 2 * BINS**3).reshape(2, -1)
    return counts / counts.sum(axis=1, keepdims=True)
