import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gaze.crop.folder.publishing import Part, discard, move, write_part
from gaze.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_picture_is_hidden_until_it_is_moved(tmp_path: Path):
    part = write_part(tmp_path / "deep" / "a.jpg", b"new", tmp_path, "a.png")
    assert all(name.startswith(".") for name in names(tmp_path / "deep"))
    move([part], overwrite=False)
    assert names(tmp_path / "deep") == ["a.jpg"]
    assert (tmp_path / "deep" / "a.jpg").read_bytes() == b"new"


@pytest.mark.parametrize("links", [True, False])
def test_nothing_that_exists_is_replaced_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool):
    if not links:  # as on exFAT

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a.jpg").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"a\.jpg exists already; --overwrite replaces it"):
        move([write_part(tmp_path / "a.jpg", b"new", tmp_path, "x")], overwrite=False)
    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"old"
    move([write_part(tmp_path / "a.jpg", b"new", tmp_path, "x")], overwrite=True)
    move([write_part(tmp_path / "b.jpg", b"more", tmp_path, "x")], overwrite=False)
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == [b"new", b"more"]


def test_photos_of_one_name_wait_under_two_names(tmp_path: Path):
    parts = [write_part(tmp_path / "a.jpg", name.encode(), tmp_path, name) for name in ("a.bmp", "a.png")]
    assert len(names(tmp_path)) == 2
    discard(parts)
    assert names(tmp_path) == []


def test_link_that_leads_out_is_refused(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "secret")
    with pytest.raises(OutputError, match="a link leads out of"):
        write_part(tmp_path / "out" / "sub" / "a.jpg", b"", tmp_path / "out", "a")
    assert names(tmp_path / "secret") == []


def test_link_that_leads_out_gets_no_folder(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "secret")
    with pytest.raises(OutputError, match="a link leads out of"):
        write_part(tmp_path / "out" / "sub" / "new" / "a.jpg", b"", tmp_path / "out", "a")
    assert names(tmp_path / "secret") == []


def test_what_a_killed_run_left_goes_with_the_same_picture(tmp_path: Path):
    """Each part comes from a process of its own, as a killed one's does."""
    code = "import sys, pathlib; from gaze.crop.folder.publishing import move, write_part\n"
    code += "root = pathlib.Path(sys.argv[1]); part = write_part(root / sys.argv[2], b'x', root, sys.argv[3])\n"
    for place, owner in (("a.jpg", "a.png"), ("a.jpg", "a.png"), ("a.jpg", "a.bmp"), ("b.jpg", "b.png")):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), place, owner], check=True)
    assert len(names(tmp_path)) == 3
    move([write_part(tmp_path / "a.jpg", b"new", tmp_path, "a.png")], overwrite=False)
    assert len(names(tmp_path)) == 3
    assert "a.jpg" in names(tmp_path)


def test_full_disk_is_fatal_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened = Path.open

    def full(path: Path, mode: str) -> io.BufferedRandom:
        file = opened(path, mode)
        descriptor = os.open("/dev/full", os.O_WRONLY)
        os.dup2(descriptor, file.fileno())
        os.close(descriptor)
        return file  # type: ignore[return-value]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match=r"a\.jpg: cannot be written \(No space left on device\)") as raised:
        write_part(tmp_path / "a.jpg", b"new", tmp_path, "a")
    assert raised.value.fatal
    assert names(tmp_path) == []


def test_discarding_what_is_gone_is_no_error(tmp_path: Path):
    discard([Part(str(tmp_path / "gone"), str(tmp_path / "place"))])
    assert names(tmp_path) == []
