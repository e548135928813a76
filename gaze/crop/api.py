"""What `gaze.crop`, `gaze.centering` and `gaze.thumbnail` call: one image -> the box, its place, the picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from gaze.crop.photo import rendering
from gaze.crop.photo.focus import Place, as_points
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import as_bounds, as_ratio, shapes
from gaze.errors import ConfigError
from gaze.framing.choice import Crop, choose
from gaze.framing.policy import Framing
from gaze.geometry import AspectRatio, Size
from gaze.images import ImageLike, as_rgb, as_upright, overview
from gaze.predictor import Prediction, Predictor, choose_predictor


def crop(
    image: ImageLike,
    ratio: str | float | tuple[float, float] | AspectRatio = "1:1",
    predictor: Predictor | None = None,
    model: str | Path | None = None,
    *,
    zoom: float | tuple[float, float] = Framing.zoom,
    cut_weight: float = Framing.cut_weight,
    padding: float = Framing.padding,
    candidates: int = Framing.candidates,
    threshold: float = Framing.threshold,
    keep: float = Framing.keep,
    focus: Place | Sequence[Place] = (),
    focus_weight: float = 1.0,
) -> Crop:
    """Chooses the crop of one aspect ratio that holds most of what people look at and cuts through little of it.

    Safe to call from many threads.

    Args:
        image: a path, a PIL image or an H x W x 3 uint8 RGB array. A file is turned upright first; a PIL
            image is taken as it lies.
        ratio: `"16:9"`, a number (width over height), a pair such as `(16, 9)`, an `AspectRatio`, or `"original"`, that
            of the image.
        predictor: a loaded model.
        model: instead of it, the name of a shipped model or an `.onnx` file, loaded once; None takes the default one.
        zoom: 1 is the largest window of the ratio, 2 has half its sides; of two bounds, the tightest within them that
            still holds nearly as much.
        cut_weight: how much bad sides, heads that they cut included, count against the gaze inside; 0: not at all.
        padding: share of the box's sides near which gaze counts half, so that what is looked at gets some room.
        candidates: how many boxes are wanted that have little in common; all but the best are its `alternatives`.
        threshold: where the best window is worth less than this more than the central one, that one is taken.
        keep: share of the gaze that the box is to hold: it grows beyond its ratio until it does.
        focus: points that a person chose, in pixels of the image as boxes are: one or several of `Point(640, 200)`,
            `(640, 200)`, `"640,200"`, or in shares of its sides `"40%,25%"`, `("40%", "25%")`; the crop then never
            falls back to the centre.
        focus_weight: 1 makes the focus all that counts, 0.5 half of it.

    Returns:
        The box in pixels of the (upright) image, and the share of gaze in it; with a focus, of the gaze that includes
        the focus.

    Raises:
        ConfigError: the ratio or the focus cannot be read, a value is out of its range, or `model` is neither a shipped
            model's name nor a file.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    (shape,) = shapes([as_ratio(ratio)], [])
    framing = Framing(_bounds(zoom), padding, candidates, threshold, keep, cut_weight)
    pixels = as_rgb(image)
    size = Size(pixels.shape[1], pixels.shape[0])
    seen = choose_predictor(predictor, model).predict(pixels)
    best, *others = _choose(seen, size, shape.of(size).ratio, framing, focus, focus_weight)
    return replace(best, alternatives=tuple(others))


def thumbnail(
    image: ImageLike,
    size: str | int | tuple[int | None, int | None] | Size | None = None,
    ratio: str | float | tuple[float, float] | AspectRatio | None = None,
    predictor: Predictor | None = None,
    model: str | Path | None = None,
    *,
    zoom: float | tuple[float, float] = Framing.zoom,
    cut_weight: float = Framing.cut_weight,
    padding: float = Framing.padding,
    threshold: float = Framing.threshold,
    keep: float = Framing.keep,
    focus: Place | Sequence[Place] = (),
    focus_weight: float = 1.0,
    upscale: bool = False,
    fill: str | None = None,
) -> Image.Image:
    """Crops to what people look at and scales down; decodes a file once, a JPEG no larger than is of use.

    Args:
        image: as `gaze.crop` takes it. It is turned upright first, a PIL image too where its EXIF says how it lies.
        size: what the picture is to fit into: `"400x300"`, `(400, 300)` or a `Size`, a width alone (`400`, `"400"`) or
            a height alone (`"x300"`, `(None, 300)`); None leaves the crop as large as it is.
        ratio: as `gaze.crop` takes it; None: that of `size` where it has both sides, else 1:1.
        predictor: as in `gaze.crop`, like all that follows but the last two; a focus is in pixels of the upright image.
        model: likewise.
        zoom: likewise.
        cut_weight: likewise.
        padding: likewise.
        threshold: likewise.
        keep: likewise.
        focus: likewise.
        focus_weight: likewise.
        upscale: enlarge a crop that is smaller than `size`.
        fill: a color, such as `"white"` or `"#1a1a1a"`, that fills what the picture lacks to its size or ratio.

    Returns:
        A new picture in mode L, RGB or RGBA, in sRGB, without metadata.

    Raises:
        ConfigError: as `gaze.crop`, and where the size or the color cannot be read.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    if fill is not None:
        rendering.check_color(fill)
    wanted = shapes([] if ratio is None else [as_ratio(ratio)], [] if size is None else [as_bounds(size)])
    framing = Framing(_bounds(zoom), padding, 1, threshold, keep, cut_weight)
    request = Request(wanted, framing, upscale=upscale, fill=fill)
    chosen = choose_predictor(predictor, model)
    photo, full = as_upright(image, lambda size: rendering.reduction(request, size, chosen.card.input.longer_side))
    shape, pixels = wanted[0].of(full), overview(photo, 4 * chosen.card.input.longer_side)
    best = _choose(chosen.predict(pixels), full, shape.ratio, framing, focus, focus_weight)[0]
    return rendering.thumbnail(photo, full, best, shape, request, pixels)


def centering(
    image: ImageLike,
    size: tuple[int, int] | Size,
    predictor: Predictor | None = None,
    model: str | Path | None = None,
    *,
    cut_weight: float = Framing.cut_weight,
    padding: float = Framing.padding,
    threshold: float = Framing.threshold,
    focus: Place | Sequence[Place] = (),
    focus_weight: float = 1.0,
) -> tuple[float, float]:
    """What `PIL.ImageOps.fit(image, size, centering=...)` takes to cut out the box of `gaze.crop`, within a pixel.

    Args:
        image: what is fitted, as `gaze.crop` takes it. A PIL image is taken as it lies, as `fit` does; of a file the
            upright picture is meant, which Pillow has after `ImageOps.exif_transpose`.
        size: width and height that it is fitted to, pixels.
        predictor: as in `gaze.crop`, like all that follows.
        model: likewise.
        cut_weight: likewise.
        padding: likewise.
        threshold: likewise.
        focus: likewise.
        focus_weight: likewise.

    Returns:
        x and y, 0 to 1: of what is cut off, the shares left of the box and above it; 0.5 where nothing is.

    Raises:
        ConfigError: as `gaze.crop`, and where the size lacks a side.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    bounds = as_bounds(size)
    if bounds.width is None or bounds.height is None:
        raise ConfigError(f"size: expected a width and a height in pixels, such as (400, 300), got {size!r}")
    pixels = as_rgb(image)
    box = crop(
        pixels, (bounds.width, bounds.height), predictor, model, cut_weight=cut_weight, padding=padding,
        threshold=threshold, focus=focus, focus_weight=focus_weight,
    ).box  # fmt: skip
    return _share(box.left, pixels.shape[1] - box.width), _share(box.top, pixels.shape[0] - box.height)


thumbnail.__module__ = centering.__module__ = "gaze"


def _share(before: int, cut_off: int) -> float:
    return before / cut_off if cut_off else 0.5


def _bounds(zoom: float | tuple[float, float]) -> tuple[float, float]:
    return (zoom, zoom) if isinstance(zoom, float | int) else zoom


def _choose(
    seen: Prediction, size: Size, ratio: AspectRatio, framing: Framing,
    focus: Place | Sequence[Place], focus_weight: float,
) -> list[Crop]:  # fmt: skip
    """The boxes, the best first."""
    points = as_points(focus, size) if focus else ()
    return choose(seen.density, size, ratio, framing, points, focus_weight, seen.heads, seen.preference)
