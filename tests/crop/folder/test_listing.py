import os
from collections import Counter
from pathlib import Path

import pytest

from gaze.crop.folder.listing import Selection, Shard, Tally, walk
from gaze.errors import ConfigError
from gaze.files import make_folder


def plant(folder: Path, *names: str) -> None:
    for name in names:
        make_folder((folder / name).parent)
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


def test_very_deep_folders_are_walked(tmp_path: Path, few_frames: None):
    plant(tmp_path, "d/" * 300 + "a.jpg", "z.jpg")
    assert found(tmp_path) == ["z.jpg", "d/" * 300 + "a.jpg"]


def test_what_cannot_be_followed_is_named_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plant(tmp_path, "b.jpg", "z/c.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "locked.jpg").symlink_to(tmp_path / "z" / "c.jpg")
    scan = os.scandir

    class Locked:
        """An entry, for whom the target of a link is behind a folder that may not be entered."""

        def __init__(self, entry: "os.DirEntry[str]") -> None:
            self.entry, self.name, self.path = entry, entry.name, entry.path
            self.is_symlink, self.is_file = entry.is_symlink, entry.is_file

        def is_dir(self) -> bool:
            if self.name == "locked.jpg":
                raise PermissionError(13, "Permission denied", self.path)
            return self.entry.is_dir()

    class Listing(list):
        def __enter__(self) -> "Listing":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda path: Listing(map(Locked, scan(path))))
    tally = Tally()
    assert found(tmp_path, Selection(follow_symlinks=True), tally) == ["b.jpg", "z/c.jpg"]
    assert tally.unreadable == [
        f"{tmp_path}/locked.jpg: cannot be read (Permission denied)",
        f"{tmp_path}/self.jpg: cannot be read (Too many levels of symbolic links)",
    ]


def test_links_that_make_very_many_paths_are_bounded(tmp_path: Path):
    for level in range(16):
        plant(tmp_path / "all" / str(level), "a.jpg")
        for name in "xy":
            (tmp_path / "all" / str(level) / name).symlink_to(tmp_path / "all" / str(level + 1))
    (tmp_path / "photos").symlink_to(tmp_path / "all" / "0")
    tally = Tally()
    assert 16 <= len(found(tmp_path / "photos", Selection(follow_symlinks=True), tally)) <= 1600
    assert len(tally.unreadable) == 1
    assert "links lead here in more than 100 ways" in tally.unreadable[0]


def test_folders_of_thumbnails_are_left_alone_and_told(tmp_path: Path):
    plant(tmp_path, "a.jpg", "small/a_1x1.jpg", "small/gaze-manifest.jsonl", "x/b.jpg", "x/t/gaze-manifest-2of3.jsonl")
    plant(tmp_path, "x/t/deep/b_1x1.jpg", "gaze-manifest.jsonl")
    tally = Tally()
    assert found(tmp_path, tally=tally) == ["a.jpg", "x/b.jpg"]
    assert tally.outputs == [f"{tmp_path}/small", f"{tmp_path}/x/t"]
    assert found(tmp_path / "small") == ["a_1x1.jpg"]


def test_output_that_a_link_leads_to_is_left_alone(tmp_path: Path):
    plant(tmp_path, "photos/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "photos" / "out").symlink_to(tmp_path / "elsewhere")
    walked = walk(tmp_path / "photos", tmp_path / "elsewhere", Selection(follow_symlinks=True), Tally())
    assert [task.name for task in walked] == ["a.jpg"]


def test_output_that_appears_in_mid_walk_is_left_alone(tmp_path: Path):
    plant(tmp_path, "a.jpg", "b/c.jpg")
    walked = walk(tmp_path, tmp_path / "b" / "out", Selection(), Tally())
    names = [next(walked).name]
    plant(tmp_path, "b/out/a_1x1.jpg")
    assert [*names, *(task.name for task in walked)] == ["a.jpg", "b/c.jpg"]


def test_patterns_match_in_any_case(tmp_path: Path):
    plant(tmp_path, "A.JPG", "b.jpg", "RAW/c.Jpg", "D.dat")
    assert found(tmp_path, Selection(include=("*.jpg",))) == ["A.JPG", "b.jpg", "RAW/c.Jpg"]
    assert found(tmp_path, Selection(include=("*.JPG",), exclude=("raw", "B.*"))) == ["A.JPG"]
