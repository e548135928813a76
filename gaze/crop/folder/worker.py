"""One photo of a run: its thumbnails, beside the places that they will have."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gaze.crop.folder.listing import Task
from gaze.crop.folder.publishing import Part, discard, write_part
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.focus import FocusPoint
from gaze.crop.photo.preview import Preview
from gaze.crop.photo.record import CroppedRecord, Stamp
from gaze.errors import OutputError


@dataclass(frozen=True)
class Finished:
    """What became of a photo; its pictures wait beside their places."""

    record: CroppedRecord
    parts: tuple[Part, ...]
    preview: Preview | None


class Worker:
    """Crops photos of a run one after the other and leaves the thumbnails beside their places.

    Args:
        cropper: does the work.
        root: the output folder; nothing is written outside.
        suffix: of the thumbnails; None keeps that of the photo where gaze writes such a format.
        photos: real paths that nothing is written to.
    """

    def __init__(
        self, cropper: Cropper, root: Path, suffix: str | None = None, photos: frozenset[str] = frozenset()
    ) -> None:
        self.cropper, self.root, self.suffix, self.photos = cropper, root, suffix, photos

    def crop(self, task: Task, points: Sequence[FocusPoint] = ()) -> Finished:
        """Crops one photo.

        Raises:
            ImageError: see `Cropper.crop`.
            OutputError: a picture exists already or cannot be written; nothing is left behind.
        """
        stamp = file_stamp(task)
        cropped = self.cropper.crop(
            task.source if task.content is None else task.content,
            PurePosixPath(task.name),
            points,
            self.suffix,
            lambda path: self._check(task.source, path),
        )
        parts: list[Part] = []
        try:
            for picture in cropped.pictures:
                parts.append(write_part(self.root / picture.path, picture.content, self.root, task.name))
        except OutputError:
            discard(parts)
            raise
        record = CroppedRecord(task.name, stamp, self.cropper.fingerprint, cropped.record)
        return Finished(record, tuple(parts), cropped.preview)

    def _check(self, source: Path | str, path: PurePosixPath) -> None:
        place = self.root / path
        if not place.exists():
            return
        if os.path.exists(source) and place.samefile(source):
            raise OutputError(f"{source}: the photo itself is never overwritten")
        if os.path.realpath(place) in self.photos:
            raise OutputError(f"{source}: {place} is another photo, and none is ever overwritten")
        if not self.cropper.request.overwrite:
            raise OutputError(f"{source}: {place} exists already; --overwrite replaces it")


def file_stamp(task: Task) -> Stamp:
    """Tells whether a photo is still the same."""
    if task.stamp is not None:
        return task.stamp
    try:
        status = os.stat(task.source)
    except (OSError, ValueError):
        return Stamp(-1, -1)
    return Stamp(status.st_size, status.st_mtime_ns)
