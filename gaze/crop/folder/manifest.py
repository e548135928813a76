"""The manifest of a folder run: one JSON line a photo, written as it is done; a rerun does only the rest.

A photo's line is written when its thumbnails lie complete beside their places, and before they are moved there. So
after a crash a line may stand without its files, and its photo is done again; a file never stands without its line.
"""

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from gaze.crop.folder.listing import Shard
from gaze.crop.photo.record import FailedRecord, Record, Stamp, parse_record
from gaze.errors import ConfigError, OutputError

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

    def append(self, record: Record) -> None:
        """Adds a record; may raise OutputError."""

    def finished(self, fingerprint: str) -> dict[str, Stamp]:
        """See the function `finished`."""

    def close(self) -> None:
        """Keeps what was not yet kept and lets go; may raise OutputError."""


class Manifest:
    """An open manifest; only one run at a time may hold it.

    Args:
        path: where it lies.
        exists: whether a picture is there, by its path in the output folder.

    Raises:
        ConfigError: another run holds it.
        OutputError: the system refuses.
    """

    def __init__(self, path: Path, exists: Callable[[str], bool]) -> None:
        self.path, self.exists = path, exists
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
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
            OutputError: the system refuses, for example as the disk is full.
        """
        line = line_of(record)
        line = b"\n" + line if self._torn else line
        try:
            self._torn = self._file.write(line) != len(line)
        except OSError as error:
            raise OutputError.of(self.path, error) from error
        if self._torn:  # the disk had room for a part of it only
            raise OutputError.of(self.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def finished(self, fingerprint: str) -> dict[str, Stamp]:
        """See `finished`."""
        return finished(read_records(self.path), fingerprint, self.exists)

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


class NoManifest:
    """Keeps nothing, where thumbnails go beside photos that were named one by one."""

    def append(self, record: Record) -> None:
        """Forgets the record."""

    def finished(self, fingerprint: str) -> dict[str, Stamp]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Has nothing to do."""


def line_of(record: Record) -> bytes:
    """A record as a line of a manifest."""
    return json.dumps(record.to_json()).encode() + b"\n"


def finished(records: Iterable[Record], fingerprint: str, exists: Callable[[str], bool]) -> dict[str, Stamp]:
    """The photos that earlier runs with the same request finished, whose thumbnails are all there.

    Returns:
        Name of each photo -> its stamp as it was.
    """
    done: dict[str, Stamp] = {}
    for record in records:
        if record.request != fingerprint:
            continue
        if isinstance(record, FailedRecord) or not all(exists(picture.path) for picture in record.photo.pictures):
            done.pop(record.input, None)
        else:
            done[record.input] = record.stamp
    return done


def read_records(path: Path) -> Iterator[Record]:
    """The records of a manifest in order; a line that a crash cut short is passed over."""
    with path.open("rb") as file:
        yield from parse_records(file)


def parse_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of a manifest's lines; one that is not whole is passed over."""
    yield from filter(None, map(parse_record, lines))
