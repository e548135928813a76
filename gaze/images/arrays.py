"""Images as the network sees them: H x W x 3 uint8 RGB."""

import os
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from gaze.errors import ImageError, one_line
from gaze.geometry import Size
from gaze.images.color import opaque, simplify
from gaze.images.cutting import LARGE
from gaze.images.decoding import Source, open_photo
from gaze.images.orientation import orientation_of, turn

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray"
"""A path, the bytes of an encoded file, a PIL image or an H x W x 3 uint8 RGB array."""


def decode(source: Source) -> np.ndarray:
    """Reads an image file as the network sees it.

    Returns:
        H x W x 3 uint8 RGB, upright, in sRGB, transparent parts over white.

    Raises:
        ImageError: see `open_photo`.
    """
    return to_array(open_photo(source).image)


def as_rgb(image: ImageLike) -> np.ndarray:
    """Turns whatever a caller holds into H x W x 3 uint8 RGB in sRGB.

    A file is turned upright; a PIL image is taken as it lies, so that boxes fit the pixels that the caller
    holds.

    Raises:
        ImageError: see `open_photo`, or an array of another shape or type.
    """
    if isinstance(image, np.ndarray):
        check_rgb(image)
        return image
    if isinstance(image, Image.Image):
        return to_array(_simplified(image))
    if isinstance(image, str | os.PathLike | bytes):
        return decode(image)
    expected = "a path, a file's bytes, a PIL image or an H x W x 3 uint8 array"
    raise ImageError(f"image: expected {expected}, got {type(image).__name__}")


def as_upright(image: ImageLike, shrink: Callable[[Size], float]) -> tuple[Image.Image, Size]:
    """Turns whatever a caller holds into an upright picture in sRGB, mode L, RGB or RGBA.

    Args:
        image: a PIL image is turned upright where its EXIF says how it lies.
        shrink: see `open_photo`.

    Returns:
        The picture, of a JPEG perhaps a reduced one, and the size of the upright original.

    Raises:
        ImageError: see `as_rgb`.
    """
    if isinstance(image, str | os.PathLike | bytes):
        photo = open_photo(image, shrink=shrink)
        return photo.image, photo.size
    if isinstance(image, Image.Image):
        upright = turn(_simplified(image), orientation_of(image))
    else:
        upright = Image.fromarray(as_rgb(image))
    return upright, Size(*upright.size)


def check_rgb(image: np.ndarray) -> None:
    """Raises ImageError unless `image` is an H x W x 3 uint8 array with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"image: expected an H x W x 3 uint8 RGB array, got {got}")
    if image.size == 0:
        raise ImageError(f"image: expected at least one pixel, got shape {image.shape}")


def _simplified(image: Image.Image) -> Image.Image:
    try:
        return simplify(image)
    except Warning:  # which the caller wants as an error, see `open_photo`
        raise
    except Exception as error:  # a lazily loaded file may turn out damaged only here
        raise ImageError(f"image: cannot convert mode {image.mode} ({one_line(error)})") from error


def overview(image: Image.Image, longer_side: int) -> np.ndarray:
    """`to_array`, of an image of more than `LARGE` pixels smaller, so that its memory is not taken thrice over.

    Args:
        image: of mode L, RGB or RGBA.
        longer_side: of the result at least.
    """
    factor = max(image.size) // longer_side
    if image.width * image.height > LARGE and factor > 1:
        image = image.reduce(factor)
    return to_array(image)


def to_array(image: Image.Image) -> np.ndarray:
    """A PIL image of mode L, RGB or RGBA as H x W x 3 uint8 RGB, transparent parts over white."""
    image = opaque(image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
