"""Which photos of a listing get the names that several want."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from pictures import corners, stored

from gaze.crop.folder.listing import Rival, Shard, Tally, Task
from gaze.crop.folder.turns import foreseen_paths, in_order
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import parse_ratio, shapes
from gaze.geometry import Bounds
from gaze.images import Encoding
from gaze.predictor import Predictor

WHOLE = Shard()
SQUARE = Request(shapes([parse_ratio("1:1")], []))


def rivals(names: Iterable[str], request: Request = SQUARE, shard: Shard = WHOLE) -> dict[str, str | None]:
    tasks = in_order((Task(f"/p/{name}", name) for name in names), shard, request, Tally())
    return {task.name: task.rival and task.rival.photo for task in tasks}


def test_first_of_a_listing_has_no_rival():
    names = ("a.bmp", "a.jpg", "a.png", "a.ppm", "b.png", "sub/a.bmp", "sub/a.png", "sub/b.bmp")
    told = {"a.png": "a.bmp", "a.ppm": "a.bmp", "sub/a.png": "sub/a.bmp"}
    assert rivals(names) == {name: told.get(name) for name in names}


def test_what_a_name_holds_tells_photos_apart():
    names = ("a.bmp", "a.jpg", "b.jpg")
    formatted = replace(SQUARE, encoding=Encoding("JPEG"))
    assert rivals(names, formatted) == {"a.bmp": None, "a.jpg": "a.bmp", "b.jpg": None}
    assert set(rivals(names, replace(formatted, template="{stem}_{suffix}{ext}")).values()) == {None}
    assert rivals(names, replace(formatted, template="{shape}{ext}"))["b.jpg"] == "a.bmp"
    named = replace(formatted, template="{suffix}{ext}", heatmap="{stem}_heatmap{ext}")
    assert rivals(names, named) == {"a.bmp": None, "a.jpg": "a.bmp", "b.jpg": None}


def test_photo_that_is_refused_takes_no_name_from_another():
    names = ("a.bmp", "b.bmp", "b.png")
    request = replace(SQUARE, template="one{ext}", heatmap="{stem}{ext}")
    assert rivals(names, request) == {"a.bmp": None, "b.bmp": "a.bmp", "b.png": "a.bmp"}
    request = replace(request, template="{suffix}{ext}")
    assert rivals(("a.bmp", "b.bmp", "b.png"), request) == {"a.bmp": None, "b.bmp": "a.bmp", "b.png": None}


def test_what_only_the_photo_itself_tells_is_left_open():
    names = ("a.bmp", "a.png", "b.raw", "b.unknown")
    assert set(rivals(names, replace(SQUARE, template="{stem}_{size}{ext}")).values()) == {None}
    assert rivals(names)["b.unknown"] is None
    assert rivals(names, replace(SQUARE, encoding=Encoding("WEBP")))["b.unknown"] == "b.raw"


def test_shards_share_one_listing():
    names = [f"{stem}.{suffix}" for stem in "abcdef" for suffix in ("bmp", "png")]
    whole = rivals(names)
    parts: dict[str, str | None] = {}
    for index in (1, 2, 3):
        parts |= rivals(names, shard=Shard(index, 3))
    assert parts == whole
    tally = Tally()
    tasks = list(in_order((Task(name, name) for name in names), Shard(1, 3), SQUARE, tally))
    assert len(tasks) + tally.elsewhere == len(names)
    assert Rival("a.bmp", "a_1x1.png") in [task.rival for task in in_order(map(_task, names), WHOLE, SQUARE, Tally())]


def _task(name: str) -> Task:
    return Task(name, name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.JPG", "JPEG"), ("a.bmp", "BMP"), ("s/a.b.png", "PNG"), ("a.pgm", "PPM"), ("a.mpo", "MPO"), ("a.tif", "TIFF")],
)
@pytest.mark.parametrize("encoding", [Encoding(), Encoding("WEBP")])
def test_names_that_are_foreseen_are_those_that_come(name: str, kind: str, encoding: Encoding, bright_model: Path):
    request = Request(
        shapes([parse_ratio("1:1"), parse_ratio("original")], [Bounds.parse("9x9"), Bounds.parse("5")]),
        encoding=encoding,
        heatmap="{stem}_{suffix}{ext}",
    )
    cropped = Cropper(request, Predictor(str(bright_model))).crop(stored(corners(), kind), PurePosixPath(name))
    assert {picture.path for picture in cropped.record.pictures} == foreseen_paths(request, name)
