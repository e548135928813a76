"""A photo and its crops -> the pictures that are written: scaled, on a background where one is asked for."""

import numpy as np
from PIL import Image, ImageColor

from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Fitted
from gaze.errors import ConfigError
from gaze.framing.choice import Crop
from gaze.geometry import AspectRatio, Size
from gaze.images import cut
from gaze.images.settings import MAX_PIXELS


def check_color(text: str) -> None:
    """Raises ConfigError where a text names no color."""
    try:
        ImageColor.getrgb(text)
    except ValueError as error:
        raise ConfigError(f"fill: expected a color such as white or #1a1a1a, got {text!r}") from error


def thumbnail(
    image: Image.Image, full: Size, crop: Crop, shape: Fitted, request: Request, pixels: np.ndarray | None = None
) -> Image.Image:
    """Cuts, scales and, where `request.fill` says so, puts on a background.

    Args:
        image: the photo, or a reduced version of it.
        full: the size of the photo, in whose pixels the box is counted.
        crop: what to cut out.
        shape: what is wanted of this photo.
        request: whether to enlarge, and the background.
        pixels: of the image, see `cut`.

    Raises:
        ConfigError: that would have more pixels than a photo may have, and than this one has.
    """
    size = picture_size(crop.box.size, shape, request.upscale)
    canvas = size if request.fill is None else canvas_size(size, shape)
    if canvas.pixels > max(MAX_PIXELS, full.pixels):
        raise ConfigError(f"size: expected a thumbnail of at most {MAX_PIXELS} pixels, got {canvas}")
    picture = cut(image, full, crop.box, size, pixels)
    return picture if request.fill is None else on_background(picture, canvas, request.fill)


def picture_size(box: Size, shape: Fitted, upscale: bool) -> Size:
    """The size at which a box is shown: its own, or what fits into that of the shape if that is smaller.

    Never larger than the shape's: a strip of the ratio may be, by what its short side was rounded.
    """
    if shape.size is None:
        return box
    own = shape.ratio if box == shape.ratio.largest(box) else AspectRatio(box.width, box.height)
    fitted = own.largest(shape.ratio.largest(shape.size))
    smaller = fitted.width < box.width and fitted.height < box.height
    larger = box.width > shape.size.width or box.height > shape.size.height
    return fitted if smaller or larger or upscale else box


def canvas_size(picture: Size, shape: Fitted) -> Size:
    """The size of the background: that of the shape, or the smallest of its ratio that holds the picture."""
    if shape.size is not None:
        canvas = shape.ratio.largest(shape.size)
        if canvas.width >= picture.width and canvas.height >= picture.height:
            return canvas
    width, height = (
        max(picture.width, picture.height * shape.ratio.value),
        max(picture.height, picture.width / shape.ratio.value),
    )
    return Size(round(width), round(height))


def on_background(picture: Image.Image, size: Size, color: str) -> Image.Image:
    """Puts a picture into the middle of a background; one of that size comes back as it is."""
    if size == Size(*picture.size):
        return picture
    mode = "RGBA" if picture.mode == "RGBA" or len(ImageColor.getrgb(color)) == 4 else "RGB"
    canvas = Image.new(mode, (size.width, size.height), color)
    canvas.paste(picture, ((size.width - picture.width) // 2, (size.height - picture.height) // 2))
    return canvas


def reduction(request: Request, full: Size, seen: int) -> float:
    """By how much the sides of a photo may be divided before it is decoded, so that nothing of use is lost.

    Args:
        request: the thumbnails that are wanted.
        full: the size of the photo.
        seen: pixels of the longer side that the network sees.
    """
    if request.heatmap:
        return 1.0
    allowed = max(full.width, full.height) / seen
    for shape in (wanted.of(full) for wanted in request.shapes):
        box = shape.ratio.largest(full)
        shown = picture_size(box, shape, request.upscale)
        allowed = min(allowed, box.width / shown.width / request.framing.zoom[1])
    return max(1.0, allowed)
