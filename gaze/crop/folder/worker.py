"""One photo of a run: its thumbnails, beside the places that they will have."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from gaze.crop.folder.listing import MANIFESTS, Task
from gaze.crop.folder.publishing import Part, TakenError, discard, may_place, write_part
from gaze.crop.photo.focus import FocusPoint
from gaze.crop.photo.record import CroppedRecord, Stamp
from gaze.crop.photo.request import Request
from gaze.crop.photo.stages import Stages
from gaze.errors import OutputError

if TYPE_CHECKING:  # what predicts is loaded by the process that crops
    from gaze.crop.photo.cropper import Cropped, Cropper, Picture
    from gaze.crop.photo.preview import Preview


@dataclass(frozen=True)
class Finished:
    """What became of a photo; its pictures wait beside their places."""

    record: CroppedRecord
    parts: tuple[Part, ...]
    preview: "Preview | None"
    there: tuple[str, ...] = ()
    """Pictures that wait nowhere, as their places hold just these already."""


class Worker:
    """Crops photos of a run one after the other and leaves the thumbnails beside their places.

    Args:
        cropper: does the work.
        root: the output folder; nothing is written outside.
        suffix: of the thumbnails; None keeps that of the photo where gaze writes such a format.
        kept: real paths that nothing is written to: photos, the report.
        key: what hidden names of this run begin with, see `run_key`.
        limit: what a photo is cropped within, before anything is written.
    """

    def __init__(
        self,
        cropper: "Cropper",
        root: Path,
        suffix: str | None = None,
        kept: frozenset[str] = frozenset(),
        key: str = "",
        limit: AbstractContextManager[None] = nullcontext(),  # noqa: B008 - has no state
    ) -> None:
        self.cropper, self.root, self.suffix = cropper, root, suffix
        self.kept, self.key, self.limit = kept, key, limit

    @classmethod
    def of(cls, request: Request, root: Path, kept: frozenset[str], key: str) -> "Worker":
        """One for a process of its own, which loads what predicts, and the model."""
        from gaze.crop.photo.cropper import Cropper
        from gaze.predictor import Predictor

        return cls(Cropper(request, Predictor(request.model)), root, kept=kept, key=key)

    def stages(self, task: Task, points: Sequence[FocusPoint] = ()) -> Stages[Finished]:
        """Crops one photo.

        Raises:
            ImageError: see `Cropper.crop`.
            OutputError: a picture exists already or cannot be written; nothing is left behind.
        """
        stamp = file_stamp(task)
        with self.limit:
            cropped = yield from self.cropper.stages(
                task.source if task.content is None else task.content,
                PurePosixPath(task.name),
                points,
                self.suffix,
                lambda path: self._check(task, path),
            )
        parts: list[Part] = []
        there = []
        try:
            for picture in cropped.pictures:
                part = write_picture(self.root, picture, task, self.cropper.request.overwrite, self.key)
                parts += [part] if part else []
                there += [] if part else [str(picture.path)]
        except BaseException:
            discard(parts)
            raise
        return Finished(record_of(task, stamp, self.cropper, cropped), tuple(parts), cropped.preview, tuple(there))

    def _check(self, task: Task, path: PurePosixPath) -> None:
        """Refuses a place that no option opens, before the work of encoding."""
        place = self.root / path
        check_name(place)
        there = place.exists()
        if there and os.path.exists(task.source) and place.samefile(task.source):
            raise OutputError(f"{task.source}: the photo itself is never overwritten")
        if self.kept and os.path.realpath(place) in self.kept:
            raise OutputError(f"{place} is another photo, or the report, and none is ever overwritten")
        if there and task.before is None and not self.cropper.request.overwrite:
            raise TakenError(f"{place} exists already; --overwrite replaces it", str(path))


def check_name(place: PurePath) -> None:
    """Raises OutputError where a thumbnail would be named as a manifest is."""
    if fnmatchcase(place.name, MANIFESTS):
        raise OutputError(f"{place}: is the name of a manifest, and none is ever replaced")


def write_picture(root: Path, picture: "Picture", task: Task, overwrite: bool, key: str) -> Part | None:
    """Leaves a picture beside its place; None where it is there already.

    Raises:
        OutputError: another file is there, or the system refuses; nothing is left behind.
    """
    place, path, replaces = root / picture.path, str(picture.path), False
    try:
        if not overwrite:
            way = may_place(place, path, picture.content, task.before or ())
            if way is False and task.before is not None:
                return None
            replaces = bool(way)
    except OSError as error:
        raise OutputError.of(place, error) from error
    return write_part(place, picture.content, root, task.name, key, replaces)


def record_of(task: Task, stamp: Stamp, cropper: "Cropper", cropped: "Cropped") -> CroppedRecord:
    """What the manifest says of a photo."""
    prints = cropper.fingerprints
    return CroppedRecord(task.name, stamp, prints.request, cropped.record, prints.asked)


def file_stamp(task: Task) -> Stamp:
    """Tells whether a photo is still the same."""
    if task.stamp is not None:
        return task.stamp
    try:
        status = os.stat(task.source)
    except (OSError, ValueError):
        return Stamp(-1, -1)
    return Stamp(status.st_size, status.st_mtime_ns)
