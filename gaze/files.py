"""Files that appear whole or not at all: written under a hidden name first, then given their own."""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gaze.errors import ConfigError, OutputError, one_line


def write_atomic(path: Path, content: bytes, overwrite: bool = False) -> None:
    """Writes a file so that nobody ever sees half of it; makes its folder.

    Raises:
        OutputError: the file exists and `overwrite` is False, or the system refuses; nothing is left behind.
    """
    with replacing(path, overwrite) as file:
        file.write(content)


def check_free(paths: Iterable[Path], overwrite: bool, key: str = "out") -> None:
    """Refuses, before the work, to write over what is there; a verb's settings `key` and `overwrite` stand behind it.

    Raises:
        ConfigError: something is at one of the paths, be it a dangling link, and `overwrite` is False.
    """
    taken = [path for path in paths if os.path.lexists(path)]
    if taken and not overwrite:
        raise ConfigError(f"{key}: {one_line(taken[0])} exists already; give another {key}, or overwrite=true")


def make_folder(path: Path) -> None:
    """Makes a folder, and those that it lies in, where they are missing.

    Raises:
        OutputError: the system refuses.
    """
    try:
        _make_folders(path)
    except OSError as error:
        raise OutputError.of(path, error) from error


def _make_folders(path: Path) -> None:
    """As `mkdir(parents=True)`, which calls itself for each folder and does not get a thousand folders deep."""
    if path.is_dir():
        return
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)


@contextlib.contextmanager
def replacing(path: Path, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file, open to write and read, that takes the place of `path` once it is whole; makes its folder.

    Raises:
        OutputError: the file exists and `overwrite` is False, or the system refuses; nothing is left behind.
    """
    try:
        with scratch_file(path) as file:
            yield file
        put(file.name, path, overwrite)
    except OSError as error:
        raise OutputError.of(path, error) from error


@contextlib.contextmanager
def scratch_file(path: Path, key: str = "") -> Iterator[BinaryIO]:
    """A new file beside `path`, open to write and read, whose name nobody can foresee; makes the folder.

    It stays when all went well, for `put`, and goes with an error.

    Args:
        path: the place that the file is for.
        key: begins the name of the file, after a dot that hides it.

    Raises:
        OSError: the system refuses.
    """
    _make_folders(path.parent)
    scratch = path.with_name(f".gaze-{key}{uuid.uuid4().hex}.part")
    with scratch.open("x+b") as file:  # O_CREAT | O_EXCL: where anything lies, be it a dangling link, that is an error
        try:
            yield file
            file.flush()
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


def put(scratch: str | Path, path: str | Path, overwrite: bool) -> None:
    """Gives a whole file its place; its old name is gone, whatever happens. A link at the place is itself replaced.

    Raises:
        FileExistsError: something is there and `overwrite` is False.
        OSError: the system refuses.
    """
    try:
        if overwrite or not _linked(scratch, path):
            os.replace(scratch, path)
    finally:
        remove(scratch)


def remove(path: str | Path) -> None:
    """Removes a file, if it is there; raises OSError where the system refuses."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _linked(scratch: str | Path, path: str | Path) -> bool:
    """Gives a file a second name, which unlike a rename never replaces a file; False where nothing has two names."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        return False
    return True
