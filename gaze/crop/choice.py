"""One image and one or more aspect ratios -> boxes, with one prediction for all of them."""

from collections.abc import Sequence

import numpy as np

from gaze.geometry import AspectRatio, Size
from gaze.images import ImageLike, as_rgb
from gaze.predictor import Predictor, default_predictor
from gaze.thumbnails import Crop, best_crop

GRID = 512
"""Pixels of the longer side of the density in which boxes are weighed; finer gives the same boxes."""


def crop(
    image: ImageLike, ratio: str | float | AspectRatio = "1:1", predictor: Predictor | None = None
) -> Crop:
    """Chooses the crop of one aspect ratio that holds most of what people look at.

    Args:
        image: a path, a PIL image or an H x W x 3 uint8 RGB array. A file is turned upright first; a PIL image
            is taken as it lies.
        ratio: `"16:9"`, a number (width over height) or an `AspectRatio`.
        predictor: the model; None takes the shipped one, which is loaded once.

    Returns:
        The largest window of that ratio, in pixels of the (upright) image, and the share of gaze that it holds.

    Raises:
        ConfigError: the ratio cannot be read.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    wanted = ratio if isinstance(ratio, AspectRatio) else AspectRatio.parse(str(ratio))
    return choose(as_rgb(image), [wanted], predictor or default_predictor())[0]


def choose(image: np.ndarray, ratios: Sequence[AspectRatio], predictor: Predictor) -> list[Crop]:
    """Chooses one crop for each of `ratios` in an H x W x 3 uint8 RGB image."""
    size = Size(image.shape[1], image.shape[0])
    density = np.exp(predictor.log_density(image, size.within(GRID)))
    return [best_crop(density, size, ratio) for ratio in ratios]
