"""What a crop does to people's gaze and to heads, for `crop_quality.py`, `crop_frontier.py` and `crop_heads.py`.

All by what people did, none by a prediction. First fixations are left out, as the stores do.

kept: the share of a photograph's fixations inside the crop.
at the cut: the share of them within `NEAR` of the image's longer side of those sides of the crop that are not the
    image's own, on both sides of the line.
cut heads: whether a head that holds at least `HELD` of the fixations is cut; nan where no heads are labelled, which
    EyeCrowd's authors did. A head of less than `SMALLEST` pixels does not count; it is cut when `PARTLY` of its area
    is inside; it holds the fixations in its box grown on each side by `GROWN` of its width and height.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gaze.framing.policy import NEAR
from gaze.geometry import Box, Size

if TYPE_CHECKING:
    from crop_choosers import Photo

MEASURES = KEPT, AT_CUT, CUT_HEADS = "kept", "at the cut", "cut heads"
SMALLEST, PARTLY, GROWN, HELD = 576, (0.05, 0.95), 0.2, 0.05
KINDS = ("frontal", "profile", "back")


@dataclass(frozen=True)
class Head:
    """A labelled box in pixels, and the side from which one sees it, one of `KINDS`."""

    left: float
    top: float
    width: float
    height: float
    kind: str

    @property
    def grown(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what counts as the head when people look at it."""
        wide, high = GROWN * self.width, GROWN * self.height
        return self.left - wide, self.top - high, self.left + self.width + wide, self.top + self.height + high

    def inside(self, box: Box) -> float:
        """Which share of its area lies in a crop."""
        wide = min(self.left + self.width, box.right) - max(self.left, box.left)
        high = min(self.top + self.height, box.bottom) - max(self.top, box.top)
        return max(0, wide) * max(0, high) / (self.width * self.height)


def read_heads(table: Path) -> dict[str, tuple[Head, ...]]:
    """The heads that count, of EyeCrowd's `faces.csv`, by the name of the photograph."""
    heads: dict[str, tuple[Head, ...]] = {}
    with table.open(newline="") as lines:
        for row in csv.DictReader(lines):
            box = (float(row[name]) for name in ("left", "top", "width", "height"))
            head = Head(*box, next(kind for kind in KINDS if row[kind] == "1"))
            if head.width * head.height >= SMALLEST:
                heads[row["image"]] = (*heads.get(row["image"], ()), head)
    return heads


def measured(photo: "Photo", box: Box, counted: NDArray[np.bool_] | slice = slice(None)) -> tuple[float, float, float]:
    """The `MEASURES` of a crop, by the fixations `counted`; what a head holds is by all of them."""
    kept = np.mean(_within(photo, (box.left, box.top, box.right, box.bottom))[counted])
    return float(kept), float(np.mean(_near(photo, box)[counted])), cut_heads(photo, box)


def cut_heads(photo: "Photo", box: Box) -> float:
    """1 where the crop cuts a head that people look at, else 0; nan where no heads are labelled."""
    if photo.heads is None:
        return np.nan
    cut = [head for head in photo.heads if PARTLY[0] <= head.inside(box) <= PARTLY[1]]
    return float(any(held(photo, head) >= HELD for head in cut))


def held(photo: "Photo", head: Head) -> float:
    """The share of all fixations that a head holds."""
    return float(np.mean(_within(photo, head.grown)))


def _near(photo: "Photo", box: Box) -> NDArray[np.bool_]:
    """Which fixations lie close to a side that is not the image's own."""
    by = NEAR * max(photo.size.width, photo.size.height)
    left, top, right, bottom = _own(box, photo.size)
    outer = (box.left - by * left, box.top - by * top, box.right + by * right, box.bottom + by * bottom)
    inner = (box.left + by * left, box.top + by * top, box.right - by * right, box.bottom - by * bottom)
    return _within(photo, outer) & ~_within(photo, inner)


def _own(box: Box, size: Size) -> tuple[bool, bool, bool, bool]:
    """Which sides are the crop's own: left, top, right, bottom."""
    return box.left > 0, box.top > 0, box.right < size.width, box.bottom < size.height


def _within(photo: "Photo", bounds: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Which fixations lie on a pixel within left, top, right and bottom."""
    left, top, right, bottom = bounds
    x, y = photo.fixations.x + 0.5, photo.fixations.y + 0.5
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)
