"""The harness of `tests/fuzz.py`: a short run, and that it sees what it looks for."""

from pathlib import Path
from typing import Any

import fuzz
import fuzz_structure
import numpy as np
import pytest
from fuzz_files import damaged, whole

from gaze.errors import ImageError
from gaze.images import open_photo


@pytest.mark.parametrize("part", range(10))
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path, part: int):
    trials = [fuzz.run(tmp_path, 1e6, seed=2, number=number) for number in range(30 * part, 30 * part + 30)]
    assert [trial.finding for trial in trials if trial.finding] == []
    assert {trial.read for trial in trials} == {True, False}


@pytest.mark.parametrize("kind", whole())
def test_what_is_damaged_was_sound(kind: str):
    assert [open_photo(content, frames=None).format for content in whole()[kind]] == [kind] * len(whole()[kind])


@pytest.mark.parametrize("kind", fuzz_structure.KINDS)
def test_a_file_that_is_taken_apart_can_be_put_together(kind: str):
    split, join = fuzz_structure.KINDS[kind]
    for content in whole()[kind]:
        again = join(split(content))
        assert np.array_equal(np.asarray(open_photo(again).image), np.asarray(open_photo(content).image))


def test_boxes_too():
    for content in whole().get("AVIF", []):
        parts = fuzz_structure.split_boxes(content)
        assert fuzz_structure.join_boxes(parts) == content
        assert b"meta" in {part.name for part in parts}


def test_damage_depends_on_seed_and_number_alone():
    assert damaged(3, 7) == damaged(3, 7)
    assert len({damaged(seed, number) for seed in (3, 4) for number in range(9)}) > 12


def refusing(message: str) -> Any:
    def refuse(path: Path, **options: Any) -> None:
        raise ImageError(message.format(path=path))

    return refuse


@pytest.mark.parametrize(
    ("opener", "finding"),
    [
        (refusing("{path}: damaged"), None),
        (refusing("{path}: damaged\nhere"), "message"),
        (refusing("damaged"), "message"),
        (lambda path, **options: 1 // 0, "ZeroDivisionError"),
        (lambda path, **options: "no photo", "AttributeError"),
    ],
)
def test_findings_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: Any, finding: str | None):
    monkeypatch.setattr(fuzz, "open_photo", opener)
    found = fuzz.run(tmp_path, 1e6, seed=1, number=1).finding
    assert found is None if finding is None else finding in str(found)
    assert list(tmp_path.iterdir()) == []


def test_growing_memory_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    held = iter([10.0, 30.0])
    monkeypatch.setattr(fuzz, "held", lambda: next(held))
    assert fuzz.run(tmp_path, 20, seed=1, number=1).finding == "memory grew from 10 to 30 MB"


@pytest.mark.parametrize(("act", "finding"), [("os._exit(3)", "crash"), ("time.sleep(60)", "more than 1 s")])
def test_crashes_and_hangs_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], act: str, finding: str
):
    pytest.importorskip("pebble")
    monkeypatch.setattr(fuzz, "open_photo", lambda path, **options: exec(f"import os, time; {act}"))
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--files", "1", "--timeout", "1"])
    assert fuzz.main() == 1
    assert f"--seed 1 --only 0: once {damaged(1, 0)[0]}: {finding}" in capsys.readouterr().out
