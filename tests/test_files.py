import errno
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import drawn_stimulus

from gaze.crop.folder.publishing import move, write_part
from gaze.crop.page.spool import PageSpool
from gaze.data.layout import StoreAttributes
from gaze.data.writer import write_store
from gaze.errors import OutputError
from gaze.files import make_folder, put, replacing, scratch_file, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refuse(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_written_file_has_the_usual_permissions(tmp_path: Path):
    old = os.umask(0o022)
    try:
        write_atomic(tmp_path / "new" / "a.bin", b"content")
    finally:
        os.umask(old)
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new" / "a.bin").stat().st_mode) == 0o644


@pytest.mark.parametrize("links", [True, False])
def test_existing_file_is_replaced_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool):
    if not links:  # as on exFAT
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written \(File exists\)$"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.bin"]


def test_names_are_one_line_in_messages(tmp_path: Path):
    path = tmp_path / "a\nb\udcff.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"a\\nb\\udcff\.bin: cannot be written \(File exists\)$"):
        write_atomic(path, b"new")


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written") as raised:
        write_atomic(tmp_path / "file" / "a.bin", b"content")
    assert not raised.value.fatal
    with pytest.raises(KeyError), replacing(tmp_path / "a.bin") as file:
        raise KeyError(file.write(b"half"))
    monkeypatch.setattr(os, "replace", refuse(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"a\.bin: cannot be written \(No space left on device\)") as raised:
        write_atomic(tmp_path / "a.bin", b"content", overwrite=True)
    assert raised.value.fatal
    assert names(tmp_path) == ["file"]


def test_a_disk_that_is_full_as_the_last_bytes_leave_the_buffer_is_an_error(tmp_path: Path):
    full = os.open("/dev/full", os.O_WRONLY)
    with (
        pytest.raises(OutputError, match=r"a\.bin: cannot be written \(No space"),
        replacing(tmp_path / "a.bin") as file,
    ):
        file.write(b"content"[: os.dup2(full, file.fileno())])
    os.close(full)
    assert names(tmp_path) == []


def write_page(path: Path) -> None:
    PageSpool(path, resume=False).finish({})


def write_small_store(path: Path) -> None:
    write_store(path, StoreAttributes("small", "MIT", "drawn by a test", 4.0, None, True), [drawn_stimulus(0, "val")])


def write_picture(path: Path) -> None:
    move([write_part(path, b"new", path.parent, "a.png")], overwrite=True)


def write_bytes(path: Path) -> None:
    write_atomic(path, b"new", overwrite=True)


WRITERS = [write_bytes, write_picture, write_page, write_small_store]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("there", [True, False])
def test_no_writer_goes_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None], there: bool
):
    """Neither one that lies at the hidden name, were it foreseen, nor one that lies at the place."""
    secret = tmp_path / "secret"
    if there:
        secret.touch()
    out = tmp_path / "out"
    write(out / "once")
    used: list[Path] = []
    opened = Path.open

    def plant(path: Path, *arguments: object, **options: object) -> object:
        if path.suffix == ".part" and not used:
            used.append(path)
            path.symlink_to(secret)
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", plant)
    with pytest.raises(OutputError, match=r"cannot be written \(File exists\)"):
        write(out / "again")
    assert used
    (out / "link").symlink_to(secret)
    write(out / "link")
    assert (secret.read_bytes() == b"") if there else not secret.exists()
    assert not (out / "link").is_symlink()


@pytest.mark.parametrize("write", WRITERS)
def test_the_hidden_name_is_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable):
    drawn: list[str] = []
    draw = uuid.uuid4
    monkeypatch.setattr(uuid, "uuid4", lambda: drawn.append(str(number := draw())) or number)  # type: ignore[func-returns-value]
    for _ in range(2):
        write(tmp_path / "a")
    assert len(set(drawn)) == len(drawn) >= 2


def test_what_has_its_place_has_no_other_name(tmp_path: Path):
    for overwrite in (False, True):
        with scratch_file(tmp_path / "a", "key") as file:
            file.write(b"new")
        assert Path(file.name).name.startswith(".gaze-key")
        put(Path(file.name), tmp_path / "a", overwrite)
        assert names(tmp_path) == ["a"]
        assert (tmp_path / "a").stat().st_nlink == 1


def test_folders_are_made_however_deep(tmp_path: Path, few_frames: None):
    path = Path(tmp_path, *["d"] * 300, "a.bin")
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"
    make_folder(path.with_name("d") / "d")
    assert (path.with_name("d") / "d").is_dir()
