"""Labelled heads under the changes to a photograph: pure functions, as the target of the heads readout needs them."""

import numpy as np
from numpy.typing import NDArray

from gaze.geometry import Box

SMALLEST = 576
"""Pixels of the photograph: a head of a smaller area does not count, for or against."""

HEAD = 5
"""Left, top, right and bottom in shares of the window's sides, 0 to 1; and 1 where the head counts, else 0."""


def window_heads(heads: NDArray[np.float32] | None, box: Box) -> NDArray[np.float32]:
    """The heads within a window of a photograph, cut off at its sides: M x `HEAD`.

    Args:
        heads: N x 4, left, top, right and bottom in pixels of the photograph; None gives none.
        box: the window.
    """
    if heads is None:
        return np.zeros((0, HEAD), np.float32)
    counted = (heads[:, 2] - heads[:, 0]) * (heads[:, 3] - heads[:, 1]) >= SMALLEST
    sides = ((heads - [box.left, box.top] * 2) / ([box.width, box.height] * 2)).clip(0, 1)
    seen = (sides[:, 2:] > sides[:, :2]).all(axis=1)
    return np.column_stack([sides, counted])[seen].astype(np.float32)


def mirrored(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heads, M x `HEAD`, of the window mirrored left to right."""
    left, top, right, bottom, counted = rows.T
    return np.stack([1 - right, top, 1 - left, bottom, counted], axis=1)


def padded(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """The same with rows of NaN below, up to `most`."""
    return np.pad(rows, ((0, most - len(rows)), (0, 0)), constant_values=np.nan)
