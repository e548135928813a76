"""Fingerprints stand in manifests: those that there are must stay what they are."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest

from gaze.crop.photo.fingerprint import MODELS_BEFORE, Fingerprints, canonical_text, fingerprint
from gaze.crop.photo.record import CroppedRecord, FailedRecord, ModelRecord, PhotoRecord, Stamp
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Shape, shapes
from gaze.framing.policy import Framing
from gaze.geometry import AspectRatio, Bounds
from gaze.images import Encoding, Keep, Limits

MODEL = "0" * 64
PHOTO = PhotoRecord(4, 4, "PNG", ModelRecord("fast", "1"), (), None, {})
SQUARE = Request(shapes([], []))
WIDE = Request(
    shapes([AspectRatio.parse("16:9"), AspectRatio.parse("1.5")], [Bounds(80, 80), Bounds(9, 9)]),
    Framing((1.0, 2.0), 0.1, 3, 0.01, 0.8),
    "fast",
    Encoding("WEBP", 80, True, "444"),
    Keep(True, True),
    Limits(10**9, 5000),
    "it's/{stem}_{shape}{ext}",
    True,
    "#1a1a1a",
    None,
    0.5,
    "{stem}_heatmap{ext}",
)
TEXT = (
    "Request(shapes=(Shape(ratio=AspectRatio(width=1, height=1), size=None, label='1x1'),), "
    "framing=Framing(zoom=(1.0, 1.0), padding=0.02, candidates=1, threshold=0.0025, keep=0.0), "
    f"model='{MODEL}', "
    "encoding=Encoding(format=None, quality=None, progressive=False, chroma=None), "
    "keep=Keep(metadata=False, profile=False), limits=Limits(pixels=178956970, bytes=1073741824), "
    "template='{stem}_{shape}{ext}', upscale=False, fill=None, frames=1, focus_weight=1.0, heatmap=None, "
    "overwrite=False, preview=False)"
)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (SQUARE, "f5a3a349389b38bd"),
        (Request(shapes([], [Bounds(400, 300), Bounds(80, 80)])), "cd2e5df459a2fdfd"),
        (WIDE, "fabcbe85670b870d"),
        (Request(shapes([AspectRatio(1, 1)], []), template='"é\'"\n{stem}_{shape}{ext}'), "390e8764b23433ba"),
        (Request(()), "1afaf19f7d690642"),
    ],
)
def test_is_what_it_was_in_the_first_manifests(request_: Request, expected: str):
    assert fingerprint(request_, MODEL) == expected


def test_text_of_version_1():
    assert canonical_text(SQUARE, MODEL) == TEXT


def test_values_that_joined_later_stand_at_the_end_in_one_order():
    both = replace(SQUARE, strict=True, flat=True)
    assert canonical_text(both, MODEL) == f"{TEXT[:-1]}, flat=True, strict=True)"
    assert canonical_text(replace(both, flat=False), MODEL) == f"{TEXT[:-1]}, strict=True)"


@dataclass(frozen=True)
class Renamed(Framing):
    """A class of another name, in another place, with a value that joined later."""

    later: int = 0


@dataclass(frozen=True)
class Wanted(Request):
    """The same."""

    later: str = "default"


def test_code_that_moves_or_gains_a_value_changes_nothing():
    moved = Wanted(**{**vars(WIDE), "framing": Renamed(**vars(WIDE.framing))})
    assert repr(moved) != repr(WIDE)
    assert fingerprint(moved, MODEL) == fingerprint(WIDE, MODEL)


def other(value: object) -> object:
    """Another value of the same kind, within its range."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (value[0], 3.0) if isinstance(value[0], float) else value[1:]
    if isinstance(value, float):
        return value + 0.01 if value < 1 else value / 2
    if isinstance(value, int):
        return value + 1
    return {"WEBP": "AVIF", "444": "420", None: 2}.get(value, f"{value}x") if isinstance(value, str | None) else None


def variants(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The value with each field of it, and of what it holds, changed in turn."""
    for field in fields(value):
        own = getattr(value, field.name)
        path = f"{name}{field.name}"
        if is_dataclass(own):
            for inner, changed in variants(own, f"{path}."):
                yield inner, replace(value, **{field.name: changed})
        else:
            yield path, replace(value, **{field.name: other(own)})


def test_a_new_default_policy_redoes_nothing_and_what_was_asked_for_counts():
    plain = Request(WIDE.shapes)
    assert "padding=0.02, candidates=1, threshold=0.0025, keep=0.0)" in canonical_text(plain, MODEL)
    asked = [Framing(padding=0.02), Framing(threshold=0.0025), Framing(padding=0.05), Framing(cut_weight=0)]
    assert len({fingerprint(replace(plain, framing=framing), MODEL) for framing in [Framing(), *asked]}) == 5


def test_every_value_counts_but_those_that_change_no_thumbnail():
    before = fingerprint(WIDE, MODEL)
    same = {name for name, changed in variants(WIDE) if fingerprint(changed, MODEL) == before}
    assert same == {"model", "overwrite", "preview"}
    assert fingerprint(WIDE, "1" * 64) != before


def test_every_value_of_a_shape_counts():
    before = fingerprint(SQUARE, MODEL)
    shape = Shape(AspectRatio(1, 1), Bounds(80, 80), "1x1")
    changed = [shape, *(changed for _, changed in variants(shape))]
    assert len({before, *(fingerprint(replace(SQUARE, shapes=(each,)), MODEL) for each in changed)}) == 7


def test_another_shipped_model_or_policy_is_nothing_that_was_asked_for(monkeypatch: pytest.MonkeyPatch):
    old, new = Fingerprints.of(SQUARE, MODELS_BEFORE["fast"]), Fingerprints.of(SQUARE, "1" * 64)
    assert new.request != old.request
    assert (new.asked, new.before) == (old.asked, old.request)
    assert new.fit(FailedRecord("a", "no", Stamp(1, 2), old.request))
    assert not new.fit(FailedRecord("a", "no", Stamp(1, 2), "other"))
    monkeypatch.setattr("gaze.crop.photo.fingerprint.POLICY", 99)
    later = Fingerprints.of(SQUARE, "1" * 64)
    done = CroppedRecord("a", Stamp(1, 2), new.request, PHOTO, new.asked)
    assert (later.fit(done), later.are_of(done), new.are_of(done)) == (True, False, True)


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        (replace(SQUARE, framing=Framing(threshold=0.01)), MODEL),
        (replace(SQUARE, upscale=True), MODEL),
        (replace(SQUARE, model="quality"), MODEL),
        (replace(SQUARE, model="./fast.onnx"), MODEL),
    ],
)
def test_another_wish_is_asked_for(request_: Request, model: str):
    known, other = Fingerprints.of(SQUARE, MODEL), Fingerprints.of(request_, model)
    assert known.asked != other.asked
    assert known.before != other.before


def test_model_of_a_path_counts_by_its_content():
    mine = replace(SQUARE, model="./mine.onnx")
    assert Fingerprints.of(mine, MODEL).asked != Fingerprints.of(mine, "1" * 64).asked
    assert Fingerprints.of(mine, MODEL).asked == Fingerprints.of(replace(mine, model="moved.onnx"), MODEL).asked
    assert Fingerprints.of(mine, MODEL).before == fingerprint(mine, MODEL)
