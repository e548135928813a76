"""Folders beyond this machine: whatever fsspec reaches by a URL, such as s3://bucket/photos."""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from gaze.crop.folder.history import History, Line
from gaze.crop.folder.listing import MANIFESTS, Selection, Shard, Tally, Task, matches
from gaze.crop.folder.manifest import line_of, manifest_name
from gaze.crop.folder.publishing import Part, TakenError, discard, may_replace, why_kept
from gaze.crop.folder.worker import Finished, check_name, file_stamp, record_of, write_picture
from gaze.crop.photo.cropper import Cropper, Picture
from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.focus import FocusPoint
from gaze.crop.photo.record import PictureRecord, Record, Stamp
from gaze.crop.photo.stages import Stages
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

    def sizes(self) -> dict[str, int | None]:
        """Bytes of all files, by name; None where the store does not tell."""
        with _told(self.url):
            self.files.invalidate_cache()
            found = self.files.find(self._start, detail=True)
            return {path[len(self._start) :]: entry.get("size") for path, entry in found.items()}

    def put(self, name: str, content: bytes, overwrite: bool, before: Sequence[PictureRecord] = ()) -> None:
        """Writes a file in one piece, as object stores do; one that holds just this already is as good as written.

        Args:
            name: of the file in the folder.
            content: of the file.
            overwrite: whether any other file may be replaced.
            before: pictures; one of them may be replaced if it is as it was recorded.

        Raises:
            TakenError: another file has its place.
            OutputError: the store refuses.
        """
        path = self._start + name
        with _told(f"{self.url}/{name}"):
            self.files.invalidate_cache(path.rpartition("/")[0])
            if not overwrite and self.files.exists(path):
                there = self.files.cat_file(path)
                if there == content:  # of a run that was killed before it could note that
                    return
                if not may_replace(there, name, before):
                    raise TakenError(f"{self.url}/{name}: {why_kept(name, before)}; --overwrite replaces it", name)
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
        for name in (name for name in folders if not matches(name, selection.exclude)):
            if name == output:
                tally.output = f"{self.url}/{name}" if self._has_photos_alone(name, selection) else ""
            else:
                yield from self._tasks(f"{name}/", selection, tally, output)

    def _has_photos_alone(self, folder: str, selection: Selection) -> bool:
        """Whether there are photos in a folder and no manifest."""
        names = [path.rpartition("/")[2] for path in self.files.ls(self._start + folder, detail=False)]
        photos = [name for name in names if not name.startswith(".") and selection.takes(name)]
        return bool(photos) and not any(fnmatchcase(name, MANIFESTS) for name in names)


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


_PLACE_BITS = 48


class FarWorker:
    """Crops photos that lie elsewhere, or whose thumbnails go elsewhere.

    Args:
        cropper: does the work.
        photos: the folder of the photos.
        root: the output folder; a path is on a disk that the machine of the run sees too.
        key: what hidden names of this run begin with, see `run_key`.
    """

    def __init__(self, cropper: Cropper, photos: Far, root: Far | Path, key: str = "") -> None:
        self.cropper, self.photos, self.root, self.key = cropper, photos, root, key

    def stages(self, task: Task, points: Sequence[FocusPoint] = ()) -> Stages[Finished]:
        """Crops one photo.

        Raises:
            ImageError: see `Cropper.crop`.
            OutputError: a picture exists already or cannot be written.
        """
        try:
            cropped = yield from self.cropper.stages(self._read(task), PurePosixPath(task.name), points)
        except ImageError as error:
            raise ImageError(f"{task.source}: {str(error).removeprefix('image: ')}") from error
        parts: list[Part] = []
        there = []
        try:
            for picture in cropped.pictures:
                part = self._write(task, picture)
                parts += [part] if part else []
                there += [str(picture.path)] if part is None and isinstance(self.root, Path) else []
        except TakenError as error:
            discard(parts)
            raise TakenError(f"{task.source}: {error}", error.path) from error
        except OutputError as error:
            discard(parts)
            raise OutputError(f"{task.source}: {error}", error.fatal) from error
        record = record_of(task, file_stamp(task), self.cropper, cropped)
        return Finished(record, tuple(parts), cropped.preview, tuple(there))

    def _read(self, task: Task) -> bytes:
        most = self.cropper.request.limits.bytes
        length = (task.stamp.bytes if task.stamp else 0) or self.photos.size(task.name)
        if length and length > most:
            raise ImageError(f"{length} bytes, more than {most}")
        content = self.photos.read(task.name, None if length else most + 1)
        if len(content) > most:
            raise ImageError(f"more than {most} bytes")
        return content

    def _write(self, task: Task, picture: Picture) -> Part | None:
        check_name(picture.path)
        overwrite = self.cropper.request.overwrite
        if isinstance(self.root, Path):
            return write_picture(self.root, picture, task, overwrite, self.key)
        if f"{self.root.url}/{picture.path}" == str(task.source):
            raise OutputError("the photo itself is never overwritten")
        self.root.put(str(picture.path), picture.content, overwrite, task.before or ())
        return None


class FarManifest:
    """A manifest in files of many records each, as nothing can be appended to a file of an object store.

    Only one run at a time may write there; no lock says so.

    Args:
        root: the output folder.
        shard: the part of the folder that is done here.
    """

    lasts = True

    def __init__(self, root: Far, shard: Shard) -> None:
        self._root, self._lines = root, list[bytes]()
        self._history: History | None = None
        self._read = lru_cache(maxsize=4)(root.read)
        self._stem = manifest_name(shard).removesuffix(".jsonl")
        self._kept = [name for name in root.names(depth=1) if fnmatchcase(name, MANIFESTS)]
        own = (re.fullmatch(rf"{self._stem}-([0-9]+)\.jsonl", name) for name in self._kept)
        self._number = max((int(match[1]) for match in own if match), default=0)

    def append(self, record: Record) -> None:
        """Adds a record; every so many are written."""
        self._lines.append(line_of(record))
        if self._history:
            self._history.append(self._number_of(len(self._kept), sum(map(len, self._lines[:-1]))), record)
        if len(self._lines) >= EVERY:
            self.close()

    def history(self, wanted: Fingerprints) -> History:
        """What earlier runs recorded; goes on with what this one records."""
        sizes = self._root.sizes() if self._kept else {}
        there = {path for path, size in sizes.items() if size != 0}
        self._history = History(wanted, self._all_lines, self._line, there.__contains__)
        return self._history

    def _content(self, index: int) -> bytes:
        return b"".join(self._lines) if index == len(self._kept) else self._read(self._kept[index])

    def _all_lines(self) -> Iterator[Line]:
        for index in range(len(self._kept) + 1):
            place = 0
            for line in self._content(index).splitlines(keepends=True):
                yield self._number_of(index, place), line
                place += len(line)

    def _line(self, number: int) -> bytes:
        content, place = self._content(number >> _PLACE_BITS), number & ((1 << _PLACE_BITS) - 1)
        return content[place:].partition(b"\n")[0]

    @staticmethod
    def _number_of(index: int, place: int) -> int:
        return index << _PLACE_BITS | place

    def close(self) -> None:
        """Writes what was not yet written."""
        if self._lines:
            self._number += 1
            name = f"{self._stem}-{self._number:06}.jsonl"
            self._root.put(name, b"".join(self._lines), False)
            self._kept.append(name)
            self._lines.clear()
