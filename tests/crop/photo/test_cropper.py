"""One photo, in memory: what becomes of its thumbnails where they meet."""

import io
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from gaze.crop.photo.cropper import Cropped, Cropper
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import shapes
from gaze.errors import ConfigError, ImageError
from gaze.geometry import AspectRatio, Bounds
from gaze.predictor import Predictor


def photo(kind: str = "JPEG", size: tuple[int, int] = (300, 225)) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def crop(request: Request, model: Path, content: bytes) -> Cropped:
    return Cropper(request, Predictor(model)).crop(content, PurePosixPath("a.jpg"))


def test_two_sizes_that_come_out_equal_are_one_file(bright_model: Path):
    wanted = Request(shapes([], [Bounds(400, 300), Bounds(800, 600)]), template="{stem}_{size}{ext}")
    cropped = crop(wanted, bright_model, photo())
    assert [str(picture.path) for picture in cropped.pictures] == ["a_300x225.jpg"]
    assert [crop.output.path for crop in cropped.record.crops] == ["a_300x225.jpg"] * 2
    assert len(cropped.record.pictures) == 1


def test_two_thumbnails_that_differ_never_share_a_name(bright_model: Path):
    wide = Request(shapes([AspectRatio(4, 3), AspectRatio(3, 4)], [Bounds(9, 9)]), template="{stem}{ext}")
    with pytest.raises(ConfigError, match=r"gives two thumbnails the name a\.jpg; add \{shape\}"):
        crop(wide, bright_model, photo())


def test_the_record_says_that_a_photo_is_damaged(bright_model: Path):
    wanted = Request(shapes([], []))
    assert crop(wanted, bright_model, photo()).record.damaged is False
    assert "damaged" not in crop(wanted, bright_model, photo()).record.to_json()
    damaged = crop(wanted, bright_model, photo()[:-2]).record
    assert damaged.to_json()["damaged"] is True
    with pytest.raises(ImageError, match="the end is missing"):
        crop(Request(shapes([], []), strict=True), bright_model, photo()[:-2])
