"""Where people look in a photograph, and the crop that keeps it.

`gaze.saliency(image)` predicts, `gaze.crop(image, ratio="1:1")` chooses the box, `gaze.thumbnail(image, size=400)` cuts
it out and scales it down; an image is a path, the bytes of an encoded file, a PIL image or an H x W x 3 uint8 RGB
array. What needs numpy, OpenCV or ONNX Runtime loads on first use, so that `import gaze` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gaze.errors import ConfigError, DataError, GazeError, ImageError, ModelError
from gaze.geometry import AspectRatio, Box, Point, Size

if TYPE_CHECKING:
    from gaze.card import ModelCard
    from gaze.crop.api import centering, crop, thumbnail
    from gaze.framing.choice import Crop
    from gaze.predictor import Predictor, saliency

    __version__: str

__all__ = [
    "AspectRatio",
    "Box",
    "ConfigError",
    "Crop",
    "DataError",
    "GazeError",
    "ImageError",
    "ModelCard",
    "ModelError",
    "Point",
    "Predictor",
    "Size",
    "__version__",
    "centering",
    "crop",
    "saliency",
    "thumbnail",
]

_LATER = {
    "Crop": "gaze.framing.choice",
    "ModelCard": "gaze.card",
    "Predictor": "gaze.predictor",
    "centering": "gaze.crop.api",
    "saliency": "gaze.predictor",
    "thumbnail": "gaze.crop.api",
}

for _public in (AspectRatio, Box, ConfigError, DataError, GazeError, ImageError, ModelError, Point, Size):
    _public.__module__ = __name__  # what loads later says so where it stands


def __getattr__(name: str) -> object:
    if name == "crop":  # the package is itself callable: see gaze/crop/__init__.py
        return import_module("gaze.crop")
    if name == "__version__":
        return _version()
    if name in _LATER:
        globals()[name] = getattr(import_module(_LATER[name]), name)
        return globals()[name]
    raise AttributeError(f"module 'gaze' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gaze-crop")  # `gaze` on the package index is another project
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
