"""Prediction -> the areas that hosts center their own crops on, where they take no boxes. Arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass

from gaze.framing.choice import Crop, choose
from gaze.geometry import AspectRatio, Size
from gaze.predictor import Prediction

PARTS = (0.5, 0.6, 0.75)
"""Of the photograph's width or height, what crops leave that stand for those of all shapes.

Centered on the mean of their areas, crops of 170 `val` photographs kept as much gaze as around the center of all of it
(0.832 to 0.831 of the fixations), and cut fewer heads; no weights by confidence or by share did better than equal ones.
"""

MIN_CONFIDENCE = 0.02
"""A model has little to say where no window is worth this more than the central one, see `Crop.confidence`.

So it is of one in 25 `val` photographs, which people look at in their middle, and of white, grey, noise and stripes.
"""


@dataclass(frozen=True)
class FocalArea:
    """Where crops of two shapes meet that leave the same part of a photograph, one of its width, one of its height.

    Attributes:
        x, y: its center in pixels of the photograph.
        width, height: of it, in pixels.
        confidence: the greater of the two crops', see `Crop`.
    """

    x: float
    y: float
    width: float
    height: float
    confidence: float


def focal_areas(seen: Prediction, size: Size, parts: Sequence[float] = PARTS) -> list[FocalArea]:
    """The areas to center crops on: what is left of a crop's width decides about x, what is left of its height about y.

    Args:
        seen: what the model says of the photograph.
        size: of the photograph in pixels.
        parts: above 0 to 1, what crops leave of its width or height. A host that centers a crop of such a shape on
            the area cuts out the box of `gaze.crop`, within a pixel.

    Returns:
        One for each part, in their order.
    """
    return [_area(seen, size, part) for part in parts]


def _area(seen: Prediction, size: Size, part: float) -> FocalArea:
    def best(width: float, height: float) -> Crop:
        return choose(seen.density, size, AspectRatio(width, height), heads=seen.heads, preference=seen.preference)[0]

    narrow, wide = best(part * size.width, size.height), best(size.width, part * size.height)
    x, y = narrow.box.left + narrow.box.width / 2, wide.box.top + wide.box.height / 2
    return FocalArea(x, y, narrow.box.width, wide.box.height, max(narrow.confidence, wide.confidence))
