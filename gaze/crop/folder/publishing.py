"""Pictures go to their places whole or not at all: written under a hidden name first, then given their own."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gaze.errors import OutputError
from gaze.files import put, scratch_file


@dataclass(frozen=True)
class Part:
    """A complete picture that waits beside its place."""

    waiting: Path
    place: Path


def write_part(place: Path, content: bytes, root: Path, owner: str) -> Part:
    """Writes a picture under a hidden name beside its place; makes its folder.

    The name begins with what follows from the place and its owner, so that what a killed run left goes when the next
    one does the same picture; the rest nobody can foresee.

    Args:
        place: where the picture is to go.
        content: of the file.
        root: a folder that the place must really be in, links followed.
        owner: name of the photo that the picture was made of.

    Raises:
        OutputError: the system refuses, or a link leads out of `root`; nothing is left behind.
    """
    key = hashlib.sha256(os.fsencode(f"{place.name}/{owner}")).hexdigest()[:_KEY]
    try:
        if not _really_in(place.parent, root):
            raise OutputError(f"{place}: a link leads out of {root}; nothing is written there")
        for left in _left(place.parent).pop(key, ()):
            left.unlink(missing_ok=True)
        with scratch_file(place, key) as file:
            file.write(content)
    except OSError as error:
        raise OutputError.of(place, error) from error
    return Part(Path(file.name), place)


_KEY = 16
"""Letters of a hidden name that follow from the place and the owner of the picture."""


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
        part.waiting.unlink(missing_ok=True)


def _move(part: Part, overwrite: bool) -> None:
    try:
        put(part.waiting, part.place, overwrite)
    except FileExistsError as error:
        raise OutputError(f"{part.place} exists already; --overwrite replaces it") from error
    except OSError as error:
        raise OutputError.of(part.place, error) from error


def _really_in(folder: Path, root: Path) -> bool:
    real, base = os.path.realpath(folder), os.path.realpath(root)
    return real == base or real.startswith(base.rstrip(os.sep) + os.sep)
