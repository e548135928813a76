"""A processor of easy-thumbnails: an alias `{"size": (300, 300), "crop": "gaze"}` crops to where people look.

In Django's settings: `THUMBNAIL_PROCESSORS` with `"gaze.integrations.easy_thumbnails.crop_to_gaze"` before
`"easy_thumbnails.processors.scale_and_crop"`, which then scales the box, and crops by itself for any other `crop`.
"""

from typing import Any

from PIL import Image

from gaze.framing.choice import choose
from gaze.geometry import AspectRatio, Box, Size
from gaze.integrations.hosting import look, step_aside


def crop_to_gaze(
    im: Image.Image, size: tuple[int, int], crop: Any = False, upscale: bool = False, gaze_model: str | None = None,
    **options: Any,
) -> Image.Image:  # fmt: skip
    """Cuts out the box of `gaze.crop` where the option `crop` is `"gaze"`; called by easy-thumbnails.

    Args:
        im: upright, as easy-thumbnails has it.
        size: of the thumbnail in pixels; a side of 0 follows from the other one, and nothing is cut.
        crop: of the alias.
        upscale: of the alias; without it a photograph that is too small keeps its shorter side.
        gaze_model: of the alias, the name of a shipped model or an `.onnx` file; None takes the default one.
        options: those of other processors.

    Returns:
        The box, not scaled; `im` itself where another crop is wanted, or gaze cannot.
    """
    if crop != "gaze" or not all(map(int, size)):
        return im
    try:
        return _cut(im, _box(im, Size(*map(int, size)), upscale, gaze_model))
    except Exception as error:  # whatever it is: easy-thumbnails crops the center then
        step_aside("easy-thumbnails", error)
        return im


def _box(im: Image.Image, wanted: Size, upscale: bool, model: str | None) -> Box:
    full = Size(*im.size)
    if not upscale:
        wanted = Size(min(wanted.width, full.width), min(wanted.height, full.height))
    seen = look(im, model)
    ratio = AspectRatio(wanted.width, wanted.height)
    return choose(seen.density, full, ratio, heads=seen.heads, preference=seen.preference)[0].box


def _cut(im: Image.Image, box: Box) -> Image.Image:
    if getattr(im, "n_frames", 1) == 1:
        return im.crop(box.bbox)
    from easy_thumbnails.processors import FrameAware  # what its own processors cut animations with

    return FrameAware(im).crop(box.bbox)
