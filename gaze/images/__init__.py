"""Images in and out: limits before decoding, orientation, colour, animations, cutting, encoding, the heat map.

What may live here: what knows image files or arrays of pixels, and nothing of gaze but how it is drawn (`heatmap`).
Nothing here writes a file or changes the process, but for `accept` and what `diagnostics` has for commands. Each file
loads on first use: what only lists photos, or asks for thumbnails, needs neither numpy, OpenCV nor Pillow.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaze.images.arrays import ImageLike, as_rgb, as_upright, check_rgb, decode, overview, to_array
    from gaze.images.cutting import cut
    from gaze.images.decoding import Photo, accept, open_photo
    from gaze.images.encoding import encode
    from gaze.images.formats import SUFFIXES, WRITTEN, output_format
    from gaze.images.frames import Frame
    from gaze.images.settings import MAX_BYTES, MAX_PIXELS, Encoding, Keep, Limits
    from gaze.images.suffixes import foreseen_suffix, output_suffix

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "WRITTEN",
    "Encoding",
    "Frame",
    "ImageLike",
    "Keep",
    "Limits",
    "Photo",
    "accept",
    "as_rgb",
    "as_upright",
    "check_rgb",
    "cut",
    "decode",
    "encode",
    "foreseen_suffix",
    "open_photo",
    "output_format",
    "output_suffix",
    "overview",
    "to_array",
]

_FILES = {
    "Encoding": "settings",
    "Frame": "frames",
    "ImageLike": "arrays",
    "Keep": "settings",
    "Limits": "settings",
    "MAX_BYTES": "settings",
    "MAX_PIXELS": "settings",
    "Photo": "decoding",
    "SUFFIXES": "formats",
    "WRITTEN": "formats",
    "accept": "decoding",
    "as_rgb": "arrays",
    "as_upright": "arrays",
    "check_rgb": "arrays",
    "cut": "cutting",
    "decode": "arrays",
    "encode": "encoding",
    "foreseen_suffix": "suffixes",
    "open_photo": "decoding",
    "output_format": "formats",
    "output_suffix": "suffixes",
    "overview": "arrays",
    "to_array": "arrays",
}


def __getattr__(name: str) -> object:
    if name not in _FILES:
        raise AttributeError(f"module 'gaze.images' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"gaze.images.{_FILES[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
