"""The size of a thumbnail: never more than was asked for, and never stretched."""

import pytest

from gaze.crop.photo.rendering import picture_size
from gaze.crop.photo.shapes import shapes
from gaze.geometry import AspectRatio, Bounds, Size


@pytest.mark.parametrize("photo", [Size(1205, 302), Size(302, 1205), Size(1199, 61), Size(1000, 750), Size(3, 2)])
@pytest.mark.parametrize(
    "size", [Bounds(1200, 60), Bounds(60, 1200), Bounds(400, 300), Bounds(1, 1), Bounds(700, 1), Bounds(1, 99)]
)
@pytest.mark.parametrize("upscale", [False, True])
def test_a_thumbnail_fits_into_its_size(photo: Size, size: Bounds, upscale: bool):
    for shape in (shapes([], [size])[0], shapes([AspectRatio(7, 3)], [size])[0]):
        fitted = shape.of(photo)
        shown = picture_size(fitted.ratio.largest(photo), fitted, upscale)
        assert shown.width <= size.width
        assert shown.height <= size.height


def test_a_crop_that_fits_is_not_scaled():
    shape = shapes([], [Bounds(400, 300)])[0].of(Size(800, 600))
    assert picture_size(Size(300, 225), shape, upscale=False) == Size(300, 225)
    assert picture_size(Size(400, 300), shape, upscale=False) == Size(400, 300)
    assert picture_size(Size(401, 301), shape, upscale=False) == Size(400, 300)
