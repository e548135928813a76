"""What a file says about its picture: orientation, EXIF, XMP, colour profile."""

import io
import re

from PIL import Image, ImageCms

_ORIENTATION = 0x0112
_EXIF, _GPS = 0x8769, 0x8825

_KEPT = frozenset({0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298, *range(0x9C9B, 0x9CA0)})
"""Tags of EXIF's first directory that describe the photo and not how a file stores it.

Description, maker, model, software, date, artist, computer, rating, copyright, and what Windows adds.
"""

_SIZES = (0xA002, 0xA003, 0xA005)
"""Tags of EXIF's second directory that no longer hold: width, height, and a pointer that the writer makes anew."""

_STALE = re.compile(
    rb"""\s+tiff:Orientation=(["']).*?\1 | <tiff:Orientation>.*?</tiff:Orientation>
    | <(xmp|xap):Thumbnails\b.*?</\2:Thumbnails>""",
    re.DOTALL | re.VERBOSE,
)


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or one that means nothing."""
    try:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
    except Warning:  # which the caller wants as an error
        raise
    except Exception:  # damaged metadata is no reason to refuse the pixels
        return 1
    return orientation if orientation in range(1, 9) else 1


def exif_of(image: Image.Image) -> bytes | None:
    """EXIF for a picture made from `image`: upright, without the embedded thumbnail; None where it is damaged."""
    try:
        found = image.getexif()
        kept = Image.Exif()
        kept.update({tag: value for tag, value in found.items() if tag in _KEPT})
        for directory in (_EXIF, _GPS):
            if entries := {tag: value for tag, value in found.get_ifd(directory).items() if tag not in _SIZES}:
                kept[directory] = entries
        if not kept:
            return None
        kept[_ORIENTATION] = 1
        return kept.tobytes()
    except Warning:
        raise
    except Exception:
        return None


def xmp_of(image: Image.Image) -> bytes | None:
    """XMP for a picture made from `image`, without orientation and thumbnails."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or getattr(image, "tag_v2", {}).get(700)
    if isinstance(found, str):
        found = found.encode()
    return _STALE.sub(b"", found) if isinstance(found, bytes) else None


def profile_of(image: Image.Image) -> bytes | None:
    """The colour profile, where it is sound and fits the picture that gaze makes from `image`."""
    profile = image.info.get("icc_profile", b"")
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except Exception:  # none, or a damaged one
        return None
    return profile if space == {"L": "GRAY", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}.get(image.mode) else None
