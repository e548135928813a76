"""Focal areas of densities: where hosts center their own crops."""

import numpy as np
import pytest

from gaze import AspectRatio, Size
from gaze.framing.choice import choose
from gaze.integrations.focal_areas import MIN_CONFIDENCE, PARTS, FocalArea, focal_areas
from gaze.predictor import Prediction

SIZE = Size(400, 300)


def seen(*places: tuple[float, float]) -> Prediction:
    """Gaussian spots at x, y from 0 to 1, on a little of everything."""
    y, x = ((np.arange(n) + 0.5) / n for n in (30, 40))
    density = np.full((30, 40), 1e-4)
    for right, down in places:
        density += np.exp(-((x - right) ** 2 + (y[:, None] - down) ** 2) / 0.005)
    return Prediction((density / density.sum()).astype(np.float32))


def centered(center: float, window: int, length: int) -> float:
    """Where a host lays a window that it centers as far as the image goes."""
    return min(max(center - window / 2, 0), length - window)


@pytest.mark.parametrize("place", [(0.2, 0.3), (0.9, 0.1), (0.5, 0.95), (0.6, 0.5)])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.75, 0.9])
def test_a_crop_of_that_part_is_the_box_of_gaze(place: tuple[float, float], part: float):
    (area,) = focal_areas(seen(place), SIZE, [part])
    for ratio in (AspectRatio(part * SIZE.width, SIZE.height), AspectRatio(SIZE.width, part * SIZE.height)):
        box = choose(seen(place).density, SIZE, ratio)[0].box
        assert centered(area.x, box.width, SIZE.width) == pytest.approx(box.left, abs=1)
        assert centered(area.y, box.height, SIZE.height) == pytest.approx(box.top, abs=1)


def test_an_area_lies_where_people_look_and_is_as_large_as_what_both_crops_hold():
    areas = focal_areas(seen((0.75, 0.3)), SIZE)
    assert [(area.width, area.height) for area in areas] == [(part * 400, part * 300) for part in PARTS]
    assert all(area.x > 200 and area.y < 150 for area in areas)


@pytest.mark.parametrize("places", [[], [(0.5, 0.5)]], ids=["even", "in the middle"])
def test_there_is_little_to_say_where_the_middle_is_as_good(places: list[tuple[float, float]]):
    areas = focal_areas(seen(*places), SIZE)
    assert all(area.confidence < MIN_CONFIDENCE for area in areas)
    np.testing.assert_allclose([(area.x, area.y) for area in areas], [(200, 150)] * 3, atol=0.5)


def test_much_where_it_is_not():
    assert all(area.confidence > 10 * MIN_CONFIDENCE for area in focal_areas(seen((0.1, 0.5)), SIZE))


def test_what_lies_in_line_gets_the_confidence_of_the_side_that_matters():
    area = focal_areas(seen((0.15, 0.5)), SIZE, [0.5])[0]
    narrow, wide = (
        choose(seen((0.15, 0.5)).density, SIZE, AspectRatio(*sides))[0] for sides in ((200, 300), (400, 150))
    )
    assert area == FocalArea(area.x, 150, 200, 150, narrow.confidence)
    assert narrow.confidence > wide.confidence
