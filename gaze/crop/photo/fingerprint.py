"""Tells requests whose thumbnails could differ apart, whatever the code that reads them looks like by now.

A manifest keeps the fingerprint of every photo, and a photo is done again where it is another. So the text that it is
made of is spelled here, with names and an order of its own: version 1 is what `repr` of a request once gave. A value
that joins later is added at the end, and only where it is not its default, so that what is done stays done.
"""

import hashlib
from dataclasses import dataclass

from gaze.crop.photo.record import CroppedRecord, FailedRecord
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Shape
from gaze.framing.policy import Framing
from gaze.geometry import AspectRatio
from gaze.weights import DEFAULT, SHIPPED


@dataclass(frozen=True)
class Fingerprints:
    """By what a photo counts as done.

    A newer shipped model or another default policy alone does nothing again: who wants that says `--overwrite`.

    Attributes:
        request: of all that decides how the thumbnails look.
        asked: the policy, a dot, and the fingerprint of what the user asked for: a shipped model counts by its name.
        before: `request` with the models that were shipped when records had no `asked`.
    """

    request: str
    asked: str
    before: str

    @classmethod
    def of(cls, request: Request, model: str) -> "Fingerprints":
        """See `fingerprint`."""
        name = request.model or "default"
        asked = fingerprint(request, name if name in (*SHIPPED, "default") else model)
        before = fingerprint(request, MODELS_BEFORE.get(request.model or DEFAULT, model))
        return cls(fingerprint(request, model), f"{POLICY}.{asked}", before)

    def fit(self, record: CroppedRecord | FailedRecord) -> bool:
        """Whether a record is of such a request."""
        asked = (getattr(record, "asked", None) or "").partition(".")[2]
        return record.request in (self.request, self.before) or asked == self.asked.partition(".")[2] != ""

    def are_of(self, record: CroppedRecord) -> bool:
        """Whether it would come out the same today, with this model and these defaults."""
        return (record.request, record.asked) == (self.request, self.asked)


POLICY = 6
"""Counts the default policies: another number whenever a photo comes out otherwise though no option changed."""

MODELS_BEFORE = {
    "fast": "33f587e011783d9f16d56731da32f11ecbffb8a8db5e22fdb584e9774f715b78",
    "quality": "4961b1ef549a393ffa3c0828b837b9312b1775499a556b459c1d8cbfd849db1b",
}
"""The models that were shipped when records had no `asked`, under the first policy."""


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
