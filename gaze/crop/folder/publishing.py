"""Pictures go to their places whole or not at all: written under a hidden name first, then given their own."""

import hashlib
import os
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gaze.crop.photo.record import PictureRecord
from gaze.errors import OutputError
from gaze.files import put, remove, scratch_file


@dataclass(frozen=True)
class Part:
    """A complete picture that waits beside its place."""

    waiting: str
    """Its path, like that of its place."""
    place: str
    replaces: bool = False
    """Whether what is there is an earlier picture of the same photo, which no one has changed."""


class TakenError(OutputError):
    """A place is taken; `path` is that in the output folder."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return TakenError, (str(self), self.path)


def run_key(manifest: str) -> str:
    """What the hidden names of a run begin with: only one run at a time holds a manifest, so that all files of that
    beginning which lie there as it begins were left by runs that were killed."""
    return hashlib.sha256(os.fsencode(manifest)).hexdigest()[:_KEY]


def clear_parts(root: Path, key: str) -> None:
    """Removes what runs of this key left that were killed, whatever they were to do, and what anyone left a day ago."""
    folders = [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif _PART.fullmatch(entry.name) and (entry.name.startswith(f".gaze-{key}") or _is_old(entry)):
                        os.unlink(entry.path)
        except OSError:  # it goes where someone removes it, or stays where that is forbidden
            continue


def may_place(place: Path, path: str, content: bytes, before: Sequence[PictureRecord]) -> bool | None:
    """Whether a picture may take its place, and how.

    Args:
        place: where it is to go.
        path: the same in the output folder, as records have it.
        content: of the picture.
        before: what was recorded of the pictures of its photo.

    Returns:
        None where nothing is there; True where it replaces a picture that was recorded and is still the same, or an
        empty file in its place; False where it is there already.

    Raises:
        TakenError: there is something else.
        OSError: the system refuses.
    """
    recorded = [each for each in before if each.path == path]
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        return None
    length = place.stat().st_size if place.exists() else found.st_size
    if length in [len(content), 0, *(each.bytes for each in recorded)]:
        there = place.read_bytes()
        if there == content or may_replace(there, path, before):
            return there != content
    raise TakenError(f"{place} {why_kept(path, before)}; --overwrite replaces it", path)


def why_kept(path: str, before: Sequence[PictureRecord]) -> str:
    """Why what has a picture's place stays there, in words that follow its name."""
    recorded = [each for each in before if each.path == path]
    if any(each.sha256 for each in recorded):
        return "was changed since it was written"
    # neither its time nor its size in pixels proves that it was not
    return "is of an earlier gaze, which noted no hash, so that it may be edited" if recorded else "exists already"


def may_replace(there: bytes, path: str, before: Sequence[PictureRecord]) -> bool:
    """Whether a file is one of these pictures as it was recorded, or is empty where there was one."""
    recorded = [each for each in before if each.path == path]
    return bool(recorded) and (not there or hashlib.sha256(there).hexdigest() in [each.sha256 for each in recorded])


def write_part(place: Path, content: bytes, root: Path, owner: str, key: str = "", replaces: bool = False) -> Part:
    """Writes a picture under a hidden name beside its place; makes its folder.

    Without a key the name begins with what follows from the place and its owner, so that what a killed run left goes
    when the next one does the same picture; the rest nobody can foresee.

    Args:
        place: where the picture is to go.
        content: of the file.
        root: a folder that the place must really be in, links followed.
        owner: name of the photo that the picture was made of.
        key: see `run_key`.
        replaces: see `Part`.

    Raises:
        OutputError: the system refuses, or a link leads out of `root`; nothing is left behind.
    """
    try:
        if place.parent != root and not _really_in(place.parent, root):
            raise OutputError(f"{place}: a link leads out of {root}; nothing is written there")
        if not key:
            key = hashlib.sha256(os.fsencode(f"{place.name}/{owner}")).hexdigest()[:_KEY]
            for left in _left(place.parent).pop(key, ()):
                left.unlink(missing_ok=True)
        with scratch_file(place, key) as file:
            file.write(content)
    except OSError as error:
        raise OutputError.of(place, error) from error
    return Part(os.fspath(file.name), str(place), replaces)


_KEY = 16
"""Letters of a hidden name that follow from the run, or from the place and the owner of the picture."""

_PART = re.compile(r"\.gaze-[0-9a-f]{48}\.part")
_DAY = 86400


def _is_old(entry: "os.DirEntry[str]") -> bool:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY


@lru_cache(maxsize=1024)
def _left(folder: Path) -> dict[str, list[Path]]:
    """What waits in a folder as this process begins to write there, by its key: nearly always nothing."""
    left = defaultdict(list)
    for path in folder.glob(f".gaze-{'?' * _KEY}*.part"):
        left[path.name.removeprefix(".gaze-")[:_KEY]].append(path)
    return left


def move(parts: Sequence[Part], overwrite: bool) -> None:
    """Gives pictures their places.

    Raises:
        OutputError: a place is taken and `overwrite` is False, or the system refuses; what waited is gone.
    """
    try:
        for part in parts:
            _move(part, overwrite)
    finally:
        discard(parts)


def discard(parts: Sequence[Part]) -> None:
    """Removes what waits."""
    for part in parts:
        remove(part.waiting)


def _move(part: Part, overwrite: bool) -> None:
    try:
        put(part.waiting, part.place, overwrite or part.replaces)
    except FileExistsError as error:
        raise OutputError(f"{part.place} exists already; --overwrite replaces it") from error
    except OSError as error:
        raise OutputError.of(part.place, error) from error


def _really_in(folder: Path, root: Path) -> bool:
    real, base = os.path.realpath(folder), os.path.realpath(root)
    return real == base or real.startswith(base.rstrip(os.sep) + os.sep)
