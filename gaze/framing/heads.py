"""Where a model takes heads to be, the predicted gaze on each, and which windows cut through them: arithmetic only.

Nothing is detected: every cell of the model's output tells how likely its center lies in a head, and how far that
head's sides are (Tian, Shen, Chen and He 2019, "FCOS", section 3.1). So each cell's gaze, times that probability,
speaks for the box that the cell tells of; no box is dropped for another, and there is no threshold to be above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.geometry import Size

PARTLY = 0.05
"""Of a head's width and height, what may stick out on a side, or in, before it counts as partly inside."""

LEAST = 1e-5
"""Share of the gaze below which a cell speaks for no head."""


@dataclass(frozen=True)
class Heads:
    """Heads of an image, or what many cells say of the same ones.

    Attributes:
        boxes: float64, N x 4, left, top, right and bottom in shares of the image's sides, 0 to 1; none is empty.
        gaze: float64, N, at least 0: the share of the predicted gaze that is on each; sums to at most 1.
    """

    boxes: NDArray[np.float64]
    gaze: NDArray[np.float64]

    @classmethod
    def read(cls, output: NDArray, density: NDArray) -> "Heads":
        """What a model's output `heads` says.

        Args:
            output: 5 x rows x columns, of cells that divide the image evenly: the logit of "the center of this cell
                lies in a head", and the natural logarithms of the distances to its left, top, right and bottom side,
                in cells.
            density: h x w, sums to 1: the gaze in cells that divide the same image evenly.
        """
        rows, columns = output.shape[1:]
        gaze = cv2.resize(density, (columns, rows), interpolation=cv2.INTER_AREA)
        gaze = gaze / gaze.sum(dtype=np.float64) / (1 + np.exp(-np.maximum(output[0], -80)))
        row, column = np.nonzero(gaze >= LEAST)
        sides = np.exp(np.minimum(output[1:, row, column], 20)).astype(np.float64)
        x, y = column + 0.5, row + 0.5
        corners = [(x - sides[0]) / columns, (y - sides[1]) / rows, (x + sides[2]) / columns, (y + sides[3]) / rows]
        boxes = np.stack(corners, axis=1).clip(0, 1)
        there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return cls(boxes[there], gaze[row[there], column[there]].astype(np.float64))

    @classmethod
    def mean(cls, parts: "Sequence[Heads]") -> "Heads":
        """Those of several frames, each with its share of the gaze."""
        gaze = np.concatenate([part.gaze for part in parts]) / len(parts)
        return cls(np.concatenate([part.boxes for part in parts]), gaze)

    def inside(
        self, size: Size, window: Size, tops: NDArray[np.float64], lefts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The gaze on heads that a window would hold a part of, and that on heads which it would hold whole.

        A head is partly inside where the window reaches into it and leaves some of it out, by more than `PARTLY` of its
        width or height. Of the places of a window, those that reach into a head are a rectangle, and so are those that
        hold it whole; all rectangles are summed at once from their corners (Crow 1984, backwards).

        Args:
            size: of the image in pixels.
            window: in pixels, at most `size`.
            tops, lefts: in pixels, ascending.

        Returns:
            Twice float64, tops x lefts, 0 to 1.
        """
        rows = _spans(self.boxes[:, 1::2], size.height, window.height, tops)
        columns = _spans(self.boxes[:, ::2], size.width, window.width, lefts)
        high, wide = len(tops) + 1, len(lefts) + 1
        tables = np.arange(2)[:, None, None, None] * (high * wide)
        corners = tables + rows[:, :, None] * wide + columns[:, None]
        weights = np.multiply.outer([[[1, -1], [-1, 1]]] * 2, self.gaze)
        sums = np.bincount(corners.ravel(), weights.ravel(), 2 * high * wide).reshape(2, high, wide)
        touched, whole = sums.cumsum(axis=1).cumsum(axis=2)[:, :-1, :-1]
        return (touched - whole).clip(0, 1), whole.clip(0, 1)


def _spans(ends: NDArray[np.float64], length: int, window: int, starts: NDArray[np.float64]) -> NDArray[np.intp]:
    """Along one axis, the first place and the one behind the last that reach into each head, and that hold it.

    Returns:
        2 x 2 x heads.
    """
    low, high = ends.T * length
    if window == length:  # which holds them all
        return np.broadcast_to(np.array([0, 1])[:, None], (2, 2, len(low)))
    slack = PARTLY * (high - low)
    low, high = low + slack, high - slack
    right = np.searchsorted(starts, np.concatenate([low - window, low]), "right")
    left = np.searchsorted(starts, np.concatenate([high, high - window]), "left")
    count = len(low)
    touched, whole = (right[:count], left[:count]), (left[count:], right[count:])
    return np.array([(touched[0], np.maximum(*touched)), (whole[0], np.maximum(*whole))])
