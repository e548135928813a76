"""One photo: predict, choose, cut, write, and say what was done."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gaze.crop.plan import Task
from gaze.errors import ImageError
from gaze.geometry import AspectRatio, Size
from gaze.heatmap import overlay
from gaze.images import Photo, cut, encode, open_photo, output_format, output_suffix, to_array, write_atomic
from gaze.predictor import Predictor
from gaze.thumbnails import Crop, choose


@dataclass(frozen=True)
class Request:
    """What the user wants of every photo."""

    ratios: tuple[AspectRatio, ...]
    size: Size | None = None
    """Thumbnails are scaled down to fit into this."""
    heatmap: bool = False
    overwrite: bool = False


class Worker:
    """Crops photos one after the other with one model."""

    def __init__(self, request: Request, predictor: Predictor):
        self._request = request
        self._predictor = predictor
        self._written: set[Path] = set()

    def crop(self, task: Task) -> dict[str, Any]:
        """Writes the thumbnails of one photo.

        Returns:
            What was done, ready for JSON: boxes in pixels of the upright photo, scores from 0 to 1, paths.

        Raises:
            ImageError: the photo cannot be read or a picture not be written; nothing that existed is lost.
        """
        photo = open_photo(task.source)
        paths, heatmap_path = self._paths(task, photo)
        pixels = to_array(photo.image)
        density = self._predictor.density(pixels)
        crops = [choose(density, photo.size, ratio)[0] for ratio in self._request.ratios]
        record = {
            "input": str(task.source),
            **asdict(photo.size),
            "model": {"name": self._predictor.card.name, "version": self._predictor.card.version},
            "crops": [self._write_crop(photo, crop, path) for crop, path in zip(crops, paths, strict=True)],
        }
        if heatmap_path:
            record["heatmap"] = self._write_heatmap(pixels, density, crops, heatmap_path)
        return record

    def _paths(self, task: Task, photo: Photo) -> tuple[list[Path], Path | None]:
        """Where the pictures go; refuses before any work is done."""
        suffix = output_suffix(photo, (task.file or task.source).suffix)
        if task.file:
            paths = [task.file]
            heatmap = task.file.with_name(f"{task.file.stem}_heatmap{task.file.suffix}")
        else:
            paths = [task.path(self._label(ratio), suffix) for ratio in self._request.ratios]
            heatmap = task.path("heatmap", suffix)
        wanted = [*paths, heatmap] if self._request.heatmap else paths
        for path in wanted:
            self._check(task.source, path)
        return paths, heatmap if self._request.heatmap else None

    def _check(self, source: Path, path: Path) -> None:
        if path in self._written:
            raise ImageError(f"{source}: {path} was already written for another photo of this name")
        if path.exists() and path.samefile(source):
            raise ImageError(f"{source}: the photo itself is never overwritten")
        if path.exists() and not self._request.overwrite:
            raise ImageError(f"{source}: {path} exists already; --overwrite replaces it")

    def _label(self, ratio: AspectRatio) -> str:
        size = self._request.size
        if size and ratio == AspectRatio(size.width, size.height):
            return str(size)
        return str(ratio).replace(":", "x")

    def _write_crop(self, photo: Photo, crop: Crop, path: Path) -> dict[str, Any]:
        thumbnail = cut(photo.image, photo.size, crop.box, _fitted(crop, self._request.size))
        self._write(path, encode(thumbnail, output_format(path.suffix)))
        return {
            "ratio": str(crop.ratio),
            "box": asdict(crop.box),
            "score": round(crop.score, 6),
            "center_score": round(crop.center_score, 6),
            "output": {"path": str(path), "width": thumbnail.width, "height": thumbnail.height},
        }

    def _write_heatmap(
        self, pixels: np.ndarray, density: np.ndarray, crops: Sequence[Crop], path: Path
    ) -> dict[str, Any]:
        picture = overlay(pixels, density, [crop.box for crop in crops])
        self._write(path, encode(picture, output_format(path.suffix)))
        return {"path": str(path), "width": picture.width, "height": picture.height}

    def _write(self, path: Path, content: bytes) -> None:
        write_atomic(path, content, self._request.overwrite)
        self._written.add(path)


def _fitted(crop: Crop, limit: Size | None) -> Size:
    """The size of a thumbnail: that of its box, or what of its ratio fits into `limit` if that is smaller."""
    if limit is None:
        return crop.box.size
    fitted = crop.ratio.largest(limit)
    smaller = fitted.width < crop.box.width and fitted.height < crop.box.height
    return fitted if smaller else crop.box.size
