from dataclasses import replace

import pytest

from gaze.data.config import DataSetConfig
from gaze.errors import ConfigError

SET = DataSetConfig("a", "folder", "a.h5", "", "", True, None, sigma_pixels=24.0, pixels_per_degree=None)


def test_sigma_in_pixels_is_taken_as_it_is():
    assert SET.sigma() == 24


def test_sigma_in_degrees_becomes_pixels():
    assert replace(SET, sigma_pixels=None, sigma_degrees=0.5, pixels_per_degree=38.0).sigma() == 19


@pytest.mark.parametrize(("width", "sigma"), [(None, 24.0), (800, 24.0), (400, 12.0), (601, 18.0)])
def test_sigma_grows_with_the_width_that_it_holds_for(width, sigma):
    assert replace(SET, sigma_width=800).sigma(width) == sigma
    assert SET.sigma(width) == 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma_degrees": 1.0}, "either sigma_degrees or sigma_pixels"),
        ({"sigma_pixels": None}, "either sigma_degrees or sigma_pixels"),
        ({"sigma_pixels": None, "sigma_degrees": 1.0}, "sets.a.pixels_per_degree"),
        ({"sigma_pixels": 0.0}, "above 0"),
        ({"sigma_pixels": -2.0}, "above 0"),
        ({"sigma_width": 0}, "sets.a.sigma_width: expected pixels above 0, got 0"),
    ],
)
def test_an_impossible_sigma_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(SET, **changes).sigma()
