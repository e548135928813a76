"""What `gaze.crop(image)` calls: one image and an aspect ratio -> the box."""

from pathlib import Path

import numpy as np

from gaze.geometry import AspectRatio, Size
from gaze.images import ImageLike, as_rgb
from gaze.predictor import Predictor, choose_predictor
from gaze.thumbnails import Crop, best_crop

GRID = 512
"""Pixels of the longer side of the density in which boxes are weighed; finer gives the same boxes."""


def crop(
    image: ImageLike,
    ratio: str | float | AspectRatio = "1:1",
    predictor: Predictor | None = None,
    model: str | Path | None = None,
) -> Crop:
    """Chooses the crop of one aspect ratio that holds most of what people look at.

    Args:
        image: a path, a PIL image or an H x W x 3 uint8 RGB array. A file is turned upright first; a PIL
            image is taken as it lies.
        ratio: `"16:9"`, a number (width over height) or an `AspectRatio`.
        predictor: a loaded model.
        model: instead of it, the name of a shipped model or an `.onnx` file, loaded once; None takes the default one.

    Returns:
        The largest window of that ratio, in pixels of the (upright) image, and the share of gaze in it.

    Raises:
        ConfigError: the ratio cannot be read, or `model` is neither a shipped model's name nor a file.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    wanted = ratio if isinstance(ratio, AspectRatio) else AspectRatio.parse(str(ratio))
    pixels = as_rgb(image)
    size = Size(pixels.shape[1], pixels.shape[0])
    return best_crop(grid_density(pixels, choose_predictor(predictor, model)), size, wanted)


def grid_density(image: np.ndarray, predictor: Predictor) -> np.ndarray:
    """Predicts a density to choose boxes in: float32, sums to 1, its longer side at most `GRID` pixels."""
    size = Size(image.shape[1], image.shape[0])
    return np.exp(predictor.log_density(image, size.within(GRID)))
