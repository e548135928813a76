"""One photo, in memory: what becomes of its thumbnails where they meet."""

import io
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from gaze.crop.photo.cropper import Cropped, Cropper
from gaze.crop.photo.record import PhotoRecord
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import shapes
from gaze.crop.photo.stages import side_by_side
from gaze.errors import ConfigError, ImageError
from gaze.geometry import AspectRatio, Bounds
from gaze.predictor import Predictor


def photo(kind: str = "JPEG", size: tuple[int, int] = (300, 225)) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def animation(count: int) -> bytes:
    frames = [Image.new("RGB", (40, 30), (number, 0, 0)) for number in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def crop(request: Request, model: Path, content: bytes) -> Cropped:
    return Cropper(request, Predictor(model)).crop(content, PurePosixPath("a.jpg"))


def test_photos_side_by_side_are_what_each_is_alone(bright_model: Path):
    cropper = Cropper(
        Request(shapes([AspectRatio(1, 1)], [Bounds(50, 50)]), heatmap="{stem}_heat{ext}"), Predictor(bright_model)
    )
    names = [PurePosixPath(name) for name in ("a.jpg", "b.png", "c.gif", "d.jpg")]
    contents = [photo(), photo("PNG", (90, 160)), animation(3), b"no image"]
    alone = []
    for content, name in zip(contents, names, strict=True):
        with suppress(ImageError):
            alone.append(cropper.crop(content, name))
    *beside, broken = side_by_side(cropper.stages(content, name) for content, name in zip(contents, names, strict=True))
    assert isinstance(broken, ImageError)
    for one, other in zip(alone, beside, strict=True):
        assert isinstance(other, Cropped)
        assert one.pictures == other.pictures
        assert replace(one.record, milliseconds={}) == replace(other.record, milliseconds={})
        assert list(other.record.milliseconds) == ["decode", "predict", "choose", "encode"]


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


def test_the_record_says_what_gaze_is_on_cut_heads_where_it_is_known(bright_model: Path, head_model: Path):
    request = Request(shapes([AspectRatio(1, 1)], []))
    pixels = np.full((240, 320, 3), 10, np.uint8)
    pixels[80:160, 10:310] = 250
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    known, unknown = (crop(request, model, content.getvalue()).record for model in (head_model, bright_model))
    told, untold = (record.to_json()["crops"][0] for record in (known, unknown))
    assert 0 <= told["cut_heads"] <= 0.2
    assert told["cut_heads"] <= told["center_cut_heads"] + 1e-6
    assert not {"cut_heads", "center_cut_heads"} & untold.keys()
    assert PhotoRecord.from_json(known.to_json()) == known


def test_heads_of_all_frames_that_are_looked_at_count(head_model: Path):
    frames = [Image.new("RGB", (320, 240), (value,) * 3) for value in (250, 20, 250)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=100)
    request = Request(shapes([AspectRatio(1, 1)], []), frames=None)
    (told,) = crop(request, head_model, content.getvalue()).record.crops
    assert told.cut_heads is not None
