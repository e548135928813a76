import json
from pathlib import Path

import pytest

from gaze.crop.folder.manifest import Manifest, read_records
from gaze.errors import ConfigError


def record(name: str, **more: object) -> dict[str, object]:
    return {
        "input": name,
        "bytes": 3,
        "mtime_ns": 5,
        "request": "same",
        "crops": [{"output": {"path": f"{name}.out"}}],
        **more,
    }


def test_what_is_done_counts_only_with_its_files_and_the_same_wishes(tmp_path: Path):
    manifest = Manifest(tmp_path / "new" / "m.jsonl", lambda path: (tmp_path / path).exists())
    for name in ("a", "gone", "failed", "other", "mended"):
        (tmp_path / f"{name}.out").touch()
    (tmp_path / "gone.out").unlink()
    for line in (
        record("a"),
        record("gone"),
        {"input": "failed", "request": "same", "error": "bad"},
        record("other", request="else"),
        {"input": "mended", "request": "same", "error": "bad"},
        record("mended"),
        record("a\nb"),
    ):
        manifest.append(line)
    assert manifest.finished("same") == {"a": (3, 5), "mended": (3, 5)}
    manifest.append({"input": "a", "request": "same", "error": "worse"})
    assert manifest.finished("same") == {"mended": (3, 5)}
    manifest.close()


def test_line_that_a_crash_cut_short_is_passed_over_and_not_continued(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(json.dumps(record("a")).encode() + b'\n{"input": "b", "cro')
    manifest = Manifest(path, bool)
    manifest.append(record("c"))
    manifest.close()
    assert [line["input"] for line in read_records(path)] == ["a", "c"]


def test_two_runs_do_not_write_into_one_manifest(tmp_path: Path):
    first = Manifest(tmp_path / "m.jsonl", bool)
    with pytest.raises(ConfigError, match=r"m\.jsonl: another run is writing here"):
        Manifest(tmp_path / "m.jsonl", bool)
    first.close()
    Manifest(tmp_path / "m.jsonl", bool).close()
