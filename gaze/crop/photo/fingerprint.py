"""Tells requests whose thumbnails could differ apart, whatever the code that reads them looks like by now.

A manifest keeps the fingerprint of every photo, and a photo is done again where it is another. So the text that it is
made of is spelled here, with names and an order of its own: version 1 is what `repr` of a request once gave. A value
that joins later is added at the end, and only where it is not its default, so that what is done stays done.
"""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

from gaze.crop.photo.record import CroppedRecord, FailedRecord
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Shape
from gaze.framing.choice import Framing
from gaze.geometry import AspectRatio
from gaze.weights import DEFAULT, SHIPPED


@dataclass(frozen=True)
class Fingerprints:
    """By what a photo counts as done.

    A newer shipped model or another default does nothing again: who wants that says `--overwrite`.

    Attributes:
        request: of all that decides how the thumbnails look.
        asked: of what the user asked for: a value that he left alone and a shipped model count whatever they are.
        before: `request` as it was with the defaults and models of the manifests that lack `asked`.
    """

    request: str
    asked: str
    before: str

    @classmethod
    def of(cls, request: Request, model: str) -> "Fingerprints":
        """See `fingerprint`."""
        return cls(fingerprint(request, model), _asked(request, model), _before(request, model))

    def fit(self, record: CroppedRecord | FailedRecord) -> bool:
        """Whether a record is of such a request."""
        asked = getattr(record, "asked", None)
        return record.request in (self.request, self.before) or asked == self.asked


BEFORE: dict[str, Any] = {"padding": 0.02, "threshold": 0.0025}
"""Defaults of `Framing` when records had no `asked`; those of before that are still the same need not stand here."""

MODELS_BEFORE = {
    "fast": "33f587e011783d9f16d56731da32f11ecbffb8a8db5e22fdb584e9774f715b78",
    "quality": "4961b1ef549a393ffa3c0828b837b9312b1775499a556b459c1d8cbfd849db1b",
}
"""Likewise the shipped models."""


def _asked(request: Request, model: str) -> str:
    framing = {each.name: getattr(request.framing, each.name) for each in fields(Framing)}
    chosen = {name: value for name, value in framing.items() if value != getattr(Framing, name)}
    neutral = Framing(zoom=(1.0, 1.0), padding=0.0, candidates=1, threshold=0.0, keep=0.0)
    named = request.model or "default"
    text = canonical_text(replace(request, framing=neutral), named if named in (*SHIPPED, "default") else model)
    return _digest(f"{text}, {sorted(chosen.items())!r}")


def _before(request: Request, model: str) -> str:
    framing = request.framing
    left = {name: value for name, value in BEFORE.items() if getattr(framing, name) == getattr(Framing, name)}
    named = request.model or DEFAULT
    return fingerprint(replace(request, framing=replace(framing, **left)), MODELS_BEFORE.get(named, model))


def fingerprint(request: Request, model: str) -> str:
    """16 hexadecimal digits.

    Args:
        request: what is wanted of every photo; `overwrite` and `preview`, which change no thumbnail, do not count.
        model: the sha256 of the network, which counts for its name or path.
    """
    return _digest(canonical_text(request, model))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical_text(request: Request, model: str) -> str:
    """Version 1 of the text."""
    framing, encoding, keep, limits = request.framing, request.encoding, request.keep, request.limits
    shapes = ", ".join(map(_shape, request.shapes)) + ("," if len(request.shapes) == 1 else "")
    return (
        f"Request(shapes=({shapes}), "
        f"framing={_framing(framing)}, "
        f"model={model!r}, "
        f"encoding=Encoding(format={encoding.format!r}, quality={encoding.quality!r}, "
        f"progressive={encoding.progressive!r}, chroma={encoding.chroma!r}), "
        f"keep=Keep(metadata={keep.metadata!r}, profile={keep.profile!r}), "
        f"limits=Limits(pixels={limits.pixels!r}, bytes={limits.bytes!r}), "
        f"template={request.template!r}, upscale={request.upscale!r}, fill={request.fill!r}, "
        f"frames={request.frames!r}, focus_weight={request.focus_weight!r}, heatmap={request.heatmap!r}, "
        f"overwrite=False, preview=False{_later(request)})"
    )


def _later(request: Request) -> str:
    """The values that joined since version 1, where they are not their defaults."""
    return "".join(f", {name}=True" for name in ("flat", "strict") if getattr(request, name))


FIRST = {"padding": 0.02, "threshold": 0.0025}
"""Defaults of version 1 that are others by now; a default is spelled as it was, so that a new policy redoes nothing."""


def _framing(framing: Framing) -> str:
    told = {name: getattr(framing, name) for name in FIRST}
    spelled = {name: FIRST[name] if value == getattr(Framing, name) else value for name, value in told.items()}
    later = {name: value for name, value in told.items() if value == FIRST[name]}  # asked for, and no default now
    if framing.cut_weight != Framing.cut_weight:
        later["cut_weight"] = framing.cut_weight
    return (
        f"Framing(zoom={framing.zoom!r}, padding={spelled['padding']!r}, candidates={framing.candidates!r}, "
        f"threshold={spelled['threshold']!r}, keep={framing.keep!r}"
        + "".join(f", {name}={value!r}" for name, value in later.items())
        + ")"
    )


def _shape(shape: Shape) -> str:
    of = shape.ratio
    ratio = f"AspectRatio(width={of.width!r}, height={of.height!r})" if isinstance(of, AspectRatio) else of
    size = f"Size(width={shape.size.width!r}, height={shape.size.height!r})" if shape.size else None
    return f"Shape(ratio={ratio}, size={size}, label={shape.label!r})"
