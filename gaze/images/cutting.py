"""Parts of images, scaled."""

import math

from PIL import Image

from gaze.errors import ImageError
from gaze.geometry import Box, Size


def cut(image: Image.Image, full: Size, box: Box, size: Size) -> Image.Image:
    """The part of `image` that `box` names, at `size`; a plain copy where nothing is scaled.

    Args:
        image: an original of size `full`, perhaps reduced.
        full: size of that original.
        box: in pixels of that original.
        size: of the result.

    Raises:
        ImageError: the box is not inside the original.
    """
    if box.left < 0 or box.top < 0 or box.right > full.width or box.bottom > full.height:
        raise ImageError(f"box {box.size}+{box.left}+{box.top}: reaches beyond the image of {full}")
    left, right = _scaled(image.width, full.width, box.left, box.right)
    top, bottom = _scaled(image.height, full.height, box.top, box.bottom)
    # cropped first, because a resampling filter would look beyond the box
    x, y = math.floor(left), math.floor(top)
    part = image.crop((x, y, math.ceil(right), math.ceil(bottom)))
    inner = (left - x, top - y, right - x, bottom - y)
    if part.size == (size.width, size.height) and inner == (0, 0, *part.size):
        return part
    return part.resize((size.width, size.height), Image.Resampling.BICUBIC, box=inner, reducing_gap=3.0)


def _scaled(side: int, full: int, start: int, stop: int) -> tuple[float, float]:
    """Where an interval of the original lies in the image; rounded, lest a whole number look like a fraction."""
    return round(start * side / full, 6), round(stop * side / full, 6)
