"""Image files in and out: orientation, colour, limits before decoding, resizing, encoding, atomic writing."""

import contextlib
import io
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from gaze.colors import opaque, simplify
from gaze.errors import ImageError
from gaze.geometry import Box, Size

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded; this is where Pillow refuses them too."""

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
}
"""Formats that gaze reads, as Pillow names them, with their suffixes, the usual one first.

Pillow loads at once what it needs for the first five; AVIF, which not every Pillow has, comes last.
"""

_SAVE: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "WEBP": {"quality": 90},
    "TIFF": {"compression": "tiff_lzw"},
    "AVIF": {"quality": 80},
}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray"
"""A path, the bytes of an encoded file, a PIL image or an H x W x 3 uint8 RGB array."""


@dataclass(frozen=True)
class Photo:
    """A decoded image file."""

    image: Image.Image
    """Upright, in sRGB, mode L, RGB or RGBA with 8 bits a channel; carries no metadata."""
    format: str
    """What the file is, a key of `SUFFIXES`, whatever its name says."""

    @property
    def size(self) -> Size:
        """Width and height, upright."""
        return Size(*self.image.size)


def open_photo(source: str | os.PathLike[str] | bytes) -> Photo:
    """Reads an image file; of an animation, the first frame.

    Raises:
        ImageError: the file is missing, empty, damaged, too large or no image; the message names it.
    """
    name = "image" if isinstance(source, bytes) else os.fspath(source)
    file = io.BytesIO(source) if isinstance(source, bytes) else _open_file(Path(source))
    with file:
        image = _identify(file, name)
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        try:
            image.load()
            return Photo(_upright(simplify(image), _orientation(image)), kind)
        except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
            raise ImageError(f"{name}: damaged, truncated or unsupported {kind} file ({_one_line(error)})") from error


def decode(source: str | os.PathLike[str] | bytes) -> np.ndarray:
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
        try:
            return to_array(simplify(image))
        except Exception as error:  # a lazily loaded file may turn out damaged only here
            raise ImageError(f"image: cannot convert mode {image.mode} ({_one_line(error)})") from error
    if isinstance(image, str | os.PathLike | bytes):
        return decode(image)
    raise ImageError(f"image: expected a path, a PIL image or an H x W x 3 uint8 array, got {type(image).__name__}")


def check_rgb(image: np.ndarray) -> None:
    """Raises ImageError unless `image` is an H x W x 3 uint8 array with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"image: expected an H x W x 3 uint8 RGB array, got {got}")
    if image.size == 0:
        raise ImageError(f"image: expected at least one pixel, got shape {image.shape}")


def to_array(image: Image.Image) -> np.ndarray:
    """A PIL image of mode L, RGB or RGBA as H x W x 3 uint8 RGB, transparent parts over white."""
    return np.asarray(opaque(image).convert("RGB"))


def cut(image: Image.Image, box: Box, size: Size | None = None) -> Image.Image:
    """The part of `image` inside `box`, resized to `size` where one is given."""
    part = image.crop((box.left, box.top, box.right, box.bottom))
    if size is None or size == box.size:
        return part
    return part.resize((size.width, size.height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def output_format(suffix: str) -> str:
    """The format that a suffix such as `.jpg` asks for.

    Raises:
        ImageError: gaze writes no such format.
    """
    for kind in _SAVE:
        if suffix.lower() in SUFFIXES[kind]:
            return kind
    known = " ".join(SUFFIXES[kind][0] for kind in _SAVE)
    raise ImageError(f"{suffix or 'no suffix'}: gaze writes {known}")


def output_suffix(photo: Photo, suffix: str) -> str:
    """The suffix of a picture made from `photo`: `suffix` where it fits the format, else the usual one."""
    kind = photo.format if photo.format in _SAVE else "PNG"
    return suffix if suffix.lower() in SUFFIXES[kind] else SUFFIXES[kind][0]


def encode(image: Image.Image, kind: str) -> bytes:
    """Encodes without metadata; JPEG puts transparent parts over white.

    Raises:
        ImageError: the format cannot hold the image, or this Pillow lacks the format.
    """
    buffer = io.BytesIO()
    try:
        (opaque(image) if kind == "JPEG" else image).save(buffer, kind, **_SAVE[kind])
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(f"cannot encode {image.width}x{image.height} as {kind} ({_one_line(error)})") from error
    return buffer.getvalue()


def write_atomic(path: Path, content: bytes, overwrite: bool = False) -> None:
    """Writes a file so that nobody ever sees half of it; makes its folder.

    Raises:
        ImageError: the file exists and `overwrite` is False, or the system refuses; nothing is left behind.
    """
    scratch = path.with_name(f".gaze-{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(content)
        if not overwrite and path.exists():
            raise ImageError(f"{path}: exists already")
        os.replace(scratch, path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()


def _open_file(path: Path) -> io.BufferedReader:
    try:
        if path.exists() and not path.is_file():
            raise ImageError(f"{path}: not a file")
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{path}: cannot be read ({reason})") from error


def _identify(file: io.BufferedIOBase, name: str) -> Image.Image:
    try:
        image = Image.open(file, formats=list(SUFFIXES))  # type: ignore[arg-type]
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: more than {MAX_PIXELS} pixels") from error
    except Exception as error:  # a damaged header leads Pillow to any exception
        raise ImageError(f"{name}: not an image, or its first bytes are damaged") from error
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"{name}: {image.width}x{image.height} is more than {MAX_PIXELS} pixels")
    return image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata is no reason to refuse the pixels
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    upright = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
    upright.info = {}
    return upright


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
