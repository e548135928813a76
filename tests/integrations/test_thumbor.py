"""A real thumbor serves crops of ours: `python tests/integrations/environment.py thumbor` makes one and runs this."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gaze
from gaze import Box, Size
from tests.benchmarks.thumbor_server import FILE_STORAGE, GAZE, Server, serving

if find_spec("thumbor") is None:
    pytest.skip("thumbor is not installed (tests/integrations/environment.py thumbor)", allow_module_level=True)

DOG = Path(__file__).parents[2] / "docs/dog.jpg"
SHAPES = [(300, 300), (400, 225), (225, 400), (300, 301), (90, 400)]
LEFT = """
from thumbor.detectors import BaseDetector
from thumbor.point import FocalPoint

class Detector(BaseDetector):
    async def detect(self):
        self.context.request.focal_points.append(FocalPoint(0, 0))
"""
"""A detector that finds what it seeks at the top left of every photograph."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A dog at the right edge, in the modes and formats that photographs come in, and one that shows nothing."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "dog.jpg").write_bytes(DOG.read_bytes())
    with Image.open(DOG) as dog:
        for mode, name in [("L", "grey.png"), ("RGBA", "alpha.png"), ("P", "palette.png"), ("CMYK", "print.jpg")]:
            dog.convert(mode).save(folder / name)
        exif = Image.Exif()
        exif[0x0112] = 6
        dog.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif)
        frames = [dog.resize((300, 200)).point(lambda v, k=k: v // k) for k in (1, 2)]
        frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (600, 400), (200, 200, 200)).save(folder / "nothing.png")
    return folder


@pytest.fixture(scope="module")
def server(photos, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "left.py").write_text(LEFT)
    with serving(folder, photos, DETECTORS=[GAZE, "left"], ENGINE_THREADPOOL_SIZE=4) as running:
        yield running


def size_of(path: Path) -> Size:
    with Image.open(path) as image:
        return Size(*image.size)


def apart(one: Box, other: Box) -> int:
    """By how many pixels two boxes differ at most."""
    return max(abs(a - b) for a, b in zip(one.bbox, other.bbox, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_smart_crop_is_the_box_of_gaze(server: Server, shape: tuple[int, int]):
    served = server.box(f"{shape[0]}x{shape[1]}/smart/dog.jpg", size_of(DOG))
    assert apart(served, gaze.crop(DOG, shape).box) <= 1


def test_the_picture_that_is_served_shows_it(server: Server):
    with Image.open(BytesIO(server.get("300x300/smart/dog.jpg"))) as picture, Image.open(DOG) as dog:
        served = np.asarray(picture, int)
        cut = dog.resize((300, 300), Image.Resampling.LANCZOS, gaze.crop(DOG).box.bbox)
    assert np.abs(served - np.asarray(cut, int)).mean() < 4


def test_a_crop_that_is_not_smart_is_thumbor_s(server: Server):
    size = size_of(DOG)
    box = server.box("300x300/dog.jpg", size)
    assert abs(box.left + box.right - size.width) <= 1


@pytest.mark.parametrize("name", ["grey.png", "alpha.png", "palette.png", "print.jpg"])
def test_photographs_of_every_mode_are_cropped(server: Server, photos: Path, name: str):
    size = size_of(photos / name)
    box = server.box(f"200x400/smart/{name}", size)
    with Image.open(photos / name) as image:
        assert apart(box, gaze.crop(image, (200, 400)).box) <= 2
    assert Image.open(BytesIO(server.get(f"200x400/smart/{name}"))).size == (200, 400)


def test_one_side_or_none_of_a_size_cuts_nothing(server: Server):
    size = size_of(DOG)
    assert [server.box(f"{wanted}/smart/dog.jpg", size).size for wanted in ("300x0", "0x300", "fit-in/300x300")] == (
        [size] * 3
    )


def test_what_was_cut_by_hand_is_cropped_within(server: Server):
    picture = Image.open(BytesIO(server.get("10x10:310x210/150x150/smart/dog.jpg")))
    assert picture.size == (150, 150)


def test_a_point_in_the_address_counts_more(server: Server):
    assert server.box("225x400/smart/filters:focal(0x0:80x80)/dog.jpg", size_of(DOG)).left == 0


def test_a_photograph_that_says_little_is_left_to_the_next_detector(server: Server):
    assert server.box("200x400/smart/nothing.png", Size(600, 400)).left == 0


def test_many_at_a_time_get_the_same(server: Server):
    size = size_of(DOG)
    with ThreadPoolExecutor(8) as pool:
        boxes = list(pool.map(lambda _: server.box("225x400/smart/dog.jpg", size), range(16)))
    assert len(set(boxes)) == 1


def test_turned_photographs_and_animations(photos: Path, tmp_path: Path):
    with serving(tmp_path / "server", photos, DETECTORS=[GAZE], RESPECT_ORIENTATION=True) as server:
        with Image.open(BytesIO(server.get("300x300/smart/turned.jpg"))) as turned:
            picture = np.asarray(turned, int)
        with Image.open(BytesIO(server.get("300x300/smart/dog.jpg"))) as upright:
            assert np.abs(picture - np.asarray(upright, int)).mean() < 8
        moving = Image.open(BytesIO(server.get("150x150/smart/moving.gif")))
        assert (moving.n_frames, moving.size) == (2, (150, 150))
        with Image.open(photos / "moving.gif") as first:
            ours = gaze.crop(first.convert("RGB")).box
        assert apart(server.box("150x150/smart/moving.gif", Size(*first.size)), ours) <= 1


def test_where_thumbor_keeps_points_the_crops_do_not_hang_on_what_was_asked_first(photos: Path, tmp_path: Path):
    size, boxes = size_of(DOG), []
    for order in (SHAPES, SHAPES[::-1]):
        folder = tmp_path / f"{order[0]}"
        with serving(folder, photos, DETECTORS=[GAZE], STORAGE=FILE_STORAGE) as server:
            boxes.append({shape: server.box(f"{shape[0]}x{shape[1]}/smart/dog.jpg", size) for shape in order})
        assert list((folder / "stored").rglob("*.detectors.txt"))
    assert boxes[0] == boxes[1]
    square, ours = boxes[0][300, 300], gaze.crop(DOG)
    assert abs(square.left - ours.box.left) < 0.05 * size.width < abs(square.left - (size.width - square.width) / 2)


def test_a_model_that_is_missing_breaks_no_request_and_is_told_once(photos: Path, tmp_path: Path):
    (tmp_path / "left.py").write_text(LEFT)
    with serving(tmp_path, photos, DETECTORS=[GAZE, "left"], GAZE_MODEL="nowhere.onnx") as server:
        boxes = [server.box("225x400/smart/dog.jpg", size_of(DOG)) for _ in range(3)]
        lines = [line for line in server.log.read_text().splitlines() if "gaze" in line]
    assert [box.left for box in boxes] == [0, 0, 0]
    assert len(lines) == 1
    assert "thumbor goes on without gaze: " in lines[0]
    assert "nowhere.onnx" in lines[0]
