import numpy as np

from gaze import Box
from gaze.images.heatmap import LONGER_SIDE, overlay


def test_gaze_is_red_and_the_rest_is_the_photo():
    image = np.full((100, 200, 3), 90, np.uint8)
    density = np.zeros((10, 20), np.float32)
    density[2:8, 14:18] = 1 / 24
    picture = np.asarray(overlay(image, density)).astype(int)
    assert picture.shape == image.shape
    assert (picture[:, :100] == 90).all()
    assert picture[50, 160, 0] > 1.5 * picture[50, 160, 2]


def test_large_photo_is_reduced_and_boxes_are_drawn_in_its_pixels():
    image = np.zeros((1000, 4 * LONGER_SIDE, 3), np.uint8)
    picture = np.asarray(overlay(image, np.eye(5, dtype=np.float32)[:1], [Box(2 * LONGER_SIDE, 0, 1000, 1000)]))
    assert picture.shape == (250, LONGER_SIDE, 3)
    white = np.flatnonzero((picture[125] > 250).all(axis=1))
    assert abs(white.min() - LONGER_SIDE // 2) <= 6
    assert abs(white.max() - (LONGER_SIDE // 2 + 250)) <= 10


def test_picture_of_one_pixel():
    assert overlay(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32), [Box(0, 0, 1, 1)]).size == (
        1,
        1,
    )
