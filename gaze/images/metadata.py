"""What a file says about its picture, kept for its thumbnails: EXIF, XMP, colour profile."""

import io
import re

from PIL import Image, ImageCms

from gaze.images.orientation import ORIENTATION

_EXIF, _GPS = 0x8769, 0x8825

_KEPT = frozenset({0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x8298, *range(0x9C9B, 0x9CA0)})
"""Tags of EXIF's first directory that describe the photo and not how a file stores it.

Description, maker, model, software, date, artist, computer, rating, copyright, and what Windows adds.
"""

_SIZES = (0xA002, 0xA003, 0xA005)
"""Tags of EXIF's second directory that no longer hold: width, height, and a pointer that the writer makes anew."""

MAX_XMP, MAX_PROFILE = 2**20, 2**22
"""Bytes; longer XMP is left out, and a longer profile counts as none."""

_TURNED = re.compile(
    rb"""\s?\btiff:Orientation\s{0,9}=\s{0,9}(?:"[^"<>]{0,99}"|'[^'<>]{0,99}')
    | <tiff:Orientation\b[^<>]{0,999}>[^<>]{0,99}</tiff:Orientation\s{0,9}>""",
    re.VERBOSE,
)
"""XMP's orientation; each part has a bound, lest a long run of anything be read again from each of its places."""

_THUMBNAILS = re.compile(rb"<(/?)(?:xmp|xap):Thumbnails\b[^<>]{0,999}?(/?)>")


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
        kept[ORIENTATION] = 1
        return kept.tobytes()
    except Warning:
        raise
    except Exception:
        return None


def take_xmp(image: Image.Image) -> bytes | None:
    """XMP of an opened file, which is then no more in its `info`, where Pillow would turn the picture after it."""
    found = image.info.pop("xmp", None) or image.info.pop("XML:com.adobe.xmp", None)
    image.info.pop("XML:com.adobe.xmp", None)
    found = found.encode() if isinstance(found, str) else found
    return found if isinstance(found, bytes) and len(found) <= MAX_XMP else None


def kept_xmp(xmp: bytes | None) -> bytes | None:
    """XMP for a picture made from the one that `xmp` describes, without orientation and thumbnails."""
    return _without_thumbnails(_TURNED.sub(b"", xmp)) if xmp else None


def _without_thumbnails(xmp: bytes) -> bytes | None:
    """XMP without its embedded thumbnails; None where one does not end."""
    kept, start, depth = [], 0, 0
    for tag in _THUMBNAILS.finditer(xmp):
        if depth == 0:
            kept.append(xmp[start : tag.start()])
        depth += -1 if tag[1] else 0 if tag[2] else 1
        start = tag.end()
        if depth < 0:
            return None
    return None if depth else b"".join([*kept, xmp[start:]])


def profile_of(image: Image.Image) -> bytes | None:
    """The colour profile, where it is sound and fits the picture that gaze makes from `image`."""
    profile = image.info.get("icc_profile", b"")
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except Exception:  # none, or a damaged one
        return None
    return profile if space == {"L": "GRAY", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}.get(image.mode) else None
