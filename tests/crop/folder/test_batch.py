"""Whole runs over folders, as processes of their own where they are killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import gaze
from gaze.crop.folder import ledger
from gaze.crop.folder.manifest import read_records
from gaze.crop.photo.record import CroppedRecord

Crop = Callable[..., int]
Draw = Callable[..., Path]
Start = Callable[..., "subprocess.Popen[str]"]


def pictures(folder: Path) -> dict[str, bytes]:
    """What is visible in a folder, each file decoded to its end."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".jsonl":
            with Image.open(path) as image:
                image.load()
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def cropped(manifest: Path) -> dict[str, CroppedRecord]:
    """The photos that a manifest says were cropped."""
    return {record.input: record for record in read_records(manifest) if isinstance(record, CroppedRecord)}


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def photos(draw: Draw, tmp_path: Path) -> Path:
    for i in range(40):
        draw(f"photos/{i % 3}/{i}.jpg", x=i / 40, size=(600, 400))
    return tmp_path / "photos"


@pytest.fixture
def start(bright_model: Path) -> Iterator[Start]:
    """Starts the command as a process group of its own."""
    running = []

    def begin(*arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "gaze.crop", *map(str, arguments), "--model", str(bright_model), "--jobs", "1"]
        environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def children(process: "subprocess.Popen[str]") -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def has_come_to(process: "subprocess.Popen[str]", out: Path, shown: int) -> bool:
    """Whether a run has processes and so many thumbnails, or has ended."""
    return process.poll() is not None or bool(children(process) and len(list(out.rglob("*_1x1.jpg"))) >= shown)


def test_rerun_does_only_the_rest(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    draw("photos/a.jpg")
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no photo")
    assert crop(tmp_path / "photos", tmp_path / "out") == 1
    before = (tmp_path / "out" / "a_1x1.jpg").stat().st_mtime_ns
    draw("photos/bad.jpg")
    draw("photos/b.jpg")
    capsys.readouterr()
    assert crop(tmp_path / "photos", tmp_path / "out") == 0
    assert "3 photos: 2 cropped, 1 done before, 0 failed" in capsys.readouterr().err
    (tmp_path / "out" / "b_1x1.jpg").unlink()
    assert crop(tmp_path / "photos", tmp_path / "out", "--quiet") == 0
    assert len(pictures(tmp_path / "out")) == 3
    assert (tmp_path / "out" / "a_1x1.jpg").stat().st_mtime_ns == before
    assert capsys.readouterr() == ("", "")


def test_another_request_is_another_run(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    draw("photos/a.jpg")
    for options in ([], ["--ratio", "16:9"], ["--size", "20x20"]):
        assert crop(tmp_path / "photos", tmp_path / "out", *options) == 0
    assert list(pictures(tmp_path / "out")) == ["a_16x9.jpg", "a_1x1.jpg", "a_20x20.jpg"]
    capsys.readouterr()
    before = pictures(tmp_path / "out")
    assert crop(tmp_path / "photos", tmp_path / "out", "--quality", "50") == 0
    assert "1 photos: 1 cropped, 0 failed" in capsys.readouterr().err
    after = pictures(tmp_path / "out")
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"a_1x1.jpg"}
    assert crop(tmp_path / "photos", tmp_path / "out") == 0  # whose thumbnail was replaced
    assert "1 photos: 1 cropped, 0 failed" in capsys.readouterr().err
    assert pictures(tmp_path / "out") == before


def test_run_killed_at_any_time_shows_no_half_file_and_goes_on(start: Start, photos: Path, tmp_path: Path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    for shown in (1, 8):
        process = start(photos, out)
        wait_for(lambda shown=shown: len(list(out.rglob("*_1x1.jpg"))) >= shown)
        workers = children(process)
        os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must not live on
        process.communicate()
        assert pictures(out)
        wait_for(lambda workers=workers: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    done = len(list(out.rglob("*_1x1.jpg")))
    process = start(photos, out)
    assert process.wait(60) == 0
    assert f"{done} done before" in process.communicate()[1] or done == 0
    assert start(photos, whole).wait(60) == 0
    assert pictures(out) == pictures(whole)
    assert len(pictures(out)) == 40
    assert [path for path in out.rglob(".*") if path.is_file()] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_finishes_what_is_under_way(start: Start, photos: Path, tmp_path: Path, number: int, code: int):
    out = tmp_path / "out"
    process = start(photos, out)
    wait_for(lambda: len(list(out.rglob("*_1x1.jpg"))) >= 2)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert process.wait(60) == code
    out_text, err = process.communicate()
    assert err.splitlines()[-1] == "gaze.crop: interrupted; the same command does the rest"
    assert "Traceback" not in err
    recorded = {
        picture.path for record in cropped(out / "gaze-manifest.jsonl").values() for picture in record.photo.pictures
    }
    assert recorded == set(pictures(out)) == {str(Path(line).relative_to(out)) for line in out_text.splitlines()}
    assert 2 <= len(recorded) < 40
    assert [path for path in out.rglob(".*") if path.is_file()] == []


def test_processes_that_die_lose_no_photo(start: Start, photos: Path, tmp_path: Path):
    process = start(photos, tmp_path / "out")
    for shown in (0, 2, 9):  # as the first starts, and while they work
        wait_for(lambda shown=shown: has_come_to(process, tmp_path / "out", shown))
        for child in children(process):
            os.kill(child, signal.SIGKILL)
    assert process.wait(60) == 0
    assert "40 photos: 40 cropped, 0 failed" in process.communicate()[1]
    assert len(pictures(tmp_path / "out")) == 40
    assert [path for path in (tmp_path / "out").rglob(".*") if path.is_file()] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("shown", [0, 3])
def test_signal_to_all_processes_ends_a_run_in_good_order(
    start: Start, photos: Path, tmp_path: Path, number: int, shown: int
):
    """As GNU timeout sends it: to the run and at once again to its group."""
    process = start(photos, tmp_path / "out")
    wait_for(lambda: has_come_to(process, tmp_path / "out", shown))
    for child in children(process):
        os.kill(child, number)
    process.send_signal(number)
    if process.poll() is None:
        os.killpg(process.pid, number)
    assert process.wait(60) == 128 + number
    err = process.communicate()[1]
    assert err.splitlines()[-1] == "gaze.crop: interrupted; the same command does the rest"
    assert ", 0 failed" in err
    assert "Traceback" not in err
    assert [path for path in (tmp_path / "out").rglob(".*") if path.is_file()] == []


def test_signal_that_is_ignored_from_the_beginning_stays_so(start: Start, photos: Path, tmp_path: Path):
    """As `nohup` wants it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(photos, tmp_path / "out")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(lambda: len(list((tmp_path / "out").rglob("*_1x1.jpg"))) >= 1)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0


def test_photo_that_takes_too_long_is_given_up(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    draw("photos/a.jpg", size=(4000, 3000))
    assert crop(tmp_path / "photos", "--timeout", "0.001") == 1
    assert "a.jpg: took longer than 0.001 seconds and was given up" in capsys.readouterr().err


def test_fail_fast_stops_at_the_first_failure(
    crop: Crop, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (photos / "0" / "0.jpg").write_bytes(b"no photo")
    assert crop(photos, tmp_path / "out", "--fail-fast") == 1
    assert "stopped: a photo failed (--fail-fast)" in capsys.readouterr().err
    assert len(pictures(tmp_path / "out")) < 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_full_disk_names_itself_and_loses_nothing(
    crop: Crop, photos: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
):
    out = small_disk / "out"
    assert crop(photos, out) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "No space left on device" in lines[-1]
    assert "the same command does the rest" in lines[-1]
    assert len(lines) == 2
    done = pictures(out)
    assert 0 < len(done) < 40
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert crop(photos, out) == 0
    assert pictures(out).items() >= done.items()
    assert len(pictures(out)) == 40
    assert f"{len(done)} done before" in capsys.readouterr().err


@pytest.fixture
def read_only(photos: Path) -> Iterator[Path]:
    """The photos, where nothing can be written."""
    if os.geteuid():
        folders = [photos, *(path for path in photos.iterdir() if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield photos
        for folder in folders:
            folder.chmod(0o755)
        return
    mount = ["mount", "--bind", "-o", "ro", str(photos), str(photos)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mount refuses a read-only folder")
    yield photos
    subprocess.run(["umount", "-l", str(photos)], check=True)


@pytest.mark.parametrize("name", ["", "0/0.jpg"])
def test_photos_that_lie_read_only_need_a_place_for_the_thumbnails(
    crop: Crop, read_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
):
    with pytest.raises(SystemExit) as raised:
        crop(read_only / name)
    assert raised.value.code == 2
    place = (read_only / name).parent if name else read_only
    expected = f"error: OUT: expected an output folder, as {place} cannot be written to"
    assert capsys.readouterr().err.splitlines()[-1].endswith(expected)
    assert crop(read_only / name, tmp_path / "out") == 0
    assert crop(read_only / "missing.jpg") == 1
    assert "missing.jpg: cannot be read (No such file or directory)" in capsys.readouterr().err


def test_default_folder_that_can_be_written_is_enough(crop: Crop, photos: Path, monkeypatch: pytest.MonkeyPatch):
    (photos / "thumbnails").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != photos)
    assert crop(photos, "--exclude", "[12]") == 0


def test_names_of_every_kind(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = ["-dash.jpg", "new\nline.jpg", "Mädchen 猫.jpg", "{stem}.jpg", "a%sb.jpg", os.fsdecode(b"bad\xff.jpg")]
    source = draw("one.jpg")
    (tmp_path / "photos").mkdir()
    for name in names:
        shutil.copy(source, tmp_path / "photos" / name)
    assert crop(tmp_path / "photos", tmp_path / "out", "--report", tmp_path / "r.html", "--quiet") == 0
    assert sorted(pictures(tmp_path / "out")) == sorted(name.replace(".jpg", "_1x1.jpg") for name in names)
    assert crop(tmp_path / "photos", tmp_path / "out") == 0
    assert "6 done before" in capsys.readouterr().err


def test_link_in_the_output_leads_nowhere(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    draw("photos/sub/a.jpg")
    (tmp_path / "secret").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "secret")
    assert crop(tmp_path / "photos", tmp_path / "out") == 1
    assert "a link leads out of" in capsys.readouterr().err
    assert list((tmp_path / "secret").iterdir()) == []


def test_focus_file_and_shards(crop: Crop, draw: Draw, tmp_path: Path):
    for name in ("a.jpg", "b.jpg"):
        draw(f"photos/{name}")
    (tmp_path / "focus.csv").write_text("photo,x,y\na.jpg,5%,50%\n")
    for shard in ("1/2", "2/2"):
        assert (
            crop(tmp_path / "photos", tmp_path / "out", "--focus-file", tmp_path / "focus.csv", "--shard", shard) == 0
        )
    records = {}
    for manifest in (tmp_path / "out").glob("gaze-manifest-?of2.jsonl"):
        records |= cropped(manifest)
    assert sorted(records) == ["a.jpg", "b.jpg"]
    assert records["a.jpg"].photo.crops[0].box.left == 0
    assert records["b.jpg"].photo.crops[0].box.left > 40


def test_report_holds_photos_of_an_earlier_run_too(crop: Crop, draw: Draw, tmp_path: Path):
    page = tmp_path / "report.html"
    for name in ("first.jpg", "second.jpg"):
        draw(f"photos/{name}")
        assert crop(tmp_path / "photos", tmp_path / "out", "--report", page) == 0
    text = page.read_text()
    assert "first.jpg" in text
    assert "second.jpg" in text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("report")] == ["report.html"]


def test_json_and_manifest_say_the_same(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    draw("photos/sub/a.jpg")
    assert crop(tmp_path / "photos", tmp_path / "out", "--json", "--manifest", tmp_path / "m.jsonl") == 0
    assert capsys.readouterr().out == (tmp_path / "m.jsonl").read_text()
    (record,) = cropped(tmp_path / "m.jsonl").values()
    assert record.input == "sub/a.jpg"
    assert record.photo.crops[0].output.path == "sub/a_1x1.jpg"
    assert set(record.photo.milliseconds) == {"decode", "predict", "choose", "encode"}


def test_report_after_a_run_without_one_holds_every_photo(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "report.html"
    for name in ("a.jpg", "b.jpg"):
        draw(f"photos/{name}")
    assert crop(tmp_path / "photos", tmp_path / "out") == 0
    draw("photos/c.jpg")
    capsys.readouterr()
    assert crop(tmp_path / "photos", tmp_path / "out", "--report", page) == 0
    told = "the report has 2 photos without pictures: they were done without --report"
    assert told in capsys.readouterr().err
    assert all(f'"{name}.jpg"' in page.read_text() for name in "abc")


def test_report_knows_each_photo_before_its_thumbnail_shows(
    crop: Crop, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So that one is not lost with a run that is killed in between."""
    draw("photos/a.jpg")
    move, told = ledger.move, []

    def watch(parts: Any, overwrite: bool) -> None:
        told.append(next(tmp_path.glob(".gaze-report.html.jsonl")).read_text())
        move(parts, overwrite)

    monkeypatch.setattr(ledger, "move", watch)
    assert crop(tmp_path / "photos", tmp_path / "out", "--report", tmp_path / "report.html") == 0
    assert '"a.jpg"' in told[0]
