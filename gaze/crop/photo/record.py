"""What is told of a photo: a line of the manifest, of `--json` and of the page; its fields stand in the order of JSON.

Boxes are in pixels of the upright photo, scores from 0 to 1; paths are relative to the output folder, with forward
slashes, unless photos were named one by one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from gaze.geometry import Box


class Stamp(NamedTuple):
    """Tells whether a file is still the same."""

    bytes: int
    """Its size; -1 where it cannot be read."""
    mtime_ns: int
    """When it was changed, in nanoseconds; likewise."""


@dataclass(frozen=True)
class ModelRecord:
    """The model that predicted."""

    name: str
    version: str


@dataclass(frozen=True)
class PictureRecord:
    """A picture that was written: where, and its size in pixels."""

    path: str
    width: int
    height: int
    bytes: int | None = None
    """Of the file as it was written, so that a change shows; None in manifests of before."""
    sha256: str | None = None
    """Likewise, in hexadecimal digits."""

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; what is None is absent."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PictureRecord":
        """Reads what `to_json` gave."""
        path = _text(values["path"])
        return cls(path, values["width"], values["height"], values.get("bytes"), values.get("sha256"))


@dataclass(frozen=True)
class CropRecord:
    """A box that was cut out; see `gaze.Crop`."""

    ratio: str
    rank: int
    """1 is the best of its ratio."""
    box: Box
    score: float
    center_score: float
    confidence: float
    centered: bool
    output: PictureRecord
    cut: float | None = None
    """None, like `center_cut`, where the version that made the record did not tell."""
    center_cut: float | None = None
    cut_heads: float | None = None
    """None, like `center_cut_heads`, where the model does not tell where heads are."""
    center_cut_heads: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; what is unknown is absent."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return {**known, "box": dict(vars(self.box)), "output": self.output.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "CropRecord":
        """Reads what `to_json` gave."""
        return cls(
            ratio=values["ratio"],
            rank=values["rank"],
            box=Box(**values["box"]),
            score=values["score"],
            center_score=values["center_score"],
            confidence=values["confidence"],
            centered=values["centered"],
            output=PictureRecord.from_json(values["output"]),
            cut=values.get("cut"),
            center_cut=values.get("center_cut"),
            cut_heads=values.get("cut_heads"),
            center_cut_heads=values.get("center_cut_heads"),
        )


@dataclass(frozen=True)
class PhotoRecord:
    """What was seen of a photo and made of it."""

    width: int
    height: int
    format: str
    model: ModelRecord
    crops: tuple[CropRecord, ...]
    heatmap: PictureRecord | None
    milliseconds: Mapping[str, float]
    """What `decode`, `predict`, `choose` and `encode` took."""
    damaged: bool = False
    """Whether the file is damaged, though nearly all of it could be decoded."""

    @property
    def pictures(self) -> list[PictureRecord]:
        """All that were written; two crops that came out equal may be one."""
        every = [*(crop.output for crop in self.crops), *filter(None, [self.heatmap])]
        return list({picture.path: picture for picture in every}.values())

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; `heatmap` is absent where there is none, `damaged` where it is not."""
        values = {**vars(self), "model": dict(vars(self.model)), "crops": [crop.to_json() for crop in self.crops]}
        if not self.damaged:
            del values["damaged"]
        if self.heatmap is None:
            del values["heatmap"]
        else:
            values["heatmap"] = self.heatmap.to_json()
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PhotoRecord":
        """Reads what `to_json` gave."""
        return cls(
            width=values["width"],
            height=values["height"],
            format=values["format"],
            model=ModelRecord(values["model"]["name"], values["model"]["version"]),
            crops=tuple(map(CropRecord.from_json, values["crops"])),
            heatmap=PictureRecord.from_json(values["heatmap"]) if "heatmap" in values else None,
            milliseconds=values["milliseconds"],
            damaged=values.get("damaged", False),
        )


@dataclass(frozen=True)
class CroppedRecord:
    """A photo that was cropped."""

    input: str
    """Its path, in a run over a folder relative to that."""
    stamp: Stamp
    request: str
    """The fingerprint of what was wanted."""
    photo: PhotoRecord
    asked: str | None = None
    """The fingerprint of what was asked for, whatever the defaults were; None in manifests of before."""

    def within(self, photos: str, thumbnails: str) -> "CroppedRecord":
        """The record with whole paths: the photo's folder, and that of the thumbnails, before those that it has."""

        def at(picture: PictureRecord) -> PictureRecord:
            return replace(picture, path=os.path.join(thumbnails, picture.path))

        made = self.photo
        crops = tuple(replace(crop, output=at(crop.output)) for crop in made.crops)
        whole = replace(made, crops=crops, heatmap=made.heatmap and at(made.heatmap))
        return replace(self, input=os.path.join(photos, self.input), photo=whole)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        asked = {"asked": self.asked} if self.asked is not None else {}
        return {"input": self.input, **self.stamp._asdict(), "request": self.request, **asked, **self.photo.to_json()}


@dataclass(frozen=True)
class FailedRecord:
    """A photo, or a folder, of which nothing was made."""

    input: str
    error: str
    """Why, in one line."""
    stamp: Stamp | None = None
    """None where it is no photo of a run over a folder; then `request` too."""
    request: str | None = None

    def within(self, photos: str, thumbnails: str) -> "FailedRecord":
        """See `CroppedRecord.within`."""
        return replace(self, input=os.path.join(photos, self.input))

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; what is None is absent."""
        of_a_run = {**self.stamp._asdict(), "request": self.request} if self.stamp else {}
        return {"input": self.input, **of_a_run, "error": self.error}


Record: TypeAlias = CroppedRecord | FailedRecord


def parse_record(text: bytes | str) -> Record | None:
    """Reads the JSON of a record; None where it is not whole, as of a line that a crash cut short."""
    try:
        values = json.loads(text)
        name = _text(values["input"])
        stamp = Stamp(values["bytes"], values["mtime_ns"]) if "bytes" in values else None
        if "error" in values:
            return FailedRecord(name, _text(values["error"]), stamp, values.get("request"))
        if stamp is None:
            return None
        photo = PhotoRecord.from_json(values)
        return CroppedRecord(name, stamp, _text(values["request"]), photo, values.get("asked"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("expected text")
    return value
