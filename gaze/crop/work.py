"""One photo: decode, predict, choose, cut, encode, and say what was done."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from gaze.crop.focus import FocusPoint
from gaze.crop.place import Part, discard, write_part
from gaze.crop.plan import Task
from gaze.crop.render import reduction, thumbnail
from gaze.crop.request import Request, Shape, file_name
from gaze.errors import OutputError
from gaze.geometry import Size
from gaze.heatmap import overlay
from gaze.images import Frame, Photo, encode, open_photo, output_format, output_suffix, to_array
from gaze.predictor import Predictor
from gaze.thumbnails import Crop, choose, with_focus

LOOKED_AT = 5
"""Frames of an animation whose predictions are averaged, spread over its length."""

Check = Callable[[PurePosixPath], None]


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its path, relative to the folder of the photo's thumbnails."""

    path: PurePosixPath
    content: bytes


@dataclass(frozen=True)
class Cropped:
    """What became of a photo, nothing of it written yet."""

    record: dict[str, Any]
    """Ready for JSON: boxes in pixels of the upright photo, scores from 0 to 1, paths, milliseconds."""
    pictures: tuple[Picture, ...]
    preview: dict[str, Any] | None
    """For the report."""


@dataclass(frozen=True)
class Finished:
    """What became of a photo; its pictures wait beside their places."""

    record: dict[str, Any]
    parts: tuple[Part, ...]
    preview: dict[str, Any] | None


class Cropper:
    """Turns encoded photos into encoded thumbnails; touches no file but the photo.

    Args:
        request: what is wanted of every photo.
        predictor: the model.
    """

    def __init__(self, request: Request, predictor: Predictor) -> None:
        self.request, self.predictor = request, predictor
        self.model = {"name": predictor.card.name, "version": predictor.card.version}
        self.fingerprint = request.fingerprint(predictor.card.sha256)

    def crop(
        self, source: "str | os.PathLike[str] | bytes", name: PurePosixPath, points: Sequence[FocusPoint] = (),
        suffix: str | None = None, check: Check = lambda path: None,
    ) -> Cropped:  # fmt: skip
        """Crops one photo.

        Args:
            source: a path, or the bytes of the file.
            name: of the photo; its thumbnails are named after it.
            points: where a person says that it matters.
            suffix: of the thumbnails; None keeps that of the photo where gaze writes such a format.
            check: told the path of each picture before the work of encoding; may raise.

        Raises:
            ImageError: the photo cannot be read or a thumbnail not be encoded.
            ConfigError: a focus point lies outside the photo.
        """
        request, clock = self.request, _Clock()
        seen = self.predictor.card.input.longer_side
        photo = open_photo(
            source,
            shrink=lambda full: reduction(request, full, seen),
            limits=request.limits,
            frames=request.frames,
            keep=request.keep,
        )
        clock.lap("decode")
        density = self._density(photo)
        clock.lap("predict")
        crops = self._choose(density, photo, points)
        clock.lap("choose")
        suffix = suffix or output_suffix(photo, name.suffix, request.encoding)
        shown = [(shape, crop, rank, self._cut(photo, crop, shape)) for shape, crop, rank in crops]
        pictures, entries = [], []
        for shape, crop, rank, frames in shown:
            size = Size(*frames[0].image.size)
            path = name.parent / file_name(request.template, name.stem, shape, size, rank, suffix)
            check(path)
            pictures.append(Picture(path, encode(frames, output_format(suffix), request.encoding, photo)))
            entries.append(_entry(shape, crop, rank, _output(path, size)))
        record = {**vars(photo.size), "format": photo.format, "model": self.model, "crops": entries}
        if request.heatmap:
            boxes = [crop.box for _, crop, rank in crops if rank == 1]
            path = name.parent / request.heatmap.format(stem=name.stem, ext=suffix)
            check(path)
            picture = overlay(to_array(photo.image), density, boxes)
            pictures.append(Picture(path, encode(picture, output_format(suffix), request.encoding)))
            record["heatmap"] = _output(path, Size(*picture.size))
        clock.lap("encode")
        record["milliseconds"] = clock.laps
        small = _preview(photo, density, [frames[0].image for *_, frames in shown]) if request.preview else None
        return Cropped(record, tuple(pictures), small)

    def _density(self, photo: Photo) -> np.ndarray:
        if len(photo.frames) == 1:
            return self.predictor.density(to_array(photo.image))
        places = np.linspace(0, len(photo.frames) - 1, min(LOOKED_AT, len(photo.frames))).round().astype(int)
        frames = [photo.frames[place].image for place in places]
        return np.mean([self.predictor.density(to_array(frame)) for frame in frames], axis=0)

    def _choose(self, density: np.ndarray, photo: Photo, points: Sequence[FocusPoint]) -> list[tuple[Shape, Crop, int]]:
        framing = self.request.framing
        if points:
            places = [point.within(photo.size) for point in points]
            density = with_focus(density, photo.size, places, self.request.focus_weight)
            framing = replace(framing, threshold=0.0)  # who points somewhere does not mean the centre
        chosen = {
            ratio: choose(density, photo.size, ratio, framing) for ratio in {s.ratio for s in self.request.shapes}
        }
        return [
            (shape, crop, rank) for shape in self.request.shapes for rank, crop in enumerate(chosen[shape.ratio], 1)
        ]

    def _cut(self, photo: Photo, crop: Crop, shape: Shape) -> list[Frame]:
        return [
            Frame(thumbnail(frame.image, photo.size, crop, shape, self.request), frame.milliseconds)
            for frame in photo.frames
        ]


class Worker:
    """Crops photos of a run one after the other and leaves the thumbnails beside their places.

    Args:
        cropper: does the work.
        root: the output folder; nothing is written outside.
        suffix: of the thumbnails; None keeps that of the photo where gaze writes such a format.
    """

    def __init__(self, cropper: Cropper, root: Path, suffix: str | None = None) -> None:
        self.cropper, self.root, self.suffix = cropper, root, suffix

    def crop(self, task: Task, points: Sequence[FocusPoint] = ()) -> Finished:
        """Crops one photo.

        Raises:
            ImageError: see `Cropper.crop`.
            OutputError: a picture exists already or cannot be written; nothing is left behind.
        """
        stamp = file_stamp(task)
        cropped = self.cropper.crop(
            task.source, PurePosixPath(task.name), points, self.suffix, lambda path: self._check(task.source, path)
        )
        parts: list[Part] = []
        try:
            for picture in cropped.pictures:
                parts.append(write_part(self.root / picture.path, picture.content, self.root, task.name))
        except OutputError:
            discard(parts)
            raise
        record = {"input": task.name, **stamp, "request": self.cropper.fingerprint, **cropped.record}
        return Finished(record, tuple(parts), cropped.preview)

    def _check(self, source: Path | str, path: PurePosixPath) -> None:
        place = self.root / path
        if not place.exists():
            return
        if place.samefile(source):
            raise OutputError(f"{source}: the photo itself is never overwritten")
        if not self.cropper.request.overwrite:
            raise OutputError(f"{source}: {place} exists already; --overwrite replaces it")


def file_stamp(task: Task) -> dict[str, int]:
    """Tells whether a photo is still the same: bytes, nanoseconds of its last change; -1 if it cannot be read."""
    if task.stamp is not None:
        return {"bytes": task.stamp[0], "mtime_ns": task.stamp[1]}
    try:
        status = os.stat(task.source)
    except (OSError, ValueError):
        return {"bytes": -1, "mtime_ns": -1}
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


class _Clock:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.laps[name] = round(1e3 * (now - self._last), 2)
        self._last = now


def _preview(photo: Photo, density: np.ndarray, thumbnails: list[Image.Image]) -> dict[str, Any]:
    from gaze.crop.page import preview  # here, as most runs make no page

    return preview(photo.image, density, thumbnails)


def _entry(shape: Shape, crop: Crop, rank: int, output: dict[str, Any]) -> dict[str, Any]:
    return {
        "ratio": str(shape.ratio),
        "rank": rank,
        "box": dict(vars(crop.box)),
        "score": round(crop.score, 6),
        "center_score": round(crop.center_score, 6),
        "confidence": round(crop.confidence, 6),
        "centered": crop.centered,
        "output": output,
    }


def _output(path: PurePosixPath, size: Size) -> dict[str, Any]:
    return {"path": str(path), **vars(size)}
