"""Images out: encoding."""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from gaze.errors import ImageError, one_line
from gaze.geometry import Size
from gaze.images.color import bands, opaque, to_srgb
from gaze.images.cutting import LARGE
from gaze.images.decoding import Photo
from gaze.images.formats import ANIMATED
from gaze.images.frames import Frame
from gaze.images.settings import Encoding

_QUALITY = {"JPEG": 90, "WEBP": 90, "AVIF": 80}
_XMP_IN_TIFF = 700
_SEGMENT = 65_500
_LONGEST = 655_350
"""Milliseconds that a frame of a GIF can show."""


def encode(
    frames: Sequence[Frame] | Image.Image, kind: str, encoding: Encoding = Encoding(), photo: Photo | None = None
) -> bytes:
    """Encodes a picture, or an animation where there are several frames and the format can; else the first frame.

    Args:
        frames: of one size, in mode L, RGB or RGBA; JPEG puts transparent parts over white.
        kind: one of `formats.WRITTEN`.
        encoding: quality and the like; its format does not count here.
        photo: gives what was kept of metadata and profile, and how often an animation plays; None: nothing.

    Raises:
        ImageError: the format cannot hold the image, or this Pillow lacks the format.
    """
    frames = [Frame(frames)] if isinstance(frames, Image.Image) else list(frames)
    frames = frames if kind in ANIMATED else frames[:1]
    images = _of_one_mode([frame.image for frame in frames])
    options = _options(kind, encoding, photo)
    if kind == "JPEG":
        images = [opaque(image) for image in images]
    if kind == "GIF":  # which knows no profile
        images = _palettes([to_srgb(image, photo.profile if photo else None) for image in images])
    if kind == "PNG" and photo and photo.indexed and len(images) == 1:
        images = [_indexed(images[0])]
    if len(images) > 1:
        options |= _animation(kind, images, [frame.milliseconds for frame in frames], photo.loop if photo else 0)
    buffer = io.BytesIO()
    try:
        images[0].save(buffer, kind, **options)
    except Warning:  # which the caller wants as an error, see `open_photo`
        raise
    except Exception as error:  # encoders refuse sizes and metadata with many types
        raise ImageError(f"cannot encode {Size(*images[0].size)} as {kind} ({one_line(error)})") from error
    return buffer.getvalue()


def _options(kind: str, encoding: Encoding, photo: Photo | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if kind in _QUALITY:
        options["quality"] = encoding.quality or _QUALITY[kind]
    if kind == "JPEG":
        options["progressive"] = encoding.progressive
    if kind in ("JPEG", "AVIF") and encoding.chroma:
        options["subsampling"] = ":".join(encoding.chroma)
    if kind == "TIFF" and not (photo and photo.exif):  # Pillow cannot write EXIF's directories where it compresses
        options["compression"] = "tiff_lzw"
    return options | (_metadata(kind, photo) if photo and kind != "GIF" else {})


def _metadata(kind: str, photo: Photo) -> dict[str, Any]:
    options: dict[str, Any] = {"exif": photo.exif, "icc_profile": photo.profile, "xmp": photo.xmp}
    if kind == "JPEG":  # which holds each in one segment
        options |= {key: None for key in ("exif", "xmp") if len(options[key] or b"") > _SEGMENT}
    if photo.xmp and kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", photo.xmp.decode("utf-8", "replace"))
    if photo.xmp and kind == "TIFF":  # where it is a tag like any other
        options["exif"] = Image.Exif()
        options["exif"].load(photo.exif or b"")
        options["exif"][_XMP_IN_TIFF] = photo.xmp
    return {key: value for key, value in options.items() if value}


def _animation(kind: str, images: list[Image.Image], milliseconds: list[int], plays: int) -> dict[str, Any]:
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": milliseconds, "loop": plays}
    if kind == "GIF":
        options["duration"] = _within_gif(images, milliseconds)
        if images[0].mode == "P":
            options["palette"] = bytes(images[0].getpalette() or [])  # once, and not with every frame
        del options["loop"]
        if plays != 1:
            options["loop"] = max(0, plays - 1)  # it counts repetitions
        if any("transparency" in image.info for image in images):
            options["disposal"] = 2
    return options


def _within_gif(images: list[Image.Image], milliseconds: list[int]) -> list[int]:
    """How long frames show, at most what a GIF can say; Pillow makes one frame of equal ones that follow each other."""
    if sum(milliseconds) <= _LONGEST:
        return milliseconds
    shown, run = milliseconds[:1], min(milliseconds[0], _LONGEST)
    for (before, image), duration in zip(pairwise(images), milliseconds[1:], strict=True):
        run = run if image.tobytes() == before.tobytes() else 0
        shown.append(min(duration, _LONGEST - run))
        run += shown[-1]
    return [min(duration, _LONGEST) for duration in shown]


def _of_one_mode(images: list[Image.Image]) -> list[Image.Image]:
    modes = {image.mode for image in images}
    if len(modes) == 1:
        return images
    return [image.convert("RGBA" if "RGBA" in modes else "RGB") for image in images]


def _indexed(image: Image.Image) -> Image.Image:
    """With a palette: exactly where its 256 colours suffice, else in the nearest ones.

    As many as the source had would not do: scaling it down makes colours between them, which thin lines live on. A
    large picture of more than 256 colours stays as it is, as choosing them would take much memory.
    """
    if image.mode == "L":
        return image
    if image.getcolors(256) is None:
        if image.width * image.height > LARGE:
            return image
        return image.quantize(256, Image.Quantize.FASTOCTREE if image.mode == "RGBA" else Image.Quantize.MEDIANCUT)
    boxes = bands(image.size)
    colours = np.unique(np.concatenate([np.unique(_values(image, box)) for box in boxes]))
    exact = Image.new("L", image.size)
    for box in boxes:
        exact.paste(Image.fromarray(np.searchsorted(colours, _values(image, box)).astype(np.uint8)), box)
    channels = colours.view(np.uint8).reshape(-1, 4)
    exact.putpalette(channels[:, :3].tobytes())
    if image.mode == "RGBA":
        exact.info["transparency"] = channels[:, 3].tobytes()
    return exact


def _values(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    """The pixels of a box, each one number."""
    return np.asarray(image.crop(box).convert("RGBA")).view(np.uint32)[..., 0]


_SAMPLED = 2**20
"""Pixels of an animation, spread over its frames, after which its colours are chosen."""


def _palettes(images: list[Image.Image]) -> list[Image.Image]:
    """In at most 256 colours, those of an animation the same in every frame; where alpha is below a half, transparent.

    What stands still in an animation then stays as it is, as no frame is dithered.
    """
    if images[0].mode == "L":
        return images
    clear = images[0].mode == "RGBA"
    if len(images) == 1 and images[0].width * images[0].height <= LARGE:
        palettes = [images[0].convert("RGB").quantize(255 if clear else 256)]
    else:
        palettes = _in_colors([image.convert("RGB") for image in images], _common_colors(images))
    return [_cleared(*pair) for pair in zip(palettes, images, strict=True)] if clear else palettes


def _common_colors(images: list[Image.Image]) -> list[tuple[int, ...]]:
    """At most 255 colours for all of these, which leaves one for what is or stays clear."""
    step = max(1, len(images) // 64)
    sample = [image.convert("RGB") for image in images[::step]]
    width, height = sample[0].size
    share = min(1.0, (_SAMPLED / (len(sample) * width * height)) ** 0.5)
    size = (max(1, round(share * width)), max(1, round(share * height)))
    sheet = Image.new("RGB", (size[0], size[1] * len(sample)))
    for number, image in enumerate(sample):
        sheet.paste(image.resize(size, Image.Resampling.NEAREST), (0, number * size[1]))
    values = sheet.quantize(255).getpalette() or []
    return list(dict.fromkeys(zip(*[iter(values[: 3 * 255])] * 3, strict=True)))


def _in_colors(images: list[Image.Image], colors: list[tuple[int, ...]]) -> list[Image.Image]:
    """RGB images in the nearest of these colours, not dithered; beyond them, the palette has others that nobody uses.

    Those differ, as Pillow's encoder looks long for a place for each colour that is there twice.
    """
    known, count = set(colors), len(colors)
    spare = [color for blue in (0, 1) for value in range(256) if (color := (value, 255 - value, blue)) not in known]
    first, last = (_flat([*colors, *more][:256]) for more in (colors[:1] * 256, spare))
    palette = Image.new("P", (1, 1))
    palette.putpalette(first)
    place = [index if index < count else 0 for index in range(256)]
    nearest = [image.quantize(palette=palette, dither=Image.Dither.NONE).point(place) for image in images]
    for image in nearest:
        image.putpalette(last)
    return nearest


def _flat(colors: list[tuple[int, ...]]) -> bytes:
    return bytes(value for color in colors for value in color)


def _cleared(colours: Image.Image, image: Image.Image) -> Image.Image:
    """Colour 255 where `image` is transparent."""
    clear = image.getchannel("A").point(lambda alpha: 255 * (alpha < 128))
    if clear.getbbox():
        colours.paste(255, mask=clear)
        colours.info["transparency"] = 255
    return colours
