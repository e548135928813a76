"""Which photos a run crops: walks folders in order, one at a time, whatever their number."""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from gaze.crop.photo.record import Stamp
from gaze.errors import ConfigError
from gaze.images import SUFFIXES

FOLDER = "thumbnails"
"""Where the thumbnails of a folder go by default, inside that folder."""

KNOWN = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


@dataclass(frozen=True)
class Task:
    """One photo of a run."""

    source: Path | str
    """Its path, or its URL where it lies elsewhere."""
    name: str
    """Relative to the folder of the run, with forward slashes."""
    stamp: Stamp | None = None
    """Where listing it told it."""
    content: bytes | None = None
    """Of the file, where it was read already, as a pipe is."""


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a folder, so that as many machines share the work; counts from 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Reads `"2/8"`.

        Raises:
            ConfigError: the text is not two whole numbers, the first at least 1 and at most the second.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise ConfigError(f"shard: expected I/N, for example 2/8, got {text!r}")
        return cls(int(index), int(count))

    def holds(self, name: str) -> bool:
        """Whether a photo belongs to this part: goes by its relative path alone, the same on every machine."""
        return zlib.crc32(os.fsencode(name)) % self.count == self.index - 1


@dataclass(frozen=True)
class Selection:
    """Which files of a folder are photos to crop.

    Attributes:
        include: shell patterns; a file that matches one is tried, whatever its suffix. None given: known suffixes.
        exclude: shell patterns of files and folders that are left out.
        follow_symlinks: also take what links lead to.
        shard: the part of the folder that is done here.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False
    shard: Shard = Shard()

    def takes(self, name: str) -> bool:
        """Whether a file is a photo by its relative path."""
        if self.include:
            return matches(name, self.include)
        return os.path.splitext(name)[1].lower() in KNOWN


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a relative path, or its last part, matches a shell pattern, in any case; `*` also matches slashes."""
    name = name.lower()
    last = name.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) or fnmatchcase(last, pattern) for pattern in map(str.lower, patterns))


@dataclass
class Tally:
    """What a walk met beside photos."""

    others: int = 0
    """Files that are no photos by their names, or are excluded."""
    elsewhere: int = 0
    """Photos of other shards."""
    links: int = 0
    """Symbolic links that were not followed."""
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be listed, one line each."""


def walk(folder: Path, output: Path, selection: Selection, tally: Tally) -> Iterator[Task]:
    """The photos in a folder and its subfolders, sorted within each; leaves out hidden files and `output`.

    Args:
        folder: where the photos are; absolute.
        output: a folder whose files are no photos, wherever it is; absolute.
        selection: which files are taken.
        tally: counts what is not.
    """
    yield from _walk(folder, "", output, selection, tally, frozenset())


def _walk(
    folder: Path, prefix: str, output: Path, selection: Selection, tally: Tally, above: frozenset[tuple[int, int]]
) -> Iterator[Task]:
    try:
        here = folder.stat()
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        tally.unreadable.append(f"{folder}: cannot be read ({error.strerror or error})")
        return
    folders = []
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not selection.follow_symlinks:
            tally.links += 1
        elif _is_folder(entry):
            folders.append(name)
        elif matches(name, selection.exclude) or not selection.takes(name) or not entry.is_file():
            tally.others += 1
        elif selection.shard.holds(name):
            yield Task(Path(entry.path), name)
        else:
            tally.elsewhere += 1
    above |= {(here.st_dev, here.st_ino)}
    for name in folders:
        child = folder / name.rpartition("/")[2]
        if child != output and not matches(name, selection.exclude) and not _inside_itself(child, above):
            yield from _walk(child, f"{name}/", output, selection, tally, above)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _inside_itself(folder: Path, above: frozenset[tuple[int, int]]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False  # listing it will say what is wrong
    return (status.st_dev, status.st_ino) in above
