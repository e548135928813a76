"""Colour modes and profiles of PIL images."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from gaze.images.profiles import is_srgb

_BAND = 2**20
"""Pixels that are worked on at a time where that needs more memory than the result."""

_PHOTOMETRIC, _BITS, _SAMPLE_FORMAT = 262, 258, 339
"""Tags of TIFF."""


def simplify(image: Image.Image, keep_profile: bool = False, own: bool = False) -> Image.Image:
    """Converts any mode and colour profile to mode L, RGB or RGBA, 8 bits a channel.

    In sRGB, or with `keep_profile` in the image's own profile. A damaged profile, or one for other channels, counts
    as none; values of more than 8 bits keep the upper ones.

    Args:
        image: loaded or not.
        keep_profile: leave the colours as they are.
        own: the caller has no more use for the pixels of `image`, which may change or become the result's; otherwise
            the result is a copy.

    Raises:
        ValueError: Pillow cannot convert this mode.
    """
    profile = None if keep_profile else image.info.get("icc_profile")
    if image.mode in ("LA", "I", "F") or image.mode.startswith("I;16"):  # whose profile, if any, is one of grey
        return _grey(image, profile)
    if image.has_transparency_data:
        simple = _converted(image, "RGBA", own)
    elif image.mode in ("1", "L"):
        simple = _converted(image, "L", own)
    else:
        simple = image if image.mode == "CMYK" else _converted(image, "RGB", own)
    simple = to_srgb(simple, profile, own=simple is not image)
    return simple.convert("RGB") if simple.mode == "CMYK" else simple


def _converted(image: Image.Image, mode: str, own: bool) -> Image.Image:
    if own and image.mode == mode:
        image.load()
        return image._new(image.im)  # the same pixels, and nothing of the file
    return image.convert(mode)


def _grey(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image of grey in other than 8 bits, or with alpha."""
    if image.mode == "LA":
        return _by_bands(image, "RGBA", lambda band: _with_alpha(band.getchannel("L"), band.getchannel("A"), profile))
    grey, clear = _eight_bits(image), image.info.get("transparency")
    if not image.mode.startswith("I;16") or not isinstance(clear, int):
        return to_srgb(grey, profile)
    visible = _by_bands(image, "L", lambda band: Image.fromarray(255 * (np.asarray(band) != clear).astype(np.uint8)))
    return _with_alpha(grey, visible, profile)


def _with_alpha(grey: Image.Image, alpha: Image.Image, profile: bytes | None) -> Image.Image:
    simple = to_srgb(grey, profile).convert("RGBA")
    simple.putalpha(alpha)
    return simple


def _eight_bits(image: Image.Image) -> Image.Image:
    white, unsigned = _white(image), image.mode == "I" and _tag(image, _SAMPLE_FORMAT, 2) == 1
    negative = _tag(image, _PHOTOMETRIC, 1) == 0

    def scaled(band: Image.Image) -> Image.Image:
        values = np.asarray(band)
        values = np.nan_to_num((values.view(np.uint32) if unsigned else values).astype(np.float32)).clip(0, white)
        return Image.fromarray(((white - values if negative else values) * (255 / white) + 0.5).astype(np.uint8))

    return _by_bands(image, "L", scaled)


def _white(image: Image.Image) -> float:
    """The value that is white: the largest of floating-point numbers, 65535 of whole ones unless there are larger."""
    if image.mode.startswith("I;16"):
        return 65535.0
    if image.mode == "I":
        low, high = image.getextrema()
        if _tag(image, _BITS, 16) != 32 or (low >= 0 and high <= 65535):  # type: ignore[operator]
            return 65535.0
        return 2.0**32 - 1 if _tag(image, _SAMPLE_FORMAT, 2) == 1 else 2.0**31 - 1
    largest = [float(np.nan_to_num(np.asarray(image.crop(box))).max()) for box in bands(image.size)]
    return max(1.0, *largest)


def _tag(image: Image.Image, tag: int, default: int) -> int:
    """The first value of a TIFF's tag."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return (value or (default,))[0] if isinstance(value, tuple) else value


def bands(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Boxes that divide an image of a size from top to bottom."""
    width, height = size
    rows = max(1, _BAND // width)
    return [(0, top, width, min(height, top + rows)) for top in range(0, height, rows)]


def _by_bands(image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """What `convert`, which looks at each pixel alone, makes of an image."""
    boxes = bands(image.size)
    if len(boxes) == 1:
        return convert(image)
    result = Image.new(mode, image.size)
    for box in boxes:
        result.paste(convert(image.crop(box)), box)
    return result


def to_srgb(image: Image.Image, profile: bytes | None, own: bool = False) -> Image.Image:
    """Converts an image of mode L, RGB, RGBA or CMYK from its profile; a damaged or foreign one counts as none.

    Args:
        image: comes back as it is where nothing is to be done.
        profile: None: it is in sRGB.
        own: its pixels may be changed.
    """
    if not profile:
        return image
    try:
        if is_srgb(profile):
            return image
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, mode)
        if own and mode == image.mode:
            return transform.apply_in_place(image)
        converted = transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted.convert("L") if image.mode == "L" else converted


def opaque(image: Image.Image) -> Image.Image:
    """Puts what is transparent in an RGBA image over white; another image comes back as it is."""
    if image.mode != "RGBA":
        return image

    def over_white(band: Image.Image) -> Image.Image:
        return Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB")

    return _by_bands(image, "RGB", over_white)
