"""Folders beyond this machine: whatever fsspec reaches by a URL, such as s3://bucket/photos."""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from gaze.crop.folder.listing import MANIFESTS, Selection, Shard, Tally, Task, matches
from gaze.crop.folder.manifest import finished, line_of, manifest_name, parse_records
from gaze.crop.folder.publishing import Part, discard, write_part
from gaze.crop.folder.worker import Finished, file_stamp
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.focus import FocusPoint
from gaze.crop.photo.record import CroppedRecord, Record, Stamp
from gaze.errors import ImageError, OutputError, one_line

EVERY = 500
"""Photos whose records go into one file of a manifest."""


class Far:
    """A folder that fsspec reaches.

    Args:
        url: also a path of this machine.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs  # here, as the small install lacks it

        self.url = url.rstrip("/")
        with _told(self.url):
            self.files, base = url_to_fs(self.url)
        self._start = f"{base.rstrip('/')}/" if base else ""

    def tasks(self, selection: Selection, tally: Tally, output: str) -> Iterator[Task]:
        """The photos in the folder and its subfolders; leaves out hidden files and the folder of the URL `output`."""
        yield from self._tasks("", selection, tally, output.removeprefix(f"{self.url}/"))

    def read(self, name: str, most: int | None = None) -> bytes:
        """A file of the folder, or its first `most` bytes."""
        if most is None:
            return self.files.cat_file(self._start + name)
        with self.files.open(self._start + name, "rb") as file:
            return file.read(most)

    def size(self, name: str) -> int | None:
        """Bytes of a file of the folder; None where the store does not tell."""
        return self.files.size(self._start + name)

    def names(self, depth: int | None = None) -> list[str]:
        """All files, sorted; with a depth of 1 none of subfolders."""
        with _told(self.url):
            self.files.invalidate_cache()
            return sorted(path[len(self._start) :] for path in self.files.find(self._start, maxdepth=depth))

    def put(self, name: str, content: bytes, overwrite: bool) -> None:
        """Writes a file in one piece, as object stores do; one that holds just this already is as good as written.

        Raises:
            OutputError: another file has its place and `overwrite` is False, or the store refuses.
        """
        path = self._start + name
        with _told(f"{self.url}/{name}"):
            self.files.invalidate_cache(path.rpartition("/")[0])
            if not overwrite and self.files.exists(path):
                if self.files.cat_file(path) == content:  # of a run that was killed before it could note that
                    return
                raise OutputError(f"{self.url}/{name}: exists already; --overwrite replaces it")
            try:
                self.files.pipe_file(path, content)
            except FileNotFoundError:  # a store that has folders
                self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self.files.pipe_file(path, content)

    def _tasks(self, prefix: str, selection: Selection, tally: Tally, output: str) -> Iterator[Task]:
        try:
            entries = sorted(self.files.ls(self._start + prefix, detail=True), key=lambda entry: entry["name"])
        except Exception as error:  # every store has kinds of its own
            tally.unreadable.append(f"{self.url}/{prefix}: cannot be read ({one_line(error)})")
            return
        if prefix and any(fnmatchcase(entry["name"].rpartition("/")[2], MANIFESTS) for entry in entries):
            tally.outputs.append(f"{self.url}/{prefix}".rstrip("/"))
            return
        folders = []
        for entry in entries:
            name = prefix + entry["name"].rstrip("/").rpartition("/")[2]
            if name == prefix or name.startswith(f"{prefix}."):
                continue
            if entry["type"] == "directory":
                folders.append(name)
            elif matches(name, selection.exclude) or not selection.takes(name):
                tally.others += 1
            elif selection.shard.holds(name):
                yield Task(f"{self.url}/{name}", name, Stamp(entry["size"] or 0, _changed(entry)))
            else:
                tally.elsewhere += 1
        for name in folders:
            if name != output and not matches(name, selection.exclude):
                yield from self._tasks(f"{name}/", selection, tally, output)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Makes one kind of error of those of all stores."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        raise OutputError(f"{url}: {type(error).__name__}: {one_line(error)}") from error


def _changed(entry: dict[str, Any]) -> int:
    """When a file was changed, in nanoseconds; where the store does not tell, a number that follows from its tag."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        when = entry.get(key)
        if isinstance(when, datetime):
            return round(when.timestamp() * 1e9)
        if isinstance(when, int | float):
            return round(when * 1e9)
    return zlib.crc32(str(entry.get("ETag") or entry.get("etag")).encode())


class FarWorker:
    """Crops photos that lie elsewhere, or whose thumbnails go elsewhere.

    Args:
        cropper: does the work.
        photos: the folder of the photos.
        root: the output folder; a path is on a disk that the machine of the run sees too.
    """

    def __init__(self, cropper: Cropper, photos: Far, root: Far | Path) -> None:
        self.cropper, self.photos, self.root = cropper, photos, root

    def crop(self, task: Task, points: Sequence[FocusPoint] = ()) -> Finished:
        """Crops one photo.

        Raises:
            ImageError: see `Cropper.crop`.
            OutputError: a picture exists already or cannot be written.
        """
        try:
            cropped = self.cropper.crop(self._read(task), PurePosixPath(task.name), points)
        except ImageError as error:
            raise ImageError(f"{task.source}: {str(error).removeprefix('image: ')}") from error
        parts: list[Part] = []
        try:
            for picture in cropped.pictures:
                parts += self._write(task, picture.path, picture.content)
        except OutputError as error:
            discard(parts)
            raise OutputError(f"{task.source}: {error}", error.fatal) from error
        record = CroppedRecord(task.name, file_stamp(task), self.cropper.fingerprint, cropped.record)
        return Finished(record, tuple(parts), cropped.preview)

    def _read(self, task: Task) -> bytes:
        most = self.cropper.request.limits.bytes
        length = (task.stamp.bytes if task.stamp else 0) or self.photos.size(task.name)
        if length and length > most:
            raise ImageError(f"{length} bytes, more than {most}")
        content = self.photos.read(task.name, None if length else most + 1)
        if len(content) > most:
            raise ImageError(f"more than {most} bytes")
        return content

    def _write(self, task: Task, path: PurePosixPath, content: bytes) -> list[Part]:
        if isinstance(self.root, Path):
            return [write_part(self.root / path, content, self.root, task.name)]
        if f"{self.root.url}/{path}" == str(task.source):
            raise OutputError("the photo itself is never overwritten")
        self.root.put(str(path), content, self.cropper.request.overwrite)
        return []


class FarManifest:
    """A manifest in files of many records each, as nothing can be appended to a file of an object store.

    Only one run at a time may write there; no lock says so.

    Args:
        root: the output folder.
        shard: the part of the folder that is done here.
    """

    def __init__(self, root: Far, shard: Shard) -> None:
        self._root, self._lines = root, list[bytes]()
        self._stem = manifest_name(shard).removesuffix(".jsonl")
        self._kept = [name for name in root.names(depth=1) if fnmatchcase(name, MANIFESTS)]
        own = (re.fullmatch(rf"{self._stem}-([0-9]+)\.jsonl", name) for name in self._kept)
        self._number = max((int(match[1]) for match in own if match), default=0)

    def append(self, record: Record) -> None:
        """Adds a record; every so many are written."""
        self._lines.append(line_of(record))
        if len(self._lines) >= EVERY:
            self.close()

    def finished(self, fingerprint: str) -> dict[str, Stamp]:
        """See `manifest.finished`."""
        if not self._kept:
            return {}
        lines = (line for name in self._kept for line in self._root.read(name).splitlines())
        there = set(self._root.names())
        return finished(parse_records(lines), fingerprint, there.__contains__)

    def close(self) -> None:
        """Writes what was not yet written."""
        if self._lines:
            self._number += 1
            self._root.put(f"{self._stem}-{self._number:06}.jsonl", b"".join(self._lines), False)
            self._lines.clear()
