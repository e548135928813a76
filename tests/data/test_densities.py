import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gaze.data.densities import fixation_density, fixation_map, normalise
from gaze.fixations import Fixations
from gaze.geometry import Size

SIZE = Size(40, 30)


@pytest.fixture
def fixations():
    rng = np.random.default_rng(0)
    return Fixations.of(rng.uniform(-3, 43, 200), rng.uniform(-3, 33, 200))


def test_fixation_map_counts_like_a_loop(fixations):
    expected = np.zeros((30, 40))
    for x, y in zip(fixations.x, fixations.y, strict=True):
        column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        if 0 <= column < 40 and 0 <= row < 30:
            expected[row, column] += 1
    counts = fixation_map(fixations, SIZE)
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts, expected)


def test_fixation_map_of_none_is_empty():
    assert fixation_map(Fixations.of([], []), SIZE).sum() == 0


@pytest.mark.parametrize("sigma", [0.5, 2.0, 9.3])
def test_density_equals_scipy(fixations, sigma):
    counts = fixation_map(fixations, SIZE).astype(float)
    reference = gaussian_filter(counts, sigma, mode="constant", truncate=np.ceil(4 * sigma) / sigma)
    density = fixation_density(fixations, SIZE, sigma)
    assert density.dtype == np.float32
    assert density.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(density, reference / reference.sum(), atol=1e-7)


def test_density_of_a_corner_peaks_there():
    density = fixation_density(Fixations.of([39], [0]), SIZE, 3)
    assert np.unravel_index(density.argmax(), density.shape) == (0, 39)


@pytest.mark.parametrize("sigma", [0, -1, np.nan])
def test_density_needs_a_sigma_above_zero(fixations, sigma):
    with pytest.raises(ValueError, match="sigma must be above 0"):
        fixation_density(fixations, SIZE, sigma)


def test_density_needs_a_fixation_inside():
    with pytest.raises(ValueError, match="no fixation inside"):
        fixation_density(Fixations.of([100], [1]), SIZE, 2)


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.array([[1.0, -0.5]]), np.array([[np.nan, 1.0]])])
def test_normalise_refuses_what_is_no_density(values):
    with pytest.raises(ValueError, match="finite values >= 0"):
        normalise(values)
