"""Thumbnails of a real upload in a real project: `python tests/integrations/environment.py django FOLDER` runs it all.

The processor itself needs no Django, so its own tests run everywhere.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gaze
from gaze.integrations import hosting
from gaze.integrations.easy_thumbnails import crop_to_gaze

ROOT = Path(__file__).parents[2]
DOG = ROOT / "docs/dog.jpg"
PROJECT = Path(__file__).parent / "easy_thumbnails_project.py"
needs_django = pytest.mark.skipif(
    find_spec("easy_thumbnails") is None,
    reason="easy-thumbnails is not installed (tests/integrations/environment.py django)",
)


@pytest.fixture
def dog() -> Image.Image:
    with Image.open(DOG) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("size", [(300, 300), (90, 400), (400, 225)])
def test_the_box_of_gaze_is_cut_out_and_not_scaled(dog: Image.Image, size: tuple[int, int]):
    cut = crop_to_gaze(dog, size, crop="gaze", quality=85)
    np.testing.assert_array_equal(cut, dog.crop(gaze.crop(dog, size).box.bbox))


@pytest.mark.parametrize("crop", [False, True, "smart", "scale", "0,10", None])
def test_any_other_crop_is_left_to_other_processors(dog: Image.Image, crop: Any):
    assert crop_to_gaze(dog, (300, 300), crop=crop) is dog


@pytest.mark.parametrize("size", [(300, 0), (0, 300)])
def test_one_side_alone_cuts_nothing(dog: Image.Image, size: tuple[int, int]):
    assert crop_to_gaze(dog, size, crop="gaze") is dog


def test_a_photograph_that_is_too_small_keeps_its_shorter_side_unless_it_may_grow(dog: Image.Image):
    small = dog.resize((400, 240))
    assert crop_to_gaze(small, (300, 300), crop="gaze").size == (300, 240)
    assert crop_to_gaze(small, (300, 300), crop="gaze", upscale=True).size == (240, 240)


def test_a_model_of_the_alias(dog: Image.Image):
    box = gaze.crop(dog, "9:16", model="quality").box
    assert box != gaze.crop(dog, "9:16").box
    np.testing.assert_array_equal(crop_to_gaze(dog, (90, 160), crop="gaze", gaze_model="quality"), dog.crop(box.bbox))


def test_what_gaze_cannot_do_is_told_once_and_breaks_nothing(dog: Image.Image, caplog: pytest.LogCaptureFixture):
    hosting._warn.cache_clear()
    thumbnails = [crop_to_gaze(dog, (300, 300), crop="gaze", gaze_model="nowhere.onnx") for _ in range(3)]
    drawing: Any = object()  # easy-thumbnails has another class for SVG
    assert crop_to_gaze(drawing, (300, 300), crop="gaze") is drawing
    assert thumbnails == [dog] * 3
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert all(line.startswith("easy-thumbnails goes on without gaze: ") and "\n" not in line for line in told)
    assert "nowhere.onnx" in told[0]


def made(folder: Path, photo: Path) -> tuple[dict[str, Image.Image], str]:
    """The thumbnails of each alias after a photograph was uploaded to a project, and what was logged."""
    command = [sys.executable, str(PROJECT), str(folder / "media"), str(photo)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return {alias: opened(Path(path)) for alias, path in json.loads(result.stdout).items()}, result.stderr


def opened(path: Path) -> Image.Image:
    return Image.open(BytesIO(path.read_bytes()))


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one.convert("RGB"), int) - np.asarray(other.convert("RGB"), int)).mean())


@needs_django
def test_thumbnails_of_an_upload_show_our_box(dog: Image.Image, tmp_path: Path):
    thumbnails, log = made(tmp_path, DOG)
    for alias, size in (("card", (300, 300)), ("tall", (90, 160))):
        expected = dog.resize(size, Image.Resampling.LANCZOS, gaze.crop(dog, size).box.bbox)
        assert thumbnails[alias].size == size
        assert difference(thumbnails[alias], expected) < 4
    central = dog.resize((300, 300), Image.Resampling.LANCZOS, (256, 0, 1024, 768))
    assert difference(thumbnails["middle"], central) < 4
    assert difference(thumbnails["broken"], central) < 4
    assert thumbnails["fitted"].size == (300, 180)
    assert log.count("easy-thumbnails goes on without gaze: ") == log.count("\n") == 1


@needs_django
def test_turned_photographs_and_animations_keep_what_they_are(dog: Image.Image, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    dog.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    frames = [dog.resize((300, 180)).point(lambda value, k=k: value // k) for k in (1, 2)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    for name in ("turned", "moving"):
        (tmp_path / name).mkdir()
    turned, _ = made(tmp_path / "turned", tmp_path / "turned.jpg")
    expected = dog.resize((300, 300), Image.Resampling.LANCZOS, gaze.crop(dog).box.bbox)
    assert difference(turned["card"], expected) < 8
    moving, log = made(tmp_path / "moving", tmp_path / "moving.gif")
    assert (moving["tall"].size, getattr(moving["tall"], "n_frames", 1)) == ((90, 160), 2)
    assert log.count("goes on without gaze") == 1  # of the broken alias
