"""Runs whose standard streams are closed, full or of a narrow encoding, and other odd surroundings."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gaze

Draw = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def photos(draw: Draw, tmp_path: Path) -> Path:
    draw("photos/a.jpg")
    draw("photos/b 😀.jpg")
    (tmp_path / "photos" / "c.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


@pytest.fixture
def run(bright_model: Path) -> Run:
    """Runs the command in a shell, with redirections at its end."""

    def start(*arguments: object, end: str = "", cwd: Path | None = None, **environment: str) -> Any:
        command = [sys.executable, "-m", "gaze.crop", *map(str, arguments), "--model", str(bright_model)]
        own = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])} | environment
        return subprocess.run(
            ["/bin/sh", "-c", f'"$@" {end}', "sh", *command], env=own, cwd=cwd, capture_output=True, check=False
        )

    return start


def test_standard_output_that_is_full_is_one_line(run: Run, photos: Path, tmp_path: Path):
    done = run(photos, tmp_path / "out", "--jobs", "1", end="> /dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        b"gaze.crop: standard output: cannot be written (No space left on device)\n",
    )
    assert run(photos, tmp_path / "out", "--jobs", "1").returncode == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_1x1.jpg", "b 😀_1x1.jpg", "gaze-manifest.jsonl",
    ]  # fmt: skip


def test_standard_output_that_is_full_is_one_line_for_one_photo(run: Run, photos: Path):
    for arguments in ((photos / "a.jpg",), (photos / "a.jpg", "-")):
        done = run(*arguments, end="> /dev/full")
        assert done.returncode == 1
        assert done.stderr == b"gaze.crop: standard output: cannot be written (No space left on device)\n"


@pytest.mark.parametrize("end", [">&-", "2>&-", "<&-", "<&- >&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_streams_that_are_closed_change_nothing(run: Run, photos: Path, tmp_path: Path, end: str):
    done = run(photos, tmp_path / "out", "--jobs", "1", end=end)
    assert done.returncode == 1  # of the photo that is none
    assert b"Traceback" not in done.stderr
    assert (b"c.jpg: not an image" in done.stderr) == ("2>" not in end)
    assert all(line.endswith(b".jpg") for line in done.stdout.splitlines())
    records = [json.loads(line) for line in (tmp_path / "out" / "gaze-manifest.jsonl").read_text().splitlines()]
    assert sorted(record["input"] for record in records) == ["a.jpg", "b 😀.jpg", "c.jpg"]


def test_standard_input_that_is_closed_is_empty(run: Run):
    done = run("-", end="<&-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"empty" in done.stderr


@pytest.mark.parametrize("end", [">&-", "<&- >&-"])
def test_standard_output_that_is_closed_takes_no_thumbnail(run: Run, photos: Path, end: str):
    done = run(photos / "a.jpg", "-", end=end)
    assert (done.returncode, done.stderr) == (1, b"gaze.crop: standard output: cannot be written (it is closed)\n")
    assert run(photos / "a.jpg", "-", end="> /dev/null").returncode == 0


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252:strict"])
def test_paths_are_printed_as_they_are_whatever_the_encoding(run: Run, photos: Path, tmp_path: Path, encoding: str):
    for out in ("out 😀", "again 😀"):
        done = run(photos, tmp_path / out, "--jobs", "1", *(["--json"] * (out[0] == "a")), PYTHONIOENCODING=encoding)
        assert b"Traceback" not in done.stderr
        assert done.returncode == 1
        if out[0] == "o":
            assert os.fsencode(str(tmp_path / out / "b 😀_1x1.jpg")) in done.stdout.splitlines()


def test_working_folder_that_was_removed_is_no_traceback(run: Run, photos: Path, tmp_path: Path):
    gone = tmp_path / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && "$@"'
    for arguments, code in (([photos, tmp_path / "out"], 1), ([photos / "a.jpg"], 0), (["a.jpg"], 1), (["."], 1)):
        command = [sys.executable, "-m", "gaze.crop", *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *command], env=environment, capture_output=True, check=False
        )
        assert done.returncode == code
        assert b"Traceback" not in done.stderr
        assert done.stderr.startswith(b"gaze.crop: ") or code == 0
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2


ODD = [
    "[" * 100_000,
    '"bytes"',
    "9" * 5000,
    '{"input": 5, "bytes": 1, "mtime_ns": 2, "request": "x", "error": "y"}',
    '{"input": "a.jpg", "bytes": 1, "mtime_ns": 2, "request": "x", "error": {"y": 1}}',
    '{"input": "a\\u0000.jpg", "error": "x"}',
    '{"input": "a.jpg", "bytes": 1, "mtime_ns": 2, "request": ["x"], "crops": 7}',
    '{"input": "a.jpg", "bytes": [], "mtime_ns": {}, "request": "x"}',
    "\x00" * 99,
    "\ufeff{}",
]
OUTPUTS = [5, None, "", "a\0b", "../../etc/passwd", "/etc/passwd", ["x"], {}, "\udcff", "x" * 5000]


def test_odd_lines_of_a_manifest_are_passed_over(run: Run, photos: Path, tmp_path: Path):
    manifest = tmp_path / "out" / "gaze-manifest.jsonl"
    run(photos, tmp_path / "out", "--jobs", "1")
    lines = manifest.read_text().splitlines()
    (good,) = [json.loads(line) for line in lines if '"a.jpg"' in line]
    odd = list(ODD)
    for path in OUTPUTS:
        crop = good["crops"][0] | {"output": good["crops"][0]["output"] | {"path": path}}
        odd.append(json.dumps(good | {"input": "z.jpg", "crops": [crop]}))
    manifest.write_bytes("\n".join([*odd, *lines, *odd, ""]).encode() + b"\xff\xfe\n")
    done = run(photos, tmp_path / "out", "--jobs", "1", "--report", tmp_path / "report.html")
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert b"3 photos: 0 cropped, 2 done before, 1 failed" in done.stderr


def test_what_is_shared_says_nothing_of_where_it_was_made(run: Run, photos: Path, tmp_path: Path):
    """Neither of failures of photos nor of those of thumbnails."""
    shutil.copy(photos / "a.jpg", photos / "a.jpeg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b 😀_1x1.jpg").write_bytes(b"another's")
    done = run(photos, tmp_path / "out", "--report", tmp_path / "page" / "report.html", "--json")
    assert done.returncode == 1
    for text in (
        (tmp_path / "out" / "gaze-manifest.jsonl").read_text(),
        (tmp_path / "page" / "report.html").read_text(),
        done.stdout.decode(),
    ):
        assert "c.jpg: not an image" in text
        assert "exists already" in text
        assert str(tmp_path) not in text
    assert os.fsencode(f"{photos}/c.jpg: not an image") in done.stderr


def test_focus_that_is_for_no_photo_is_told(run: Run, photos: Path, tmp_path: Path):
    (tmp_path / "focus.csv").write_text("photo,x,y\na.jpg,5%,50%\nA.JPG,5%,50%\n./a.jpg,1,1\n", encoding="utf-8-sig")
    done = run(photos, tmp_path / "out", "--focus-file", tmp_path / "focus.csv")
    assert b"gaze.crop: --focus-file: 2 photos of it are none of this run: './a.jpg', 'A.JPG'\n" in done.stderr
    (tmp_path / "focus.csv").write_text("a.jpg,5%,50%\n", encoding="utf-8-sig")
    done = run(photos, tmp_path / "out2", "--focus-file", tmp_path / "focus.csv")
    assert b"--focus-file" not in done.stderr
    records = [json.loads(line) for line in (tmp_path / "out2" / "gaze-manifest.jsonl").read_text().splitlines()]
    (record,) = [record for record in records if record["input"] == "a.jpg"]
    assert record["crops"][0]["box"]["left"] == 0
