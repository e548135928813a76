"""A picture of the best, the median and the worst image: photograph, truth and prediction side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLUMNS = ("photograph", "where people looked", "prediction")


@dataclass(frozen=True)
class Example:
    """One row of the picture.

    Attributes:
        caption: what stands above the photograph.
        photo: H x W x 3 uint8 RGB.
        truth: H x W density.
        prediction: H x W density or saliency map.
    """

    caption: str
    photo: NDArray[np.uint8]
    truth: NDArray[np.float32]
    prediction: NDArray[np.float32]


def draw(examples: Sequence[Example]) -> bytes:
    """Draws the examples below one another and returns a PNG; each map is scaled to its own maximum."""
    figure = Figure(figsize=(12, 3.2 * len(examples)), layout="constrained")
    axes = figure.subplots(len(examples), len(COLUMNS), squeeze=False)
    for row, example in zip(axes, examples, strict=True):
        titles = (example.caption, *COLUMNS[1:])
        for axis, title, shown in zip(row, titles, (example.photo, example.truth, example.prediction), strict=True):
            axis.imshow(shown, cmap="inferno", vmin=0)
            axis.set_title(title, fontsize=9)
            axis.set_axis_off()
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
