"""Image files in: limits before decoding, reduced decoding, orientation, colour, what is kept of the metadata."""

import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from PIL import Image

from gaze.errors import ImageError, one_line
from gaze.geometry import Size
from gaze.images.formats import HEAD, identify, register_heif
from gaze.images.frames import Frame, plays, read_frames, sideways, turn
from gaze.images.metadata import exif_of, orientation_of, profile_of, xmp_of

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded; Pillow refuses them too wherever it looks, see `accept`."""

MAX_BYTES = 2**30
"""Larger files are refused before they are read."""

Source: TypeAlias = "str | os.PathLike[str] | bytes"
"""A path or the bytes of an encoded file."""


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded."""

    pixels: int = MAX_PIXELS
    """Of one frame, and of all the frames that are kept together; more than `MAX_PIXELS` need `accept`."""
    bytes: int = MAX_BYTES
    """Of the file."""


@dataclass(frozen=True)
class Keep:
    """What goes from a photo into its thumbnails besides the pixels."""

    metadata: bool = False
    """EXIF and XMP, without orientation and embedded thumbnails, which would no longer be true."""
    profile: bool = False
    """The colour profile; otherwise colours are converted to sRGB."""


@dataclass(frozen=True)
class Photo:
    """A decoded image file."""

    image: Image.Image
    """The first frame: upright, in sRGB (or `profile`), mode L, RGB or RGBA with 8 bits a channel; without metadata.

    Perhaps smaller than `size`.
    """
    size: Size
    """Of the upright original in full."""
    format: str
    """What the file is, a key of `SUFFIXES`, whatever its name says."""
    frames: tuple[Frame, ...]
    """All frames that were asked for, as `image` is the first."""
    indexed: bool = False
    """Whether the file has its colours in a palette."""
    loop: int = 0
    """How often an animation plays, 0 for ever."""
    exif: bytes | None = None
    xmp: bytes | None = None
    profile: bytes | None = None


def accept(limits: Limits) -> None:
    """Has Pillow take, in this whole process, images of as many pixels as `limits` allow. It never lowers its limit."""
    if Image.MAX_IMAGE_PIXELS is not None and limits.pixels > 2 * Image.MAX_IMAGE_PIXELS:  # it raises at the double
        Image.MAX_IMAGE_PIXELS = -(-limits.pixels // 2)


def open_photo(
    source: Source,
    *,
    shrink: Callable[[Size], float] | None = None,
    limits: Limits = Limits(),
    frames: int | None = 1,
    keep: Keep = Keep(),
) -> Photo:
    """Reads an image file.

    Args:
        source: a path or the file's bytes.
        shrink: told the size of the upright original, says by how much its sides may be divided; a JPEG is then
            decoded at the smallest scale that divides by no more than that.
        limits: what is refused.
        frames: how many frames of an animation to keep; None: all.
        keep: what is kept besides the pixels.

    A sound photo brings no warning of Pillow's (but for a TIFF of more than half `MAX_PIXELS`); damaged metadata may.
    Where the caller's filters make an error of it, that is raised as it is and is no ImageError: filters belong to the
    whole process, and no function may change them.

    Raises:
        ImageError: the file is missing, empty, damaged, too large or no image; the message names it.
    """
    try:
        with _open(source, limits) as file:
            kind, image = _identify(file, limits)
            try:
                return _photo(image, kind, shrink, limits, frames, keep)
            except (ImageError, Image.DecompressionBombError, Warning):
                raise
            except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
                raise ImageError(f"damaged, truncated or unsupported {kind} file ({one_line(error)})") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{_name(source)}: more than {max(limits.pixels, MAX_PIXELS)} pixels") from error
    except ImageError as error:
        raise ImageError(f"{_name(source)}: {error}") from error.__cause__


def _name(source: Source) -> str:
    return "image" if isinstance(source, bytes) else one_line(os.fspath(source))


def _photo(
    image: Image.Image,
    kind: str,
    shrink: Callable[[Size], float] | None,
    limits: Limits,
    frames: int | None,
    keep: Keep,
) -> Photo:
    if kind == "TIFF":
        image.load()  # turns it upright, and only this kind
    orientation = orientation_of(image)
    size = Size(*(image.size[::-1] if sideways(orientation) else image.size))
    whole, indexed = image.size, image.mode == "P"
    scale = _reduce(image, shrink(size)) if kind == "JPEG" and shrink else 1
    profile = profile_of(image) if keep.profile else None
    read = []
    for frame in read_frames(image, kind, frames, limits.pixels, profile is not None):
        exact = _without_padding(frame.image, whole, scale)
        read.append(Frame(turn(exact, orientation), frame.milliseconds))
    return Photo(
        image=read[0].image,
        size=size,
        format=kind,
        frames=tuple(read),
        indexed=indexed,
        loop=plays(image, kind),
        exif=exif_of(image) if keep.metadata else None,
        xmp=xmp_of(image) if keep.metadata else None,
        profile=profile,
    )


def _reduce(image: Image.Image, factor: float) -> int:
    """Has a JPEG decoded at 1/8, 1/4 or 1/2 where that divides by no more than `factor`; returns the divisor.

    OpenCV's reduced decoding is no faster: libjpeg works for both (Pillow's median of 800x600 and 4000x3000 takes
    0.92 and 0.94 of its time at 1/2, 1.00 and 0.98 at 1/4, 1.03 and 1.02 at 1/8), and OpenCV takes half a file for a
    whole one.
    """
    scale = next((scale for scale in (8, 4, 2) if scale <= factor), 1)
    if scale > 1:
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
    return scale


def _without_padding(image: Image.Image, whole: tuple[int, int], scale: int) -> Image.Image:
    """A reduced image stretched to what it shows where `scale` does not divide the sides of the original."""
    shown = (whole[0] / scale, whole[1] / scale)
    if shown == image.size:
        return image
    return image.resize(image.size, Image.Resampling.LANCZOS, box=(0, 0, *shown))


def _open(source: Source, limits: Limits) -> BinaryIO:
    if isinstance(source, bytes):
        _check_length(len(source), limits)
        return io.BytesIO(source)
    try:
        status = os.stat(source)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ImageError(f"not a file but {_NO_FILE.get(stat.S_IFMT(status.st_mode), 'something else')}")
        _check_length(status.st_size, limits)
        return open(source, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise ImageError(f"cannot be read ({reason})") from error


_NO_FILE = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _check_length(length: int, limits: Limits) -> None:
    if length == 0:
        raise ImageError("the file is empty")
    if length > limits.bytes:
        raise ImageError(f"{length} bytes, more than {limits.bytes}")


def _identify(file: BinaryIO, limits: Limits) -> tuple[str, Image.Image]:
    """The format of a file and its image, not yet decoded."""
    kind = identify(file.read(HEAD))
    if kind == "HEIF":
        register_heif()
    try:
        image = _header(file, kind)
    except (Image.DecompressionBombError, Warning):
        raise
    except Exception as error:  # a damaged header leads Pillow to any exception
        raise ImageError(f"not an image that gaze can read: its {kind} header is damaged or unsupported") from error
    if image.width * image.height > limits.pixels:
        raise ImageError(f"{image.width}x{image.height} is more than {limits.pixels} pixels")
    return kind, image


def _header(file: BinaryIO, kind: str) -> Image.Image:
    """What `Image.open` finds in a file, without a warning where the image is large: `_identify` sees to its size."""
    if kind not in Image.OPEN:
        Image.init()
    file.seek(0)
    return Image.OPEN[kind][0](file, "")
