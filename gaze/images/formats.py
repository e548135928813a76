"""Which formats gaze reads and writes, and what a file is by its first bytes."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from gaze.errors import ImageError

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "MPO": (".mpo",),  # several JPEGs one after the other, which begin as one and are read as that
    "HEIF": (".heic", ".heif", ".hif"),
}
"""Formats that gaze reads (see `readable`), as Pillow names them, with their suffixes, the usual one first."""

WRITTEN = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF")
"""Formats that gaze writes."""

ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
"""Formats whose further frames are an animation, and not pages or other views."""

_IMAGES = {
    rb"\xff\xd8\xff": "JPEG",
    rb"\x89PNG\r\n\x1a\n": "PNG",
    rb"GIF8[79]a": "GIF",
    rb"BM": "BMP",
    rb"P[1-6]\s": "PPM",
    rb"RIFF.{4}WEBP": "WEBP",
    rb"(?:II[*+]\0|MM\0[*+])(?!.{4}CR[\x02\x03]\0)": "TIFF",
    rb".{4}ftyp(?:avi[fs]|m[is]f1(?:.{4}){1,12}?avi[fs])": "AVIF",
    rb".{4}ftyp(?:he[iv].|m[is]f1)": "HEIF",
}

_RAW = "a raw camera file"

_OTHERS = {
    rb"PK(?:\x03\x04|\x05\x06)": "a ZIP archive",
    rb"Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ": "a compressed archive",
    rb"%PDF-": "a PDF document",
    rb"%!PS|\xc5\xd0\xd3\xc6": "a PostScript file",
    rb"8BPS": "a Photoshop document",
    rb"\0{3}\x0c(?:JXL |jP  )|\xff\x0a|\xff\x4f\xff\x51": "a JPEG XL or JPEG 2000 image",
    rb"\0\0[\x01\x02]\0[^\0]": "a Windows icon",
    rb".{4}ftypcrx|FUJIFILMCCD-RAW|II\x1a\0{3}HEAPCCDR|IIU\0|II(?:RO|RS)|MMOR|FOVb|\0MRM|II\*\0.{4}CR": _RAW,
    rb".{4}(?:ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xba\xb3]": "a video",
    rb"ID3|OggS|fLaC|RIFF.{4}WAVE|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]": "a sound recording",
    rb"\x7fELF|MZ": "a program",
    rb"\0+\Z": "nothing but zero bytes",
    rb"(?i:(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<svg)": "an SVG drawing",
    rb"(?i:(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<(?:!doctype )?html)": "an HTML page",
    rb"[\t\n\r\f -~\x80-\xff]+\Z": "a text",
}
"""What else a file may be; like those of `_IMAGES`, patterns are compiled when they are first asked for."""

HEAD = 4096
"""How many of a file's first bytes tell what it is."""


def identify(head: bytes) -> str:
    """The format, a key of `SUFFIXES`, of a file that begins with `head`, whatever its name says.

    Raises:
        ImageError: it is none of these; the message, without the file's name, says what it is where that is known.
    """
    for pattern, kind in _IMAGES.items():
        if re.match(pattern, head, re.DOTALL):
            return kind
    found = next((f"but {words}" for pattern, words in _OTHERS.items() if re.match(pattern, head, re.DOTALL)), "")
    what = f"not an image {found}" if found else "not an image, or its first bytes are damaged"
    raise ImageError(f"{what}; gaze reads {' '.join(readable())}")


_DNG_VERSION, _SUBFILE, _PHOTOMETRIC, _SUBFILES = 50706, 254, 262, 330
_SENSOR = (32803, 34892)
"""Photometric interpretations of what a sensor saw: color filter array, linear raw."""


def check_no_raw(tags: Mapping[int, Any]) -> None:
    """Refuses a raw camera file that begins as a TIFF: what could be read of it is the preview, not the photo.

    Args:
        tags: of the first directory. DNG 1.7, chapter 4: the preview comes first, and others hold the photo.

    Raises:
        ImageError: it is one.
    """
    preview = tags.get(_SUBFILE, 0) == 1 and _SUBFILES in tags
    if preview or _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) in _SENSOR:
        raise ImageError(f"not an image but {_RAW}, of which only the preview could be read; develop it first")


def readable() -> list[str]:
    """Those of `SUFFIXES` that can be read here: AVIF where Pillow was built with it, HEIF where its package is."""
    from PIL import Image  # here, as what lists photos need not load it

    Image.init()
    return [kind for kind in SUFFIXES if kind in Image.SAVE or (kind == "HEIF" and find_spec("pillow_heif"))]


def register_heif() -> None:
    """Teaches Pillow to read HEIF, which it cannot by itself.

    Raises:
        ImageError: the package for it is not installed.
    """
    from PIL import Image

    if "HEIF" in Image.OPEN:
        return
    try:
        from pillow_heif import register_heif_opener  # here, as few photos need it and it is optional
    except ImportError as error:
        raise ImageError("a HEIF photo; to read it: pip install pillow-heif") from error
    register_heif_opener()


def output_format(suffix: str) -> str:
    """The format that a suffix such as `.jpg` asks for.

    Raises:
        ImageError: gaze writes no such format.
    """
    for kind in WRITTEN:
        if suffix.lower() in SUFFIXES[kind]:
            return kind
    known = " ".join(SUFFIXES[kind][0] for kind in WRITTEN)
    raise ImageError(f"{suffix or 'no suffix'}: gaze writes {known}")
