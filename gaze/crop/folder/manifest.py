"""The manifest of a folder run: one JSON line a photo, written as it is done; a rerun does only the rest.

A photo's line is written when its thumbnails lie complete beside their places, and before they are moved there. So
after a crash a line may stand without its files, and its photo is done again; a file never stands without its line. The
line holds size and hash of each thumbnail: one that is still the same may be replaced when its photo is done again.
"""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from gaze.crop.folder.history import History, Line
from gaze.crop.folder.listing import MANIFESTS, Shard
from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.record import Record, parse_record
from gaze.errors import ConfigError, OutputError
from gaze.files import make_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "gaze-manifest.jsonl"


def manifest_name(shard: Shard) -> str:
    """Shards have a file each: machines cannot append to one over a network."""
    return NAME if shard.count == 1 else f"gaze-manifest-{shard.index}of{shard.count}.jsonl"


class Journal(Protocol):
    """What keeps the records of a run: a manifest on a disk, or one in a remote store."""

    lasts: bool
    """Whether a later run reads them."""

    def append(self, record: Record) -> None:
        """Adds a record; may raise OutputError."""

    def history(self, wanted: Fingerprints) -> History:
        """What earlier runs recorded; goes on with what this one records."""

    def close(self) -> None:
        """Keeps what was not yet kept and lets go; may raise OutputError."""


class Manifest:
    """An open manifest; only one run at a time may hold it.

    Args:
        path: where it lies.
        exists: whether a picture is there and not empty, by its path in the output folder.
        others: manifests that are read too, such as those of other shards.

    Raises:
        ConfigError: it is no manifest, or another run holds it.
        OutputError: the system refuses.
    """

    lasts = True

    def __init__(self, path: Path, exists: Callable[[str], bool], others: Sequence[Path] = ()) -> None:
        self.path, self.exists = path, exists
        self._history: History | None = None
        self._paths = [*others, path]
        try:
            _check_is_one(path)
            make_folder(path.parent)
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise OutputError.of(path, error) from error
        self._lock()
        self._torn = self._ends_within_a_line()

    def close(self) -> None:
        """Lets go of it."""
        self._file.close()

    def append(self, record: Record) -> None:
        """Adds a line in one piece.

        Raises:
            OutputError: the system refuses, for example as the disk is full, or the file was removed meanwhile.
        """
        line = line_of(record)
        line = b"\n" + line if self._torn else line
        try:
            place = self._file.seek(0, os.SEEK_END)
            if self.path.stat().st_size < place:
                raise FileNotFoundError
            self._torn = self._file.write(line) != len(line)
        except FileNotFoundError as error:
            raise OutputError(f"{self.path}: was removed while this run wrote to it", fatal=True) from error
        except OSError as error:
            raise OutputError.of(self.path, error) from error
        if self._torn:  # the disk had room for a part of it only
            raise OutputError.of(self.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if self._history:
            self._history.append(self._number(len(self._paths) - 1, place + line.startswith(b"\n")), record)

    def history(self, wanted: Fingerprints) -> History:
        """What earlier runs recorded; goes on with what this one records."""
        self._history = History(wanted, self._lines, self._line, self.exists)
        return self._history

    def _lines(self) -> Iterator[Line]:
        for index, path in enumerate(self._paths):
            try:
                with path.open("rb") as file:
                    place = 0
                    for line in file:
                        yield self._number(index, place), line
                        place += len(line)
            except OSError as error:
                raise OutputError(f"{path}: cannot be read ({error.strerror or error})") from error

    def _line(self, number: int) -> bytes:
        index, place = number >> _PLACE_BITS, number & ((1 << _PLACE_BITS) - 1)
        try:
            with self._paths[index].open("rb") as file:
                file.seek(place)
                return file.readline()
        except OSError:  # it was removed meanwhile
            return b""

    @staticmethod
    def _number(index: int, place: int) -> int:
        return index << _PLACE_BITS | place

    def _lock(self) -> None:
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise ConfigError(f"{self.path}: another run is writing here") from error
        except OSError:  # a file system without locks
            pass

    def _ends_within_a_line(self) -> bool:
        if not self._file.seek(0, os.SEEK_END):
            return False
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) != b"\n"


_PLACE_BITS = 48


def _check_is_one(path: Path) -> None:
    """Raises ConfigError where there is something else than a manifest."""
    if not path.exists():
        return
    head = b""
    if stat.S_ISREG(path.stat().st_mode):
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if not head or _START in head or fnmatchcase(path.name, MANIFESTS):
            return
    raise ConfigError(f"--manifest {path}: expected a manifest or no file yet; that one stays as it is")


_HEAD, _START = 65536, b'{"input": '
"""So far into a file that is a manifest, a record begins."""


class NoManifest:
    """Keeps in memory whose pictures are whose, where thumbnails go beside photos that were named one by one."""

    lasts = False

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._history: History | None = None

    def append(self, record: Record) -> None:
        """Keeps the record for as long as the run lasts."""
        self._written.append(line_of(record))
        if self._history:
            self._history.append(len(self._written) - 1, record)

    def history(self, wanted: Fingerprints) -> History:
        """Nothing, before this run."""
        self._history = History(wanted, lambda: enumerate(self._written), self._written.__getitem__, lambda _: False)
        return self._history

    def close(self) -> None:
        """Has nothing to do."""


def line_of(record: Record) -> bytes:
    """A record as a line of a manifest."""
    return json.dumps(record.to_json()).encode() + b"\n"


def read_records(path: Path) -> Iterator[Record]:
    """The records of a manifest in order; a line that a crash cut short is passed over."""
    with path.open("rb") as file:
        yield from filter(None, map(parse_record, file))
