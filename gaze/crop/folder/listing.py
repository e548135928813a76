"""Which photos a run crops: walks folders in order, one at a time, whatever their number."""

import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, TypeAlias

from gaze.crop.photo.record import PictureRecord, Stamp
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
    before: tuple[PictureRecord, ...] | None = None
    """The pictures of it that earlier runs recorded; None where no run does."""
    rival: "Rival | None" = None
    """An earlier photo of the listing that gets one of its names."""


class Rival(NamedTuple):
    """A photo that gets a name which another wants too."""

    photo: str
    """Its name, as in `Task`."""
    path: str
    """Of the thumbnail in the output folder."""


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

    @property
    def whole(self) -> "Selection":
        """The same of all shards."""
        return replace(self, shard=Shard())

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
    """What could not be listed, one line each."""
    outputs: list[str] = field(default_factory=list)
    """Folders of thumbnails, by the manifest in them, whose files were left alone."""
    output: str = ""
    """The output of this run, if it has photos and no manifest yet."""


def walk(folder: Path, output: Path, selection: Selection, tally: Tally) -> Iterator[Task]:
    """The photos in a folder and its subfolders, sorted within each; leaves out hidden files and `output`.

    Subfolders that hold a manifest are outputs of other runs, whose files are no photos either. A folder that links
    lead to in very many ways is taken in some of them.

    Args:
        folder: where the photos are; absolute.
        output: a folder whose files are no photos, wherever it is; absolute.
        selection: which files are taken.
        tally: counts what is not.
    """
    closed = _identity(output)
    ways, many = Counter[_Identity](), False
    waiting: list[_Place] = [_Place(folder, "", None)]
    while waiting:
        place = waiting.pop()
        entries = _listed(place.path, tally)
        here = _identity(place.path)
        if entries is None or here is None or place.is_inside(here):
            continue
        ours = any(fnmatchcase(entry.name, MANIFESTS) for entry in entries)
        if place.above and (here == closed or place.path == output):
            tally.output = "" if ours or not any(map(selection.takes, _names(entries))) else str(place.path)
            continue
        if place.above and ours:
            tally.outputs.append(str(place.path))
            continue
        ways[here] += 1
        if ways[here] > WAYS:
            if not many:
                tally.unreadable.append(f"{place.path}: links lead here in more than {WAYS} ways")
            many = True
            continue
        folders: list[str] = []
        yield from _files(entries, place.prefix, selection, tally, folders)
        above = (here, place.above)
        waiting += (
            _Place(place.path / name.rpartition("/")[2], f"{name}/", above)
            for name in reversed(folders)
            if not matches(name, selection.exclude)
        )


MANIFESTS = "gaze-manifest*.jsonl"
"""Names of manifests; the folders that hold one are outputs."""

WAYS = 100
"""Ways to one folder, through links, that are followed."""

_Identity = tuple[int, int]
_Above: TypeAlias = "tuple[_Identity, _Above] | None"


@dataclass(frozen=True)
class _Place:
    """A folder that is to be listed."""

    path: Path
    prefix: str
    above: _Above
    """The folders that it lies in, the innermost first."""

    def is_inside(self, here: _Identity) -> bool:
        above = self.above
        while above:
            if above[0] == here:
                return True
            above = above[1]
        return False


def _identity(folder: Path) -> _Identity | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _listed(folder: Path, tally: Tally) -> "list[os.DirEntry[str]] | None":
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        tally.unreadable.append(f"{folder}: cannot be read ({error.strerror or error})")
        return None


def _names(entries: "list[os.DirEntry[str]]") -> list[str]:
    return [entry.name for entry in entries if not entry.name.startswith(".")]


def _files(
    entries: "list[os.DirEntry[str]]", prefix: str, selection: Selection, tally: Tally, folders: list[str]
) -> Iterator[Task]:
    """The photos among the entries of a folder; adds its subfolders to `folders`."""
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not selection.follow_symlinks:
            tally.links += 1
            continue
        try:
            if entry.is_dir():
                folders.append(name)
                continue
            is_photo = entry.is_file() and selection.takes(name) and not matches(name, selection.exclude)
        except OSError as error:  # a link to itself, or into a folder that is locked
            tally.unreadable.append(f"{entry.path}: cannot be read ({error.strerror or error})")
            continue
        if not is_photo:
            tally.others += 1
        elif selection.shard.holds(name):
            yield Task(entry.path, name)
        else:
            tally.elsewhere += 1
