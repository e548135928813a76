"""Whole runs on a Ray cluster of two cores."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import gaze
from gaze.crop.cli import main

fsspec = pytest.importorskip("fsspec", reason="pip install fsspec")
ray: Any = pytest.importorskip("ray", reason="pip install 'ray[data]'", exc_type=ImportError)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Ray leaves files open and warns of itself

Draw = Callable[..., Path]


STORE = """
from fsspec.implementations.local import LocalFileSystem

class Store(LocalFileSystem):
    protocol = "store"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("store://"))
"""
"""Stands for an object store that all processes see: store:///path is a path."""


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    plugin = tmp_path_factory.mktemp("plugin")
    (plugin / "store_for_tests.py").write_text(STORE)
    (plugin / "store-1.dist-info").mkdir()
    (plugin / "store-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: store\nVersion: 1\n")
    (plugin / "store-1.dist-info" / "entry_points.txt").write_text("[fsspec.specs]\nstore = store_for_tests:Store\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(gaze.__file__).parents[1]), str(plugin)]))
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        patch.syspath_prepend(plugin)
        fsspec.register_implementation("store", "store_for_tests.Store")
        ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture
def photos(draw: Draw, tmp_path: Path) -> Path:
    for i in range(40):
        draw(f"photos/{i % 3}/{i} é.jpg", x=i / 40, size=(600, 400))
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


@pytest.fixture
def crop(bright_model: Path) -> Callable[..., int]:
    return lambda *arguments: main([*map(str, arguments), "--model", str(bright_model), "--jobs", "2"])


def thumbnails(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def records(folder: Path, *without: str) -> list[dict[str, Any]]:
    """What is told of each photo, but for where it lies."""
    found = [record for path in sorted(folder.glob("*.jsonl")) for record in map(json.loads, path.open())]
    for record in found:
        for key in without:
            record.pop(key, None)
        if "error" in record:
            record["error"] = record["error"].rpartition("/")[2]
    return sorted(found, key=lambda record: record["input"])


@pytest.mark.parametrize(
    ("source", "target"), [("", "file://"), ("store://", "store://"), ("", "store://"), ("store://", "")]
)
def test_does_what_the_local_engine_does(
    crop: Callable[..., int], draw: Draw, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    source: str, target: str,
):  # fmt: skip
    here, there = tmp_path / "here", tmp_path / "there"
    options = ["--ratio", "16:9", "--size", "200x200", "--heatmap"]
    assert crop(photos, here, *options) == 1
    capfd.readouterr()
    far = [f"{source}{photos}", f"{target}{there}", *options, "--engine", "ray"]
    assert crop(*far) == 1
    out, err = capfd.readouterr()
    root = f"{target}{there}" if target == "store://" else str(there)
    assert sorted(out.splitlines()) == sorted(f"{root}/{name}" for name in thumbnails(there))
    failed, summary = err.splitlines()
    assert failed.startswith(f"gaze.crop: {source}{photos}/bad.jpg: not an image")
    assert summary == "gaze.crop: 41 photos: 40 cropped, 1 failed"
    assert thumbnails(there) == thumbnails(here)
    assert len(thumbnails(there)) == 80
    without = ("milliseconds", "mtime_ns") if source else ("milliseconds",)  # not every store tells nanoseconds
    assert records(there, *without) == records(here, *without)
    draw("photos/bad.jpg")
    draw("photos/0/0 é.jpg", x=0.5, size=(300, 200))
    (there / "0" / "0 é_16x9.jpg").unlink()
    (there / "0" / "0 é_heatmap.jpg").unlink()
    assert crop(*far) == 0
    assert "41 photos: 2 cropped, 39 done before, 0 failed" in capfd.readouterr().err


def test_photo_that_takes_too_long_is_given_up(
    crop: Callable[..., int], draw: Draw, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    draw("photos/a.jpg", size=(4000, 3000))
    assert crop(tmp_path / "photos", "--timeout", "0.001", "--engine", "ray") == 1
    assert "a.jpg: took longer than 0.001 seconds and was given up" in capfd.readouterr().err


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_first_of_the_listing_gets_the_name(
    crop: Callable[..., int], draw: Draw, tmp_path: Path, capfd: pytest.CaptureFixture[str], overwrite: tuple[str, ...]
):
    """Even if it takes longest; a store gives thumbnails their places one by one."""
    sizes = {"x.bmp": (3000, 2000), "x.jpg": (30, 20), "x.png": (36, 24)}
    for name, size in sizes.items():
        draw(f"photos/{name}", size=size)
    out = f"store://{tmp_path / 'out'}"
    assert crop(tmp_path / "photos", out, "--format", "jpeg", "--engine", "ray", *overwrite) == 1
    err = capfd.readouterr().err
    for name in ("x.jpg", "x.png"):
        told = "x.bmp, the first that wants that name; a --template with {suffix} tells them apart"
        assert f"{name}: {out}/x_1x1.jpg is for {told}" in err
    assert err.splitlines()[-1] == "gaze.crop: 3 photos: 1 cropped, 2 failed"
    with Image.open(tmp_path / "out" / "x_1x1.jpg") as thumbnail:
        assert thumbnail.size == (2000, 2000)


def test_thumbnails_of_a_killed_run_are_as_good_as_written(
    crop: Callable[..., int], photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    far = [f"store://{photos}", f"store://{tmp_path / 'out'}", "--exclude", "bad.jpg", "--engine", "ray"]
    assert crop(*far) == 0
    for path in (tmp_path / "out").glob("*.jsonl"):
        path.unlink()
    assert crop(*far) == 0
    (tmp_path / "out" / "0" / "0 é_1x1.jpg").write_bytes(b"another's")
    for path in (tmp_path / "out").glob("*.jsonl"):
        path.unlink()
    capfd.readouterr()
    assert crop(*far) == 1
    assert "0/0 é_1x1.jpg: exists already; --overwrite replaces it" in capfd.readouterr().err
    assert (tmp_path / "out" / "0" / "0 é_1x1.jpg").read_bytes() == b"another's"


def test_page_needs_disks(crop: Callable[..., int], photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    page = tmp_path / "report.html"
    assert crop(photos, tmp_path / "out", "--engine", "ray", "--report", page) == 1
    assert page.read_text().count("_1x1.jpg") >= 40
    with pytest.raises(SystemExit):
        crop(f"store://{photos}", tmp_path / "out", "--engine", "ray", "--report", page)
    assert "--report: expected photos and thumbnails on this machine's disks" in capfd.readouterr().err


def test_without_ray_one_line_says_what_to_install(
    crop: Callable[..., int], photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    assert crop(photos, "--engine", "ray") == 1
    assert capfd.readouterr().err == "gaze.crop: --engine ray: Ray is not installed; pip install 'ray[data]' fsspec\n"
