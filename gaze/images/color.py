"""Colour modes and profiles of PIL images."""

import io

import numpy as np
from PIL import Image, ImageCms


def simplify(image: Image.Image, keep_profile: bool = False) -> Image.Image:
    """Converts any mode and colour profile to mode L, RGB or RGBA, 8 bits a channel; makes a copy.

    In sRGB, or with `keep_profile` in the image's own profile. A damaged profile, or one for other channels, counts
    as none; 16-bit values keep their upper half.

    Raises:
        ValueError: Pillow cannot convert this mode.
    """
    profile = None if keep_profile else image.info.get("icc_profile")
    if image.mode[0] in "IF":
        return to_srgb(_to_eight_bits(image), profile)
    if image.mode == "LA":  # whose profile, if any, is one of grey
        simple = to_srgb(image.getchannel("L"), profile).convert("RGBA")
        simple.putalpha(image.getchannel("A"))
        return simple
    if image.has_transparency_data:
        simple = image.convert("RGBA")
    elif image.mode in ("1", "L"):
        simple = image.convert("L")
    else:
        simple = image if image.mode == "CMYK" else image.convert("RGB")
    simple = to_srgb(simple, profile)
    return simple.convert("RGB") if simple.mode == "CMYK" else simple


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    white = max(1.0, float(values.max())) if image.mode == "F" else 65535.0
    return Image.fromarray((values.clip(0, white) * (255 / white) + 0.5).astype(np.uint8))


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts an image of mode L, RGB, RGBA or CMYK from its profile; a damaged or foreign one counts as none."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, mode).apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted.convert("L") if image.mode == "L" else converted


def opaque(image: Image.Image) -> Image.Image:
    """Puts what is transparent in an RGBA image over white; another image comes back as it is."""
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
