"""The suffixes of pictures, after the format that is written."""

from typing import TYPE_CHECKING

from gaze.images.formats import SUFFIXES
from gaze.images.settings import Encoding

if TYPE_CHECKING:
    from gaze.images.decoding import Photo


def output_suffix(photo: "Photo", suffix: str, encoding: Encoding = Encoding()) -> str:
    """The suffix of a picture made from `photo`: `suffix` where it fits the format, else the usual one."""
    return _suffix(photo.format, suffix, encoding)


def foreseen_suffix(suffix: str, encoding: Encoding = Encoding()) -> str | None:
    """What `output_suffix` is for a photo that is what its suffix says; None where that says nothing."""
    kind = next((kind for kind, suffixes in SUFFIXES.items() if suffix.lower() in suffixes), encoding.format)
    return kind and _suffix("JPEG" if kind == "MPO" else kind, suffix, encoding)


def _suffix(kind: str, suffix: str, encoding: Encoding) -> str:
    suffixes = SUFFIXES[encoding.of(kind)]
    return suffix if suffix.lower() in suffixes else suffixes[0]
