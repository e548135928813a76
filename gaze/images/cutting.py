"""Parts of images, scaled."""

import math
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from gaze.errors import ImageError
from gaze.geometry import Box, Size

_GAP = 3.0
"""An image is first averaged over whole pixels until it is this many times larger than what is wanted."""

_LEAST = 1.25
"""What is scaled down less has details that are as fine as its pixels, between which nothing can be interpolated."""

_SMALL = 2**21
"""Pixels of a part up to which copies of it cost little memory."""

LARGE = 2**24
"""Pixels above which work is done in bands, where a copy of all would cost much memory; a result may then differ by
what averages are rounded."""


def cut(image: Image.Image, full: Size, box: Box, size: Size, pixels: np.ndarray | None = None) -> Image.Image:
    """The part of `image` that `box` names, at `size`; a plain copy where nothing is scaled.

    Args:
        image: an original of size `full`, perhaps reduced.
        full: size of that original.
        box: in pixels of that original.
        size: of the result.
        pixels: what `overview` gave of `image`, if that was asked: it saves time where they are the same.

    Raises:
        ImageError: the box is not inside the original.
    """
    if box.left < 0 or box.top < 0 or box.right > full.width or box.bottom > full.height:
        raise ImageError(f"box {box.size}+{box.left}+{box.top}: reaches beyond the image of {full}")
    left, right = _scaled(image.width, full.width, box.left, box.right)
    top, bottom = _scaled(image.height, full.height, box.top, box.bottom)
    # cropped first, because a resampling filter would look beyond the box
    x, y = math.floor(left), math.floor(top)
    around, inner = (x, y, math.ceil(right), math.ceil(bottom)), (left - x, top - y, right - x, bottom - y)
    area = (around[2] - x) * (around[3] - y)
    if area <= _SMALL and _is_fitting(inner, size):
        return _shrunk(image, around, inner, size, pixels)
    across = max(1, int((right - left) / size.width / _GAP))
    down = max(1, int((bottom - top) / size.height / _GAP))
    if area > LARGE and across * down > 1:
        part = _reduced(image, around, (across, down))
        inner = (inner[0] / across, inner[1] / down, inner[2] / across, inner[3] / down)
    else:
        part = image.crop(around)
    if part.size == (size.width, size.height) and inner == (0, 0, *part.size):
        return part
    return part.resize((size.width, size.height), Image.Resampling.BICUBIC, box=inner, reducing_gap=_GAP)


def _is_fitting(box: tuple[float, float, float, float], size: Size) -> bool:
    """Whether `_shrunk` can bring a box to a size: of whole pixels, if not at whole ones, and not too much larger."""
    left, top, right, bottom = box
    sides = ((right - left, size.width), (bottom - top, size.height))
    return all(side == round(side) and _LEAST <= side / wanted <= _GAP for side, wanted in sides)


def _shrunk(
    image: Image.Image, around: tuple[int, int, int, int], box: tuple[float, float, float, float], size: Size,
    pixels: np.ndarray | None,
) -> Image.Image:  # fmt: skip
    """A box of a part of an image, scaled down: filtered at the image's own pixels, then interpolated between them.

    So that what is filtered can be looked up anywhere, the filter is that of Lanczos, of three lobes. Both are what
    OpenCV does quickly, at half the time of Pillow's bicubic, and nearer to Pillow's Lanczos: docs/crop.md.
    """
    left, top, right, bottom = box
    mode = "RGBa" if image.mode == "RGBA" else image.mode  # what is clear is not to be mixed in
    if pixels is not None and pixels.shape == (image.height, image.width, len(image.getbands())):
        part = pixels[around[1] : around[3], around[0] : around[2]]
    else:
        cropped = image.crop(around)
        part = np.asarray(cropped if mode == image.mode else cropped.convert(mode))
    across, down = _low_pass((right - left) / size.width, left), _low_pass((bottom - top) / size.height, top)
    smooth = cv2.sepFilter2D(part, -1, across, down, borderType=cv2.BORDER_REPLICATE | cv2.BORDER_ISOLATED)
    smooth = smooth[: round(bottom - top), : round(right - left)]
    shrunk = cv2.resize(smooth, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    result = Image.frombytes(mode, (size.width, size.height), shrunk.tobytes())
    return result.convert(image.mode) if image.mode == "RGBA" else result


@lru_cache(maxsize=32)
def _low_pass(scale: float, shift: float) -> np.ndarray:
    """Lanczos' filter for pixels `scale` times as far apart, each of it `shift` (0 to 1) of a pixel further on."""
    reach = math.ceil(3 * scale + shift) - 1
    places = (np.arange(-reach, reach + 1) - shift) / scale
    weights = np.where(np.abs(places) < 3, np.sinc(places) * np.sinc(places / 3), 0)
    return (weights / weights.sum()).astype(np.float32)


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
