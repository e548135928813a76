"""Uploads to a real Wagtail: `python tests/integrations/environment.py wagtail FOLDER` makes one and runs this."""

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
from gaze import Size
from gaze.integrations.focal_areas import focal_areas
from gaze.integrations.hosting import look

if find_spec("wagtail") is None:
    pytest.skip("Wagtail is not installed (tests/integrations/environment.py wagtail)", allow_module_level=True)

ROOT = Path(__file__).parents[2]
DOG = ROOT / "docs/dog.jpg"
PROJECT = Path(__file__).parent / "wagtail_project.py"


def uploaded(media: Path, photos: list[Path], model: str = "") -> tuple[dict[str, dict[str, Any]], str]:
    """What became of each photograph, and what was logged."""
    command = [sys.executable, str(PROJECT), str(media), model, *map(str, photos)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, dict[str, Any]]:
    """Of a photograph as it is, grey, turned by its EXIF and moving, and of one that shows nothing."""
    folder = tmp_path_factory.mktemp("photos")
    with Image.open(DOG) as dog:
        dog.convert("L").save(folder / "grey.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        dog.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=95)
        frames = [dog.resize((600, 360)).point(lambda value, k=k: value // k) for k in (1, 2)]
        frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (600, 400), (200, 200, 200)).save(folder / "nothing.png")
    results, log = uploaded(tmp_path_factory.mktemp("media"), [DOG, *sorted(folder.iterdir())])
    assert "gaze" not in log
    return results


def test_an_upload_gets_a_focal_point_where_people_look(found: dict[str, dict[str, Any]]):
    with Image.open(DOG) as dog:
        size, areas = Size(*dog.size), focal_areas(look(dog), Size(*dog.size))
    x, y = np.mean([(area.x, area.y) for area in areas], axis=0)
    np.testing.assert_allclose(found["dog.jpg"]["point"], [x, y, size.width / 2, size.height / 2], atol=1)
    assert x > 0.6 * size.width


def test_renditions_are_crops_near_ours(found: dict[str, dict[str, Any]]):
    with Image.open(DOG) as dog:
        for path in found["dog.jpg"]["renditions"]:
            with Image.open(path) as picture:
                rendition = np.asarray(picture.convert("L"), float).ravel()
                ours = gaze.crop(dog, picture.size).box
                from_center = ours.left - (dog.width - ours.width) // 2
                crops = {
                    left: np.asarray(
                        dog.convert("L").resize(picture.size, box=(left, 0, left + ours.width, dog.height)), float
                    ).ravel()
                    for left in range(0, dog.width - ours.width + 1, 8)
                }
            shown = max(crops, key=lambda left: np.corrcoef(rendition, crops[left])[0, 1])
            assert abs(shown - ours.left) < from_center


def test_photographs_of_every_kind_get_one_and_turned_ones_that_of_the_upright(found: dict[str, dict[str, Any]]):
    np.testing.assert_allclose(found["turned.jpg"]["point"], found["dog.jpg"]["point"], atol=8)
    np.testing.assert_allclose(found["grey.png"]["point"][2:], found["dog.jpg"]["point"][2:], atol=1)
    x, _, width, height = found["moving.gif"]["point"]
    assert x > 300
    np.testing.assert_allclose([width, height], [300, 180], atol=1)


def test_what_shows_nothing_gets_none_and_what_a_person_chose_stays(found: dict[str, dict[str, Any]]):
    assert found["nothing.png"]["point"] == [None] * 4
    assert found["by hand"]["point"] == [7, 8, 9, 10]


def test_a_model_that_is_missing_breaks_no_upload_and_is_told_once(tmp_path: Path):
    (tmp_path / "again.jpg").write_bytes(DOG.read_bytes())
    results, log = uploaded(tmp_path / "media", [DOG, tmp_path / "again.jpg"], "nowhere.onnx")
    assert Image.open(BytesIO(Path(results["dog.jpg"]["renditions"][0]).read_bytes())).size == (300, 300)
    assert None not in results["dog.jpg"]["point"]  # of Wagtail's own features
    assert log.count("Wagtail goes on without gaze: ") == log.count("nowhere.onnx") == log.count("\n") == 1
