"""What `gaze.crop(image)` calls: one image and an aspect ratio -> the box."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gaze.framing.choice import Crop, Framing, choose, with_focus
from gaze.geometry import AspectRatio, Point, Size
from gaze.images import ImageLike, as_rgb
from gaze.predictor import Predictor, choose_predictor


def crop(
    image: ImageLike,
    ratio: str | float | AspectRatio = "1:1",
    predictor: Predictor | None = None,
    model: str | Path | None = None,
    *,
    zoom: float | tuple[float, float] = Framing.zoom,
    padding: float = Framing.padding,
    candidates: int = Framing.candidates,
    threshold: float = Framing.threshold,
    keep: float = Framing.keep,
    focus: Point | Sequence[Point] = (),
    focus_weight: float = 1.0,
) -> Crop:
    """Chooses the crop of one aspect ratio that holds most of what people look at; safe to call from many threads.

    Args:
        image: a path, a PIL image or an H x W x 3 uint8 RGB array. A file is turned upright first; a PIL
            image is taken as it lies.
        ratio: `"16:9"`, a number (width over height) or an `AspectRatio`.
        predictor: a loaded model.
        model: instead of it, the name of a shipped model or an `.onnx` file, loaded once; None takes the default one.
        zoom: 1 is the largest window of the ratio, 2 has half its sides; of two bounds, the tightest within them that
            still holds nearly as much.
        padding: share of the box's sides near which gaze counts half, so that what is looked at gets some room.
        candidates: how many boxes are wanted that have little in common; all but the best are its `alternatives`.
        threshold: where the best window holds less than this more gaze than the central one, that one is taken.
        keep: share of the gaze that the box is to hold: it grows beyond its ratio until it does.
        focus: points that a person chose, in pixels of the image as boxes are; the crop then never falls back to the
            centre.
        focus_weight: 1 makes the focus all that counts, 0.5 half of it.

    Returns:
        The box in pixels of the (upright) image, and the share of gaze in it; with a focus, of the gaze that includes
        the focus.

    Raises:
        ConfigError: the ratio cannot be read, a value is out of its range, or `model` is neither a shipped model's
            name nor a file.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    wanted = ratio if isinstance(ratio, AspectRatio) else AspectRatio.parse(str(ratio))
    bounds = (zoom, zoom) if isinstance(zoom, float | int) else (zoom[0], zoom[1])
    framing = Framing(bounds, padding, candidates, 0.0 if focus else threshold, keep)
    pixels = as_rgb(image)
    size = Size(pixels.shape[1], pixels.shape[0])
    density: np.ndarray = choose_predictor(predictor, model).density(pixels)
    if focus:
        points = [focus] if isinstance(focus, Point) else focus
        density = with_focus(density, size, points, focus_weight)
    best, *others = choose(density, size, wanted, framing)
    return replace(best, alternatives=tuple(others))
