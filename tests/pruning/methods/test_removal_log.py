"""The table of removals is read back as written, survives a crash in the middle of a row, and can be cut back."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

import gaze
from gaze.errors import DataError
from gaze.pruning.methods.removal_log import COLUMNS, Removal, RemovalLog, read

REMOVALS = [
    Removal(10, "backbone.a", (3,), 1 / 3, 98.7654321, None, 31),
    Removal(10, "backbone.b", (0, 5, 17), 1e-9, 97.0, 98.5, 29, 7.25, None),
    Removal(20, 'odd "name", with\ncomma', tuple(range(500)), -2.5e-7, 1e-3, 1e-3, 1, 0.0, -0.125),
    Removal(35, "backbone.a", (4, 6), 0.0, 5.0, None, 29, None, 0.0),
]


@pytest.fixture
def log(tmp_path: Path) -> RemovalLog:
    log = RemovalLog(tmp_path / "run" / "removals.csv")
    for removal in REMOVALS:
        log.append(removal)
    return log


def test_reads_back_what_was_written(log: RemovalLog):
    assert read(log.path) == REMOVALS


def test_any_program_that_knows_csv_can_read_it(log: RemovalLog):
    with log.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1] == {
        "step": "10",
        "layer": "backbone.b",
        "count": "3",
        "maps": "0 5 17",
        "signal": "1e-09",
        "predicted_ms": "97.0",
        "measured_ms": "98.5",
        "maps_left": "29",
        "loss": "7.25",
        "information_gain": "",
    }


def test_an_existing_log_is_continued_under_the_one_header(log: RemovalLog):
    RemovalLog(log.path).append(REMOVALS[0])
    assert read(log.path) == [*REMOVALS, REMOVALS[0]]
    assert log.path.read_text().count("step,layer") == 1


@pytest.mark.parametrize(("step", "kept"), [(9, 0), (10, 2), (19, 2), (20, 3), (34, 3), (35, 4), (99, 4)])
def test_truncation_keeps_what_was_removed_up_to_the_step(log: RemovalLog, step: int, kept: int):
    log.truncate_after(step)
    assert read(log.path) == REMOVALS[:kept]
    log.append(REMOVALS[3])
    assert read(log.path) == [*REMOVALS[:kept], REMOVALS[3]]
    assert [path.name for path in log.path.parent.iterdir()] == ["removals.csv"]


def test_truncation_that_fails_leaves_the_table(log: RemovalLog, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(Exception, match="No space left"):
        log.truncate_after(10)
    assert read(log.path) == REMOVALS


def test_every_cut_of_the_last_row_loses_that_row_only(log: RemovalLog):
    content = log.path.read_text()
    last = content[:-1].rfind("\n") + 1
    for end in range(last, len(content)):
        log.path.write_text(content[:end])
        assert read(log.path) == REMOVALS[:3]
    RemovalLog(log.path).append(REMOVALS[0])
    assert read(log.path) == [*REMOVALS[:3], REMOVALS[0]]


def test_a_killed_process_has_lost_nothing(tmp_path: Path):
    code = (
        "import os, signal, sys; from pathlib import Path; from gaze.pruning.methods.removal_log import *;"
        "log = RemovalLog(Path(sys.argv[1]));"
        "[log.append(Removal(step, 'a', (step,), 0.5, 2.0, None, 9)) for step in range(50)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(gaze.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r.csv")], cwd=root, check=False)
    assert result.returncode == -9
    assert [removal.step for removal in read(tmp_path / "r.csv")] == list(range(50))


def test_an_empty_file_is_a_new_log(tmp_path: Path):
    (tmp_path / "r.csv").touch()
    assert read(RemovalLog(tmp_path / "r.csv").path) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,a,2,7,0.5,1,,9,,", r"r\.csv:3: not a removal \(count is 2, but there are 1 maps\)"),
        ("1,a,1,7,half,1,,9,,", r"r\.csv:3: not a removal .*'half'"),
        ("1,a,1,7", r"r\.csv:3: not a removal"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str, message: str):
    (tmp_path / "r.csv").write_text(",".join(COLUMNS) + "\n0,a,1,7,0.5,1,,9,,\n" + row + "\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "r.csv")


def test_another_table_is_not_overwritten(tmp_path: Path):
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected the header step,layer"):
        RemovalLog(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == "a,b\n1,2\n"
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.csv")
