import os
from collections import Counter
from pathlib import Path

import pytest

from gaze.crop.folder.listing import Selection, Shard, Tally, walk
from gaze.errors import ConfigError


def plant(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, selection: Selection = Selection(), tally: Tally | None = None) -> list[str]:  # noqa: B008, RUF100
    return [task.name for task in walk(folder, folder / "out", selection, tally or Tally())]


def test_folder_is_walked_in_order_without_links_and_without_its_output(tmp_path: Path):
    plant(tmp_path, "b/2.jpg", "a/1.PNG", "a/.cache/3.jpg", ".4.jpg", "c.jpeg", "c.doc", "out/5.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "c.jpeg")
    os.mkfifo(tmp_path / "pipe.jpg")
    tally = Tally()
    assert found(tmp_path, tally=tally) == ["c.jpeg", "a/1.PNG", "b/2.jpg"]
    assert (tally.others, tally.links) == (2, 2)


def test_links_are_followed_when_asked_but_never_in_circles(tmp_path: Path):
    plant(tmp_path / "photos", "a.jpg")
    plant(tmp_path / "elsewhere", "b.jpg")
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "c.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    (tmp_path / "photos" / "dead.jpg").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path / "photos", Selection(follow_symlinks=True)) == ["a.jpg", "c.jpg", "more/b.jpg"]


def test_include_and_exclude(tmp_path: Path):
    plant(tmp_path, "a.jpg", "raw/b.jpg", "raw/c.dat", "d.dat")
    assert found(tmp_path, Selection(exclude=("raw",))) == ["a.jpg"]
    assert found(tmp_path, Selection(exclude=("raw/*",))) == ["a.jpg"]
    assert found(tmp_path, Selection(include=("*.dat",))) == ["d.dat", "raw/c.dat"]
    assert found(tmp_path, Selection(include=("raw/*",), exclude=("*.jpg",))) == ["raw/c.dat"]


def test_shards_share_every_photo_once_and_about_evenly(tmp_path: Path):
    names = [f"{i % 7}/{i}.jpg" for i in range(300)]
    plant(tmp_path, *names)
    shards = [found(tmp_path, Selection(shard=Shard(i, 3))) for i in (1, 2, 3)]
    assert Counter(name for shard in shards for name in shard) == Counter(names)
    assert all(70 < len(shard) < 130 for shard in shards)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_shard_that_is_none_is_refused(text: str):
    with pytest.raises(ConfigError, match="shard: expected I/N"):
        Shard.parse(text)


def test_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plant(tmp_path, "closed/a.jpg", "b.jpg")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    tally = Tally()
    assert found(tmp_path, tally=tally) == ["b.jpg"]
    assert tally.unreadable == [f"{tmp_path}/closed: cannot be read (Permission denied)"]


def test_patterns_match_in_any_case(tmp_path: Path):
    plant(tmp_path, "A.JPG", "b.jpg", "RAW/c.Jpg", "D.dat")
    assert found(tmp_path, Selection(include=("*.jpg",))) == ["A.JPG", "b.jpg", "RAW/c.Jpg"]
    assert found(tmp_path, Selection(include=("*.JPG",), exclude=("raw", "B.*"))) == ["A.JPG"]
