import numpy as np
import pytest
from pictures import corners, stored
from PIL import Image

from gaze.errors import ImageError
from gaze.geometry import Box, Size
from gaze.images import cut, open_photo, overview, to_array

FULL = Size(48, 32)


def test_cut_and_resize():
    assert cut(corners(), FULL, Box(24, 0, 24, 16), Size(24, 16)).getcolors() == [(24 * 16, (30, 200, 30))]
    small = cut(corners(), FULL, Box(24, 0, 24, 16), Size(12, 8))
    assert small.size == (12, 8)
    assert small.getcolors() == [(96, (30, 200, 30))]


def test_nothing_is_scaled_that_need_not_be():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))
    expected = np.asarray(noise)[5:25, 3:40]
    assert np.array_equal(np.asarray(cut(noise, FULL, Box(3, 5, 37, 20), Size(37, 20))), expected)
    half = cut(noise, Size(96, 64), Box(6, 10, 74, 40), Size(37, 20))
    assert np.array_equal(np.asarray(half), expected)


@pytest.mark.parametrize("size", [Size(7, 5), Size(24, 16), Size(100, 90)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_nothing_beyond_the_box_shows(mode: str, size: Size):
    image = Image.new(mode, (480, 320), "white")
    image.paste(Image.new(mode, (100, 80), "black"), (37, 51))
    colors = cut(image, Size(480, 320), Box(37, 51, 100, 80), size).convert("L").getcolors()
    assert colors == [(size.pixels, 0)]


@pytest.mark.parametrize("size", [Size(7, 5), Size(50, 40), Size(60, 53), Size(100, 80)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pixels_that_are_at_hand_change_nothing(mode: str, size: Size):
    noise = np.random.default_rng(0).integers(0, 256, (160, 240, 4), np.uint8)
    image, full = Image.fromarray(noise, "RGBA").convert(mode), Size(480, 320)
    for box in (Box(36, 50, 200, 160), Box(37, 51, 200, 160)):
        expected = np.asarray(cut(image, full, box, size))
        for pixels in (to_array(image), to_array(image)[::2, ::2]):
            assert np.array_equal(np.asarray(cut(image, full, box, size, pixels)), expected)


@pytest.mark.parametrize("full", [(1601, 1203), (640, 480), (333, 1000)])
def test_cut_from_a_reduced_image_looks_like_one_from_the_original(full: tuple[int, int]):
    y, x = np.mgrid[0 : full[1], 0 : full[0]]
    waves = 127 + 60 * np.sin(x / 40) + 60 * np.cos(y / 55)
    file = stored(Image.fromarray(waves.astype(np.uint8)), "JPEG", quality=95)
    whole, reduced = open_photo(file), open_photo(file, shrink=lambda size: 8.5)
    assert reduced.size == whole.size == Size(*full)
    assert reduced.image.size == (-(-full[0] // 8), -(-full[1] // 8))
    box = Box(full[0] // 3, full[1] // 5, full[0] - full[0] // 3, full[1] // 2)
    size = Size(box.width // 10, box.height // 10)
    a, b = (np.asarray(cut(photo.image, photo.size, box, size), dtype=float) for photo in (whole, reduced))
    assert np.abs(a - b).mean() < 1
    assert np.abs(a - b).max() < 8


@pytest.mark.parametrize("side", [20_000, 1])
def test_lines_of_one_pixel(side: int):
    size = Size(side, 20_001 - side)
    line = cut(Image.new("RGB", (size.width, size.height), "red"), size, Box(0, 0, size.width, size.height), Size(9, 4))
    assert line.getcolors() == [(36, (255, 0, 0))]


@pytest.mark.parametrize("box", [Box(-1, 0, 5, 5), Box(0, 30, 5, 3), Box(44, 0, 5, 5)])
def test_box_beyond_the_image_is_an_error(box: Box):
    with pytest.raises(ImageError, match="reaches beyond the image of 48x32"):
        cut(corners(), FULL, box, Size(5, 5))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("box", [Box(0, 0, 640, 480), Box(13, 7, 600, 433)])
def test_a_large_part_is_cut_in_bands(mode: str, box: Box, monkeypatch: pytest.MonkeyPatch):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 4), np.uint8), "RGBA")
    image, size = noise.convert(mode), Size(40, 30)
    whole = np.asarray(cut(image, Size(640, 480), box, size)).astype(int)
    monkeypatch.setattr("gaze.images.cutting.LARGE", 2**14)
    banded = np.asarray(cut(image, Size(640, 480), box, size))
    assert np.abs(banded - whole).max() <= (4 if mode == "RGBA" else 1)  # alpha is divided out twice
    assert np.abs(banded - whole).mean() < 0.1


def test_an_overview_of_a_large_image_is_small(monkeypatch: pytest.MonkeyPatch):
    image = Image.linear_gradient("L").resize((800, 600))
    assert np.array_equal(overview(image, 100), to_array(image))
    monkeypatch.setattr("gaze.images.arrays.LARGE", 800 * 600 - 1)
    seen = overview(image, 100)
    assert seen.shape == (75, 100, 3)
    assert np.abs(seen[:, :, 0] - np.asarray(image.resize((100, 75), Image.Resampling.BOX)).astype(int)).max() <= 1


def errors(found: Image.Image, expected: Image.Image) -> float:
    """The root of the mean square, in levels."""
    return float(np.sqrt(np.mean((np.asarray(found, float) - np.asarray(expected, float)) ** 2)))


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """Of 300x200 pixels, waves and the edges of rings."""
    y, x = np.mgrid[0:200, 0:300]
    waves = [127 + 60 * np.sin((x + 2 * y) / (8 + k)) + 50 * (np.hypot(x - 150, y - 90) % 40 > 20) for k in range(3)]
    return Image.fromarray(np.stack(waves, -1).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [Size(200, 130), Size(133, 80), Size(105, 70)])
@pytest.mark.parametrize("left", [0, 7])
def test_what_is_scaled_down_is_nearer_to_lanczos_than_pillows_bicubic(
    scene: Image.Image, mode: str, size: Size, left: int
):
    image = scene.convert(mode)
    found = cut(image, Size(600, 400), Box(left, left, 580, 380), size)  # of a reduced one: an odd box at half a pixel
    at = left / 2
    assert found.mode == mode
    bicubic, lanczos = (
        image.resize((size.width, size.height), kind, box=(at, at, at + 290, at + 190))
        for kind in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    )
    assert errors(found, lanczos) < min(1.0, errors(bicubic, lanczos))


@pytest.mark.parametrize("size", [Size(80, 50), Size(100, 60), Size(57, 31)])
def test_the_color_of_what_is_clear_does_not_show(size: Size):
    image = Image.new("RGBA", (150, 90), (0, 0, 0, 255))
    image.paste((255, 255, 255, 0), (0, 0, 71, 90))
    pixels = np.asarray(cut(image, Size(150, 90), Box(0, 0, 150, 90), size))
    assert {0, 255} <= set(pixels[..., 3].ravel())
    assert pixels[pixels[..., 3] > 8, :3].max() <= 1
