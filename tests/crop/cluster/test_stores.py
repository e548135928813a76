"""Folders that fsspec reaches, on its store in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gaze.crop.cli import main
from gaze.crop.cluster.ray_engine import _check, _place
from gaze.crop.cluster.stores import Far, FarManifest
from gaze.crop.folder.listing import Selection, Shard, Tally, walk
from gaze.crop.photo.record import CroppedRecord, CropRecord, ModelRecord, PhotoRecord, PictureRecord, Stamp
from gaze.errors import ConfigError, OutputError
from gaze.geometry import Box

fsspec = pytest.importorskip("fsspec", reason="pip install 'gaze[ray]' brings fsspec")

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
)


def record(name: str) -> CroppedRecord:
    crop = CropRecord("1:1", 1, Box(0, 0, 4, 4), 0.5, 0.5, 0.0, False, PictureRecord(f"sub/{name}.out", 4, 4))
    photo = PhotoRecord(4, 4, "PNG", ModelRecord("bright", "7"), (crop,), None, {})
    return CroppedRecord(name, Stamp(3, 5), "same", photo)


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
            store.put(f"sub/{name}.out", b"", False)
            manifest.append(record(name))
        manifest.close()
    assert store.names(depth=1) == [f"gaze-manifest-{number:06}.jsonl" for number in (1, 2, 3)]
    store.files.rm("/photos/sub/b.out")
    assert FarManifest(store, Shard()).finished("same") == dict.fromkeys("acd", (3, 5))
    assert FarManifest(store, Shard()).finished("else") == {}


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
        _check("s3://bucket/photos", "s3://bucket")
    with pytest.raises(ConfigError, match="expected a folder of photos"):
        _check(tmp_path / "a.jpg", tmp_path)


def test_urls_need_the_engine(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["s3://bucket/photos"])
    assert "s3://bucket/photos: expected a path; --engine ray takes URLs" in capsys.readouterr().err
