"""Folders that fsspec reaches, on its store in memory."""

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from gaze.crop.cli import main
from gaze.crop.cluster.ray_engine import _check, _place
from gaze.crop.cluster.stores import Far, FarManifest, FarWorker
from gaze.crop.folder.listing import Selection, Shard, Tally, Task, walk
from gaze.crop.folder.manifest import line_of
from gaze.crop.folder.publishing import TakenError
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.record import CroppedRecord, CropRecord, ModelRecord, PhotoRecord, PictureRecord, Stamp
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import shapes
from gaze.crop.photo.stages import run_through
from gaze.errors import ConfigError, ImageError, OutputError
from gaze.geometry import Box
from gaze.images import Limits
from gaze.predictor import Predictor

fsspec = pytest.importorskip("fsspec", reason="pip install fsspec")

FILES = (
    "b.jpg",
    "a.PNG",
    "notes.txt",
    ".hidden.jpg",
    "sub/c.jpg",
    "sub/d.raw",
    "x y/é.webp",
    ".git/e.jpg",
    "out/f.jpg",
    "small/g_1x1.jpg",
    "small/gaze-manifest-000001.jsonl",
)


def record(name: str) -> CroppedRecord:
    crop = CropRecord("1:1", 1, Box(0, 0, 4, 4), 0.5, 0.5, 0.0, False, PictureRecord(f"sub/{name}.out", 4, 4))
    photo = PhotoRecord(4, 4, "PNG", ModelRecord("bright", "7"), (crop,), None, {})
    return CroppedRecord(name, Stamp(3, 5), "same", photo)


def done(store: Far, request: str = "same") -> dict[str, Stamp]:
    return FarManifest(store, Shard()).history(Fingerprints(request, "2.asked", "before")).done


@pytest.fixture
def store() -> Iterator[Far]:
    far = Far("memory://photos/")
    yield far
    far.files.store.clear()


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(include=("*.raw", "a*")),
        Selection(exclude=("sub", "b.*")),
        Selection(shard=Shard(1, 2)),
        Selection(shard=Shard(2, 2)),
    ],
)
def test_takes_the_photos_that_a_folder_on_a_disk_would_give(store: Far, tmp_path: Path, selection: Selection):
    for name in FILES:
        store.put(name, b"photo", False)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"photo")
    here, there = Tally(), Tally()
    expected = [task.name for task in walk(tmp_path, tmp_path / "out", selection, here)]
    tasks = list(store.tasks(selection, there, "memory://photos/out"))
    assert [task.name for task in tasks] == expected
    assert here.outputs == [] or (here.outputs, there.outputs) == ([f"{tmp_path}/small"], ["memory://photos/small"])
    assert here.output == "" or (here.output, there.output) == (f"{tmp_path}/out", "memory://photos/out")
    here.outputs, here.output = there.outputs, there.output if here.output else ""
    assert here == there
    for task in tasks:
        assert task.source == f"memory://photos/{task.name}"
        assert task.stamp is not None
        assert task.stamp[0] == 5
        assert task.stamp[1] > 10**18


def test_changed_photo_has_another_stamp(store: Far):
    stamps = set()
    for _ in range(2):
        store.put("a.jpg", b"photo", True)
        stamps |= {task.stamp for task in store.tasks(Selection(), Tally(), "")}
    assert len(stamps) == 2


def test_never_replaces_a_file_unless_told(store: Far):
    store.put("a.jpg", b"one", False)
    store.put("a.jpg", b"one", False)
    with pytest.raises(OutputError, match=r"memory://photos/a\.jpg: exists already; --overwrite replaces it"):
        store.put("a.jpg", b"two", False)
    assert store.read("a.jpg") == b"one"
    store.put("a.jpg", b"two", True)
    assert store.read("a.jpg") == b"two"


def test_manifest_goes_on_in_new_files(store: Far, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gaze.crop.cluster.stores.EVERY", 2)
    for names in (("a", "b", "c"), ("d",)):
        manifest = FarManifest(store, Shard())
        for name in names:
            store.put(f"sub/{name}.out", b"x", False)
            manifest.append(record(name))
        manifest.close()
    assert store.names(depth=1) == [f"gaze-manifest-{number:06}.jsonl" for number in (1, 2, 3)]
    store.files.rm("/photos/sub/b.out")
    assert done(store) == dict.fromkeys("acd", (3, 5))
    assert done(store, "else") == {}


def test_manifest_goes_on_after_the_highest_number(store: Far):
    for number in (1, 3):
        store.put(f"gaze-manifest-{number:06}.jsonl", line_of(record(str(number))), False)
    store.put("gaze-manifest-2of2-000007.jsonl", line_of(record("7")), False)
    for shard, name in ((Shard(), "a"), (Shard(2, 2), "b"), (Shard(1, 2), "c")):
        manifest = FarManifest(store, shard)
        manifest.append(record(name))
        manifest.close()
    ends = ("000001", "000003", "000004", "1of2-000001", "2of2-000007", "2of2-000008")
    assert store.names(depth=1) == [f"gaze-manifest-{end}.jsonl" for end in ends]
    for name in "137abc":
        store.put(f"sub/{name}.out", b"x", False)
    assert done(store).keys() == set("137abc")


@pytest.fixture
def worker(store: Far, bright_model: Path) -> FarWorker:
    request = Request(shapes([], []), limits=Limits(bytes=1000))
    return FarWorker(Cropper(request, Predictor(bright_model)), store, Far("memory://out"))


@pytest.mark.parametrize("stamp", [None, Stamp(1001, 5), Stamp(0, 5)])
def test_object_that_is_too_large_is_not_read(
    store: Far, worker: FarWorker, monkeypatch: pytest.MonkeyPatch, stamp: Stamp | None
):
    store.put("a.jpg", bytes(1001), False)

    def refuse(*_: object) -> bytes:
        raise AssertionError("the object was read")

    monkeypatch.setattr(store.files, "cat_file", refuse)
    with pytest.raises(ImageError, match=r"memory://photos/a\.jpg: 1001 bytes, more than 1000"):
        run_through(worker.stages(Task("memory://photos/a.jpg", "a.jpg", stamp)))


def test_object_of_a_size_that_is_not_told_is_read_no_further_than_it_may_be(
    store: Far, worker: FarWorker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store.files, "size", lambda _: None)
    store.put("a.jpg", bytes(5000), False)
    with pytest.raises(ImageError, match=r"memory://photos/a\.jpg: more than 1000 bytes"):
        run_through(worker.stages(Task("memory://photos/a.jpg", "a.jpg")))
    store.put("b.png", encoded(), False)
    assert run_through(worker.stages(Task("memory://photos/b.png", "b.png"))).record.photo.width == 8


def encoded() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_store_that_cannot_be_reached_is_told_in_one_line():
    with pytest.raises(OutputError, match="nowhere://photos: ValueError: Protocol not known: nowhere"):
        Far("nowhere://photos")
    tally = Tally()
    assert list(Far("memory://missing").tasks(Selection(), tally, "")) == []
    assert [reason.partition(":")[0] for reason in tally.unreadable] == ["memory"]


def test_paths_and_urls(tmp_path: Path):
    assert _place(f"file://{tmp_path}/a") == tmp_path / "a"
    assert _place("s3://bucket/photos/") == "s3://bucket/photos"
    with pytest.raises(ConfigError, match="does not hold the photos themselves"):
        _check("s3://bucket/photos", "s3://bucket", "s3://bucket", Selection())
    with pytest.raises(ConfigError, match="expected a folder of photos"):
        _check(tmp_path / "a.jpg", tmp_path, None, Selection())
    with pytest.raises(ConfigError, match="output -: expected a folder"):
        _check(tmp_path, tmp_path / "-", "-", Selection())
    with pytest.raises(ConfigError, match="--follow-symlinks: expected a folder on a disk, got s3://bucket"):
        _check("s3://bucket", "s3://out", "s3://out", Selection(follow_symlinks=True))


def test_urls_need_the_engine(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["s3://bucket/photos"])
    assert "s3://bucket/photos: expected a path; --engine ray takes URLs" in capsys.readouterr().err


def test_picture_that_is_as_it_was_recorded_is_replaced(store: Far):
    store.put("a.jpg", b"old", False)
    store.put("b.jpg", b"", False)
    before = [PictureRecord(name, 4, 4, 3, hashlib.sha256(b"old").hexdigest()) for name in ("a.jpg", "b.jpg")]
    for name in ("a.jpg", "b.jpg"):
        store.put(name, b"new", False, before)
        assert store.read(name) == b"new"
    with pytest.raises(TakenError, match=r"a\.jpg: was changed since it was written; --overwrite"):
        store.put("a.jpg", b"newer", False, before)
    with pytest.raises(TakenError, match=r"a\.jpg: is of an earlier gaze, which noted no hash, .*; --overwrite"):
        store.put("a.jpg", b"newer", False, [PictureRecord("a.jpg", 4, 4)])


def test_empty_thumbnail_is_not_done(store: Far):
    manifest = FarManifest(store, Shard())
    for name in "ab":
        store.put(f"sub/{name}.out", b"x" * (name == "a"), False)
        manifest.append(record(name))
    manifest.close()
    assert done(store).keys() == {"a"}
    assert FarManifest(store, Shard()).history(Fingerprints("same", "2.asked", "before")).owner("sub/b.out") == "b"
