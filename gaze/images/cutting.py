"""Parts of images, scaled."""

import math

from PIL import Image

from gaze.errors import ImageError
from gaze.geometry import Box, Size

_GAP = 3.0
"""An image is first averaged over whole pixels until it is this many times larger than what is wanted."""

LARGE = 2**24
"""Pixels above which work is done in bands, where a copy of all would cost much memory; a result may then differ by
what averages are rounded."""


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
    around = (x, y, math.ceil(right), math.ceil(bottom))
    across = max(1, int((right - left) / size.width / _GAP))
    down = max(1, int((bottom - top) / size.height / _GAP))
    if (around[2] - x) * (around[3] - y) > LARGE and across * down > 1:
        part = _reduced(image, around, (across, down))
        inner = ((left - x) / across, (top - y) / down, (right - x) / across, (bottom - y) / down)
    else:
        part = image.crop(around)
        inner = (left - x, top - y, right - x, bottom - y)
    if part.size == (size.width, size.height) and inner == (0, 0, *part.size):
        return part
    return part.resize((size.width, size.height), Image.Resampling.BICUBIC, box=inner, reducing_gap=_GAP)


def _reduced(image: Image.Image, box: tuple[int, int, int, int], factor: tuple[int, int]) -> Image.Image:
    """What `image.crop(box).reduce(factor)` gives, a band at a time."""
    (left, top, right, bottom), (across, down) = box, factor
    result = Image.new(image.mode, (-(-(right - left) // across), -(-(bottom - top) // down)))
    rows = down * max(1, LARGE // 16 // (down * (right - left)))
    for start in range(top, bottom, rows):
        band = image.crop((left, start, right, min(start + rows, bottom)))
        result.paste(band.reduce(factor), (0, (start - top) // down))
    return result


def _scaled(side: int, full: int, start: int, stop: int) -> tuple[float, float]:
    """Where an interval of the original lies in the image; rounded, lest a whole number look like a fraction."""
    return round(start * side / full, 6), round(stop * side / full, 6)
