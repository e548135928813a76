"""Image files in: limits before decoding, reduced decoding, what is kept of the metadata."""

import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from PIL import Image, ImageFile

from gaze.errors import ImageError, one_line
from gaze.geometry import Size
from gaze.images.bounds import check_gif_frames, check_ppm
from gaze.images.boxes import colors_of
from gaze.images.damage import load
from gaze.images.formats import HEAD, check_no_raw, identify, register_heif
from gaze.images.frames import Frame, plays, read_frames
from gaze.images.metadata import exif_of, kept_xmp, profile_of, take_xmp
from gaze.images.orientation import orientation_of, sideways, turn
from gaze.images.png import PngNotes, picture_of
from gaze.images.ppm import scaled_samples
from gaze.images.profiles import named_profile
from gaze.images.settings import MAX_PIXELS, Keep, Limits

_WEIGHT = {"GIF": 1.5, "WEBP": 2, "HEIF": 1.5, "AVIF": 3}
"""Memory that decoding and writing a pixel of a format takes, in 8 bytes, rounded up; `crop_peak.py` measures it."""

Source: TypeAlias = "str | os.PathLike[str] | bytes"
"""A path or the bytes of an encoded file."""


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
    damage: str = ""
    """What is wrong with the file, in a few words; empty where nothing is. At least 95% of the rows are sound.

    Damage within the data of a JPEG is seen where the file has one scan, and in others where it broke their structure.
    """


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
    strict: bool = False,
) -> Photo:
    """Reads an image file.

    Args:
        source: a path or the file's bytes.
        shrink: told the size of the upright original, says by how much its sides may be divided; a JPEG is then
            decoded at the smallest scale that divides by no more than that.
        limits: what is refused.
        frames: how many frames of an animation to keep; None: all.
        keep: what is kept besides the pixels.
        strict: refuse damaged files of which nearly all could be decoded, see `Photo.damage`.

    A sound photo brings no warning of Pillow's (but for a TIFF of more than half `MAX_PIXELS`); damaged metadata may.
    Where the caller's filters make an error of it, that is raised as it is and is no ImageError: filters belong to the
    whole process, and no function may change them.

    Raises:
        ImageError: the file is missing, empty, damaged, too large or no image; the message names it.
    """
    try:
        with _open(source, limits) as file:
            kind = _identify(file)
            try:
                return _photo(file, kind, shrink, frames, limits, keep, strict)
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


@dataclass
class _Opened:
    """An image file, not yet decoded, and what it says of itself.

    Attributes:
        image: in 1/`scale` of its size where that is a JPEG.
        whole: the stored size in full.
        orientation: EXIF's; 1 of a TIFF, which Pillow turns upright when it decodes it.
    """

    image: ImageFile.ImageFile
    kind: str
    notes: PngNotes
    whole: tuple[int, int]
    orientation: int
    scale: int = 1

    @property
    def size(self) -> Size:
        """Of the upright original."""
        return Size(*(self.whole[::-1] if sideways(self.orientation) else self.whole))


def _photo(
    file: BinaryIO, kind: str, shrink: Callable[[Size], float] | None, frames: int | None, limits: Limits, keep: Keep,
    strict: bool,
) -> Photo:  # fmt: skip
    opened = _opened(file, kind, limits, shrink)
    first = [opened.image]

    def reopen() -> ImageFile.ImageFile:
        return first.pop() if first else _opened(file, kind, limits, shrink).image

    if kind == "GIF" and frames != 1:
        check_gif_frames(file)
    image, damage = load(reopen, kind, strict)
    _correct(image, file, opened)
    if kind == "TIFF":
        opened.whole = image.size
    profile = profile_of(image) if keep.profile else None
    exif, loop = exif_of(image) if keep.metadata else None, plays(image, kind)
    indexed = image.mode == "P"
    read = []
    for frame in read_frames(image, kind, frames, limits.pixels, profile is not None):
        exact = _without_padding(frame.image, opened.whole, opened.scale)
        read.append(Frame(turn(exact, opened.orientation), frame.milliseconds))
    return Photo(
        image=read[0].image,
        size=opened.size,
        format=kind,
        frames=tuple(read),
        indexed=indexed,
        loop=loop,
        exif=exif,
        xmp=kept_xmp(opened.notes.xmp) if keep.metadata else None,
        profile=profile,
        damage=damage,
    )


def _opened(file: BinaryIO, kind: str, limits: Limits, shrink: Callable[[Size], float] | None) -> _Opened:
    """Reads the header, and has a JPEG decoded as small as is allowed.

    Raises:
        ImageError: the header is damaged, or the image too large.
    """
    try:
        image, notes = _header(file, kind)
    except (ImageError, Image.DecompressionBombError, Warning):
        raise
    except Exception as error:  # a damaged header leads Pillow to any exception
        raise ImageError(f"not an image that gaze can read: its {kind} header is damaged or unsupported") from error
    if kind == "TIFF":
        check_no_raw(image.tag_v2)  # type: ignore[attr-defined]
    if image.width * image.height > (most := _most(image, kind, limits)):
        raise ImageError(f"{image.width}x{image.height} is more than {most} pixels")
    opened = _Opened(image, kind, notes, image.size, 1 if kind == "TIFF" else orientation_of(image))
    if kind == "JPEG" and shrink:
        opened.scale = _reduce(image, shrink(opened.size))
    return opened


def _most(image: Image.Image, kind: str, limits: Limits) -> int:
    """The most pixels: those of `limits`, or fewer where they are the usual ones and the format needs more memory."""
    if limits.pixels != MAX_PIXELS:
        return limits.pixels
    return int(MAX_PIXELS / (1.5 if image.info.get("progressive") else _WEIGHT.get(kind, 1)))


def _correct(image: Image.Image, file: BinaryIO, opened: _Opened) -> None:
    """Puts right what Pillow says of a decoded image's colours and transparent value."""
    notes, clear = opened.notes, image.info.get("transparency")
    if notes.profile:
        image.info["icc_profile"] = notes.profile
    if notes.bits in (2, 4) and image.mode == "L" and isinstance(clear, int):
        image.info["transparency"] = clear * (255 // (2**notes.bits - 1))
    if notes.bits == 16 and image.mode == "RGB" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    named = notes.cicp
    if opened.kind in ("AVIF", "HEIF") and not image.info.get("icc_profile"):
        named = colors_of(file)
    if named and (profile := named_profile(*named)):
        image.info["icc_profile"] = profile


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


def _identify(file: BinaryIO) -> str:
    kind = identify(file.read(HEAD))
    if kind == "HEIF":
        register_heif()
    return kind


def _header(file: BinaryIO, kind: str) -> tuple[ImageFile.ImageFile, PngNotes]:
    """What `Image.open` finds in a file, without a warning where the image is large: the limits see to its size."""
    if kind not in Image.OPEN:
        Image.preinit()  # the usual formats, which is quicker
    if kind not in Image.OPEN:
        Image.init()
    notes = PngNotes()
    if kind == "PPM":
        check_ppm(file)
    if kind == "PNG":
        file, notes = picture_of(file)
    file.seek(0)
    image = Image.OPEN[kind][0](file, "")
    if kind == "PPM" and (scaled := scaled_samples(image, file)):
        image = Image.OPEN[kind][0](scaled, "")  # type: ignore[arg-type]
    notes.xmp = notes.xmp or take_xmp(image)
    return image, notes
