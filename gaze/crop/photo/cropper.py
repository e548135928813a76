"""One photo, in memory: decode, predict, choose, cut, encode, and say what was done."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from time import perf_counter

import numpy as np
from PIL import Image

from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.focus import FocusPoint
from gaze.crop.photo.naming import file_name
from gaze.crop.photo.preview import Preview, preview
from gaze.crop.photo.record import CropRecord, ModelRecord, PhotoRecord, PictureRecord
from gaze.crop.photo.rendering import reduction, thumbnail
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Fitted, Shape
from gaze.crop.photo.stages import Stages, run_through
from gaze.errors import ConfigError
from gaze.framing.choice import Crop, choose
from gaze.geometry import Box, Size
from gaze.images import Frame, Photo, accept, encode, open_photo, output_format, output_suffix, overview, to_array
from gaze.images.heatmap import LONGER_SIDE, overlay
from gaze.predictor import Prediction, Predictor

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

    record: PhotoRecord
    pictures: tuple[Picture, ...]
    preview: Preview | None
    """For the report."""


class Cropper:
    """Turns encoded photos into encoded thumbnails; touches no file but the photo.

    Args:
        request: what is wanted of every photo.
        predictor: the model.
    """

    def __init__(self, request: Request, predictor: Predictor) -> None:
        self.request, self.predictor = request, predictor
        self.model = ModelRecord(predictor.card.name, predictor.card.version)
        self.fingerprints = Fingerprints.of(request, predictor.card.sha256)
        accept(request.limits)

    def crop(
        self, source: "str | os.PathLike[str] | bytes", name: PurePosixPath, points: Sequence[FocusPoint] = ()
    ) -> Cropped:
        """Crops one photo, see `stages`."""
        return run_through(self.stages(source, name, points))

    def stages(
        self, source: "str | os.PathLike[str] | bytes", name: PurePosixPath, points: Sequence[FocusPoint] = (),
        suffix: str | None = None, check: Check = lambda path: None,
    ) -> Stages[Cropped]:  # fmt: skip
        """Crops one photo, with a stop after each stage.

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
        clock = _Clock()
        name = PurePosixPath(name.name) if self.request.flat else name
        with clock.lap("decode"):
            photo = self._open(source)
        held = photo.image.width * photo.image.height * len(photo.frames)
        yield held
        with clock.lap("predict"):
            pixels = self._pixels(photo)
            outputs = None if pixels is None else self.predictor.look(pixels)
        yield held
        with clock.lap("predict"):
            prediction = Prediction.read(*outputs) if outputs else self._predict_frames(photo)
        yield held
        with clock.lap("choose"):
            crops = self._choose(prediction, photo, points)
        yield held
        with clock.lap("encode"):
            suffix = suffix or output_suffix(photo, name.suffix, self.request.encoding)
            shown = [(found, self._cut(photo, pixels, found)) for found in crops]
            pictures, entries = self._thumbnails(photo, shown, name, suffix, check)
            heatmap = None
            if self.request.heatmap:
                boxes = [found.crop.box for found in crops if found.rank == 1]
                picture, heatmap = self._heatmap(_overlay(photo, prediction.density, boxes), name, suffix, check)
                pictures.append(picture)
        size = photo.size
        record = PhotoRecord(
            size.width, size.height, photo.format, self.model, tuple(entries), heatmap, clock.laps, bool(photo.damage)
        )
        distinct = _distinct(pictures, self.request.template)
        images = [frames[0].image for _, frames in shown]
        small = preview(photo.image, prediction.density, images) if self.request.preview else None
        return Cropped(record, distinct, small)

    def _open(self, source: "str | os.PathLike[str] | bytes") -> Photo:
        request, seen = self.request, self.predictor.card.input.longer_side
        return open_photo(
            source,
            shrink=lambda full: reduction(request, full, seen),
            limits=request.limits,
            frames=request.frames,
            keep=request.keep,
            strict=request.strict,
        )

    def _pixels(self, photo: Photo) -> np.ndarray | None:
        """What the model is to see; None of an animation."""
        return overview(photo.image, 4 * self.predictor.card.input.longer_side) if len(photo.frames) == 1 else None

    def _predict_frames(self, photo: Photo) -> Prediction:
        places = np.linspace(0, len(photo.frames) - 1, min(LOOKED_AT, len(photo.frames))).round().astype(int)
        frames = [photo.frames[place].image for place in places]
        return Prediction.mean([self.predictor.predict(to_array(frame)) for frame in frames])

    def _choose(self, seen: Prediction, photo: Photo, points: Sequence[FocusPoint]) -> list["_Found"]:
        focus = [point.within(photo.size) for point in points]
        fitted = [shape.of(photo.size) for shape in self.request.shapes]
        framing, weight = self.request.framing, self.request.focus_weight
        chosen = {
            ratio: choose(seen.density, photo.size, ratio, framing, focus, weight, seen.heads, seen.preference)
            for ratio in {each.ratio for each in fitted}
        }
        return [
            _Found(shape, fit, crop, rank)
            for shape, fit in zip(self.request.shapes, fitted, strict=True)
            for rank, crop in enumerate(chosen[fit.ratio], 1)
        ]

    def _cut(self, photo: Photo, pixels: np.ndarray | None, found: "_Found") -> list[Frame]:
        what = (photo.size, found.crop, found.fitted, self.request, pixels)
        return [Frame(thumbnail(frame.image, *what), frame.milliseconds) for frame in photo.frames]

    def _thumbnails(
        self, photo: Photo, shown: list[tuple["_Found", list[Frame]]], name: PurePosixPath, suffix: str, check: Check
    ) -> tuple[list[Picture], list[CropRecord]]:
        """The encoded thumbnails, and what the record says of each."""
        pictures, entries = [], []
        for found, frames in shown:
            size = Size(*frames[0].image.size)
            path = name.parent / file_name(self.request.template, name.name, found.shape, size, found.rank, suffix)
            check(path)
            content = encode(frames, output_format(suffix), self.request.encoding, photo)
            pictures.append(Picture(path, content))
            entries.append(_entry(found, _output(path, size, content)))
        return pictures, entries

    def _heatmap(
        self, image: Image.Image, name: PurePosixPath, suffix: str, check: Check
    ) -> tuple[Picture, PictureRecord]:
        """The encoded heat map, and what the record says of it."""
        fields = {"stem": name.stem, "suffix": name.suffix.removeprefix("."), "ext": suffix}
        path = name.parent / str(self.request.heatmap).format_map(fields)
        check(path)
        content = encode(image, output_format(suffix), self.request.encoding)
        return Picture(path, content), _output(path, Size(*image.size), content)


@dataclass(frozen=True)
class _Found:
    """A crop of the wanted shape; the best one has rank 1."""

    shape: Shape
    fitted: Fitted
    crop: Crop
    rank: int


class _Clock:
    """Milliseconds that each kind of lap took in all."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.laps[name] = round(self.laps.get(name, 0.0) + 1e3 * (perf_counter() - start), 2)


def _distinct(pictures: Sequence[Picture], template: str) -> tuple[Picture, ...]:
    """The pictures, those that are equal once.

    Raises:
        ConfigError: two that differ have one name.
    """
    named: dict[PurePosixPath, Picture] = {}
    for picture in pictures:
        if named.setdefault(picture.path, picture).content != picture.content:
            raise ConfigError(f"--template {template}: gives two thumbnails the name {picture.path}; add {{shape}}")
    return tuple(named.values())


def _overlay(photo: Photo, density: np.ndarray, boxes: Sequence[Box]) -> Image.Image:
    """The heat map; the boxes are in pixels of the photo in full."""
    image = overview(photo.image, 2 * LONGER_SIDE)
    share = image.shape[1] / photo.size.width
    if share != 1:
        boxes = [Box(*(round(side * share) for side in (b.left, b.top, b.width, b.height))) for b in boxes]
    return overlay(image, density, boxes)


def _entry(found: _Found, output: PictureRecord) -> CropRecord:
    crop = found.crop
    return CropRecord(
        ratio=str(found.shape.ratio),
        rank=found.rank,
        box=crop.box,
        score=round(crop.score, 6),
        center_score=round(crop.center_score, 6),
        confidence=round(crop.confidence, 6),
        centered=crop.centered,
        output=output,
        cut=round(crop.cut, 6),
        center_cut=round(crop.center_cut, 6),
        cut_heads=None if crop.cut_heads is None else round(crop.cut_heads, 6),
        center_cut_heads=None if crop.center_cut_heads is None else round(crop.center_cut_heads, 6),
    )


def _output(path: PurePosixPath, size: Size, content: bytes) -> PictureRecord:
    return PictureRecord(str(path), size.width, size.height, len(content), hashlib.sha256(content).hexdigest())
