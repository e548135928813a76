"""Tells requests whose thumbnails could differ apart, whatever the code that reads them looks like by now.

A manifest keeps the fingerprint of every photo, and a photo is done again where it is another. So the text that it is
made of is spelled here, with names and an order of its own: version 1 is what `repr` of a request once gave. A value
that joins later is added at the end, and only where it is not its default, so that what is done stays done.
"""

import hashlib

from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Shape


def fingerprint(request: Request, model: str) -> str:
    """16 hexadecimal digits.

    Args:
        request: what is wanted of every photo; `overwrite` and `preview`, which change no thumbnail, do not count.
        model: the sha256 of the network, which counts for its name or path.
    """
    return hashlib.sha256(canonical_text(request, model).encode()).hexdigest()[:16]


def canonical_text(request: Request, model: str) -> str:
    """Version 1 of the text."""
    framing, encoding, keep, limits = request.framing, request.encoding, request.keep, request.limits
    shapes = ", ".join(map(_shape, request.shapes)) + ("," if len(request.shapes) == 1 else "")
    return (
        f"Request(shapes=({shapes}), "
        f"framing=Framing(zoom={framing.zoom!r}, padding={framing.padding!r}, candidates={framing.candidates!r}, "
        f"threshold={framing.threshold!r}, keep={framing.keep!r}), "
        f"model={model!r}, "
        f"encoding=Encoding(format={encoding.format!r}, quality={encoding.quality!r}, "
        f"progressive={encoding.progressive!r}, chroma={encoding.chroma!r}), "
        f"keep=Keep(metadata={keep.metadata!r}, profile={keep.profile!r}), "
        f"limits=Limits(pixels={limits.pixels!r}, bytes={limits.bytes!r}), "
        f"template={request.template!r}, upscale={request.upscale!r}, fill={request.fill!r}, "
        f"frames={request.frames!r}, focus_weight={request.focus_weight!r}, heatmap={request.heatmap!r}, "
        f"overwrite=False, preview=False{', strict=True' if request.strict else ''})"
    )


def _shape(shape: Shape) -> str:
    ratio = f"AspectRatio(width={shape.ratio.width!r}, height={shape.ratio.height!r})"
    size = f"Size(width={shape.size.width!r}, height={shape.size.height!r})" if shape.size else None
    return f"Shape(ratio={ratio}, size={size}, label={shape.label!r})"
