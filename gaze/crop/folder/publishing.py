"""Pictures go to their places whole or not at all: written under a hidden name first, then given their own."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaze.errors import OutputError


@dataclass(frozen=True)
class Part:
    """A complete picture that waits beside its place."""

    waiting: Path
    place: Path


def write_part(place: Path, content: bytes, root: Path, owner: str) -> Part:
    """Writes a picture under a hidden name beside its place; makes its folder.

    The name follows from the place and its owner, so that what a killed run left is written over by the next one, and
    two photos that are named alike do not write into one file.

    Args:
        place: where the picture is to go.
        content: of the file.
        root: a folder that the place must really be in, links followed.
        owner: name of the photo that the picture was made of.

    Raises:
        OutputError: the system refuses, or a link leads out of `root`; nothing is left behind.
    """
    digest = hashlib.sha256(os.fsencode(f"{place.name}/{owner}")).hexdigest()[:16]
    part = Part(place.with_name(f".gaze-{digest}.part"), place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not _really_in(place.parent, root):
            raise OutputError(f"{place}: a link leads out of {root}; nothing is written there")
        part.waiting.write_bytes(content)
    except OSError as error:
        discard([part])
        raise OutputError.of(place, error) from error
    return part


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
        if overwrite:
            os.replace(part.waiting, part.place)
            return
        try:
            os.link(part.waiting, part.place)  # unlike a rename it never replaces a file
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if part.place.exists():
                raise FileExistsError from None
            os.replace(part.waiting, part.place)
    except FileExistsError as error:
        raise OutputError(f"{part.place} exists already; --overwrite replaces it") from error
    except OSError as error:
        raise OutputError.of(part.place, error) from error


def _really_in(folder: Path, root: Path) -> bool:
    real, base = os.path.realpath(folder), os.path.realpath(root)
    return real == base or real.startswith(base.rstrip(os.sep) + os.sep)
