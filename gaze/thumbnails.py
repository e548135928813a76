"""Density + aspect ratio -> the box to cut out: arithmetic only, no files and no model.

The box is the window that holds most of the predicted gaze, never the surroundings of its brightest pixel:
taking the single most salient point amplifies small differences between people into large ones, the "argmax
bias" of Yee, Tantipongpipat and Mishra 2021, "Image cropping on Twitter: fairness metrics, their limitations,
and the importance of representation, design, and agency".
"""

from dataclasses import dataclass

import numpy as np

from gaze.geometry import AspectRatio, Box, Size

TIE = 1e-6
"""Windows whose shares of gaze differ by less are equally good; the most central of them wins."""


@dataclass(frozen=True)
class Crop:
    """A chosen box and how good it is."""

    ratio: AspectRatio
    box: Box
    """In pixels of the image that was given; of a file, upright."""
    score: float
    """Share of the predicted gaze inside the box, 0 to 1."""
    center_score: float
    """The same for the window of this size in the centre of the image."""


def best_crop(density: np.ndarray, size: Size, ratio: AspectRatio) -> Crop:
    """Finds the largest window of an aspect ratio that holds most of the density.

    Args:
        density: h x w, at least 0, with some mass; a map of the whole image at any resolution.
        size: of the image, in whose pixels the box is counted.
        ratio: width to height of the box.
    """
    table = summed_area(density)
    box = best_window(table, size, ratio.largest(size))
    return Crop(ratio, box, box_mass(table, size, box), box_mass(table, size, central_window(size, box.size)))


def summed_area(density: np.ndarray) -> np.ndarray:
    """The summed-area table of a map, scaled so that all of it sums to 1 (Crow 1984).

    Returns:
        float64, (h + 1) x (w + 1): cell [y, x] holds the sum of the rows above y and the columns left of x.
    """
    table = np.zeros((density.shape[0] + 1, density.shape[1] + 1))
    np.cumsum(density, axis=0, dtype=np.float64, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    return table / table[-1, -1]


def best_window(table: np.ndarray, size: Size, window: Size) -> Box:
    """Finds, among all places of `window` in an image of `size`, the one that holds most of the density.

    Every whole pixel of the image is tried, also where the map is coarser: its cells count as evenly filled.

    Args:
        table: see `summed_area`.
        size: of the image, in whose pixels the box is counted.
        window: at most as large as `size`.
    """
    lefts, tops = np.arange(size.width - window.width + 1), np.arange(size.height - window.height + 1)
    rows = _between(table, tops, tops + window.height, size.height)
    mass = _between(rows.T, lefts, lefts + window.width, size.width).T
    center = central_window(size, window)
    distance = (tops[:, None] - center.top) ** 2 + (lefts[None, :] - center.left) ** 2
    nearest = np.argmin(np.where(mass >= mass.max() - TIE, distance, np.inf))
    top, left = np.unravel_index(nearest, mass.shape)
    return Box(int(left), int(top), window.width, window.height)


def central_window(size: Size, window: Size) -> Box:
    """The window in the centre of an image, to half a pixel."""
    left, top = (size.width - window.width) // 2, (size.height - window.height) // 2
    return Box(left, top, window.width, window.height)


def box_mass(table: np.ndarray, size: Size, box: Box) -> float:
    """The share of the density inside a box in pixels of an image of `size`; `table` as in `summed_area`."""
    rows = _between(table, np.array([box.top]), np.array([box.bottom]), size.height)
    mass = _between(rows.T, np.array([box.left]), np.array([box.right]), size.width)
    return float(np.clip(mass[0, 0], 0.0, 1.0))


def _between(table: np.ndarray, start: np.ndarray, stop: np.ndarray, pixels: int) -> np.ndarray:
    """Differences of the rows at `stop` and `start`, which count `pixels` over the height of the table."""
    return _rows(table, stop / pixels) - _rows(table, start / pixels)


def _rows(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Rows of a table at places from 0 (first) to 1 (last), linear between rows."""
    place = place * (len(table) - 1)
    above = np.minimum(place.astype(np.intp), len(table) - 2)
    weight = (place - above)[:, None]
    return table[above] * (1 - weight) + table[above + 1] * weight
