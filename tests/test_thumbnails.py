import numpy as np
import pytest

from gaze import AspectRatio, Box, Size
from gaze.thumbnails import best_crop, best_window, box_mass, central_window, summed_area


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def brute_force(density: np.ndarray, window: Size) -> tuple[Box, float]:
    """Tries every place of `window`; of the best, takes the most central, then the topmost and leftmost."""
    height, width = density.shape
    center = (width - window.width) // 2, (height - window.height) // 2
    places = []
    for top in range(height - window.height + 1):
        for left in range(width - window.width + 1):
            mass = density[top : top + window.height, left : left + window.width].sum()
            distance = (left - center[0]) ** 2 + (top - center[1]) ** 2
            places.append((-round(mass, 9), distance, top, left))
    mass, _, top, left = min(places)
    return Box(left, top, window.width, window.height), -mass


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (24, 33), (40, 21)])
@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16", "1:3"])
def test_best_crop_equals_brute_force(rng: np.random.Generator, shape: tuple[int, int], ratio: str):
    density = rng.random(shape).astype(np.float32) ** 8
    density /= density.sum()
    size = Size(shape[1], shape[0])
    crop = best_crop(density, size, AspectRatio.parse(ratio))
    box, mass = brute_force(density.astype(np.float64), AspectRatio.parse(ratio).largest(size))
    assert crop.box == box
    assert crop.score == pytest.approx(mass, abs=1e-6)


@pytest.mark.parametrize("window", [Size(5, 5), Size(1, 1), Size(12, 3), Size(20, 16)])
def test_smaller_windows_equal_brute_force_in_both_directions(rng: np.random.Generator, window: Size):
    density = rng.random((16, 20)) ** 6
    density /= density.sum()
    assert best_window(summed_area(density), Size(20, 16), window) == brute_force(density, window)[0]


def test_coarse_map_is_weighed_at_every_pixel_of_the_image(rng: np.random.Generator):
    coarse = rng.random((6, 8)) ** 4
    fine = np.kron(coarse, np.ones((5, 5)))
    fine /= fine.sum()
    window = Size(17, 13)
    assert best_window(summed_area(coarse), Size(40, 30), window) == brute_force(fine, window)[0]


def test_mass_between_pixels_of_a_coarse_map():
    table = summed_area(np.array([[1.0, 3.0]]))
    assert box_mass(table, Size(8, 4), Box(0, 0, 8, 4)) == 1.0
    assert box_mass(table, Size(8, 4), Box(3, 0, 2, 4)) == pytest.approx(1 / 16 + 3 / 16)
    assert box_mass(table, Size(8, 4), Box(4, 1, 4, 1)) == pytest.approx(3 / 16)


@pytest.mark.parametrize("size", [Size(4000, 3000), Size(37, 100), Size(10, 10)])
def test_even_density_gives_the_central_window(size: Size):
    crop = best_crop(np.ones((48, 64), np.float32), size, AspectRatio(1, 1))
    assert crop.box == central_window(size, crop.box.size)
    assert crop.score == crop.center_score == pytest.approx(crop.box.size.pixels / size.pixels)


def test_mass_wins_over_the_brightest_pixel():
    density = np.full((30, 90), 1e-6)
    density[15, 5] = 1.0
    density[10:20, 60:80] = 0.05
    crop = best_crop(density, Size(90, 30), AspectRatio(1, 1))
    assert crop.box.left > 45
    assert crop.score > 0.9


def test_scores_stay_within_zero_and_one(rng: np.random.Generator):
    for _ in range(50):
        density = rng.random((rng.integers(1, 40), rng.integers(1, 40))).astype(np.float32) ** 20
        crop = best_crop(density, Size(1234, 567), AspectRatio(3, 2))
        assert 0 <= crop.center_score <= crop.score + 1e-9 <= 1 + 1e-9
        assert isinstance(crop.box.left, int)


def test_twelve_megapixels_need_no_large_arrays(rng: np.random.Generator):
    density = rng.random((384, 512)).astype(np.float32)
    box = best_crop(density, Size(4000, 3000), AspectRatio(1, 1)).box
    left_edges = np.arange(1001)
    columns = np.concatenate([[0], np.cumsum(density.sum(axis=0, dtype=np.float64))])
    mass = [np.interp((x + 3000) / 4000 * 512, np.arange(513), columns) for x in left_edges]
    mass -= np.array([np.interp(x / 4000 * 512, np.arange(513), columns) for x in left_edges])
    assert abs(mass[box.left] - mass.max()) < 1e-6 * columns[-1]
