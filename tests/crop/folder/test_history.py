from collections.abc import Sequence

from gaze.crop.folder.history import History
from gaze.crop.folder.manifest import line_of
from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.record import (
    CroppedRecord,
    CropRecord,
    FailedRecord,
    ModelRecord,
    PhotoRecord,
    PictureRecord,
    Record,
    Stamp,
)
from gaze.geometry import Box

WANTED = Fingerprints("same", "2.asked", "before")


def record(name: str, request: str = "same", path: str = "", asked: str | None = "2.x") -> CroppedRecord:
    output = PictureRecord(path or f"{name}.out", 4, 4, 9, request)
    crop = CropRecord("1:1", 1, Box(0, 0, 4, 4), 0.5, 0.5, 0.0, False, output)
    photo = PhotoRecord(4, 4, "PNG", ModelRecord("bright", "7"), (crop,), None, {})
    return CroppedRecord(name, Stamp(3, 5), request, photo, asked)


def history(records: Sequence[Record]) -> History:
    lines = [line_of(each) for each in records]
    return History(WANTED, lambda: enumerate(lines), lines.__getitem__, lambda _: True)


def test_what_was_done_with_other_defaults_is_done_and_known_to_be():
    of_now, of_before = record("a", asked="2.asked"), record("c", "before", asked=None)
    found = history([of_now, record("b", "else", asked="1.asked"), of_before, record("d", "else"), record("e")])
    assert found.done.keys() == set("abce")
    assert found.outdated == set("bce")
    assert history([record("b", "else", asked="1.asked"), record("b", asked="2.asked")]).outdated == set()


def test_what_another_request_wrote_over_is_not_done():
    assert history([record("a"), record("a", "else")]).done == {}
    assert history([record("a"), record("a", "else", "other.out")]).done.keys() == {"a"}
    assert history([record("a"), record("a", "else"), record("a")]).done.keys() == {"a"}


def test_all_pictures_of_a_photo_are_known():
    found = history([record("a"), record("b"), record("a", "else"), FailedRecord("a", "no", Stamp(1, 2), "same")])
    assert [picture.sha256 for picture in found.pictures("a")] == ["same", "else"]
    assert found.pictures("c") == ()
    assert [each.input for each in found.records()] == ["b"]


def test_owner_is_who_wrote_last_in_this_run_too():
    records: list[Record] = [record("a", path="x.out"), record("b", "else", "x.out")]
    lines = [line_of(each) for each in records]
    found = History(WANTED, lambda: enumerate(lines), lines.__getitem__, lambda _: True)
    assert (found.owner("x.out"), found.owner("y.out")) == ("b", None)
    for number, path in enumerate(("y.out", "x.out"), 2):
        lines.append(line_of(record("c", path=path)))
        found.append(number, record("c", path=path))
    assert (found.owner("x.out"), found.owner("y.out")) == ("c", "c")
