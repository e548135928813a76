from pathlib import Path

import pytest

from gaze.crop.folder.manifest import Manifest, line_of, read_records
from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.record import (
    CroppedRecord,
    CropRecord,
    FailedRecord,
    ModelRecord,
    PhotoRecord,
    PictureRecord,
    Stamp,
)
from gaze.errors import ConfigError
from gaze.geometry import Box

WANTED = Fingerprints("same", "2.asked", "before")


def record(name: str, request: str = "same") -> CroppedRecord:
    output = PictureRecord(f"{name}.out", 4, 4)
    crop = CropRecord("1:1", 1, Box(0, 0, 4, 4), 0.5, 0.5, 0.0, False, output)
    photo = PhotoRecord(4, 4, "PNG", ModelRecord("bright", "7"), (crop,), None, {"decode": 1.5})
    return CroppedRecord(name, Stamp(3, 5), request, photo)


def failure(name: str, reason: str) -> FailedRecord:
    return FailedRecord(name, reason, Stamp(3, 5), "same")


def test_what_is_done_counts_only_with_its_files_and_the_same_request(tmp_path: Path):
    manifest = Manifest(tmp_path / "new" / "m.jsonl", lambda path: (tmp_path / path).exists())
    for name in ("a", "gone", "failed", "other", "mended"):
        (tmp_path / f"{name}.out").write_text("x")
    (tmp_path / "gone.out").unlink()
    for line in (
        record("a"),
        record("gone"),
        failure("failed", "bad"),
        record("other", request="else"),
        failure("mended", "bad"),
        record("mended"),
        record("a\nb"),
    ):
        manifest.append(line)
    assert manifest.history(WANTED).done == {"a": (3, 5), "mended": (3, 5)}
    manifest.append(failure("a", "worse"))
    assert manifest.history(WANTED).done == {"mended": (3, 5)}
    manifest.close()


def test_line_that_a_crash_cut_short_is_passed_over_and_not_continued(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(line_of(record("a")) + b'{"input": "b", "cro')
    manifest = Manifest(path, bool)
    manifest.append(record("c"))
    manifest.close()
    assert [line.input for line in read_records(path)] == ["a", "c"]


def test_two_runs_do_not_write_into_one_manifest(tmp_path: Path):
    first = Manifest(tmp_path / "m.jsonl", bool)
    with pytest.raises(ConfigError, match=r"m\.jsonl: another run is writing here"):
        Manifest(tmp_path / "m.jsonl", bool)
    first.close()
    Manifest(tmp_path / "m.jsonl", bool).close()
