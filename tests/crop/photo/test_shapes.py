from typing import Any

import numpy as np
import pytest

from gaze.crop.photo.shapes import Fitted, as_bounds, as_ratio, parse_ratio, shapes
from gaze.errors import ConfigError
from gaze.geometry import AspectRatio, Bounds, Size

WIDE = AspectRatio(16, 9)
WIDTH, HEIGHT = Bounds(400, None), Bounds(None, 300)


def labels(ratios: list[Any], *sizes: Bounds) -> list[str]:
    return [shape.label for shape in shapes(ratios, sizes)]


def test_one_side_has_the_ratio_of_its_own_option_or_is_square():
    assert labels([], WIDTH, HEIGHT, Bounds(400, 400)) == ["400x400", "300x300"]
    assert labels([WIDE], WIDTH) == ["16x9"]
    assert labels([WIDE, "original"], WIDTH, HEIGHT) == [
        "16x9_400x225",
        "16x9_533x300",
        "original_400",
        "original_x300",
    ]


def test_original_is_the_ratio_of_each_photo():
    plain, narrow, boxed = (shapes(["original"], sizes)[0] for sizes in ([], [WIDTH], [Bounds(80, 60)]))
    assert plain.of(Size(4000, 3000)) == Fitted(AspectRatio(4000, 3000), None)
    assert narrow.of(Size(800, 600)).size == Size(400, 300)
    assert boxed.of(Size(600, 800)) == Fitted(AspectRatio(600, 800), Size(80, 60))
    assert plain.of(Size(1, 65000)).ratio == AspectRatio(1, 1000)
    assert shapes([WIDE], [])[0].of(Size(7, 5)) == Fitted(WIDE, None)


@pytest.mark.parametrize(
    ("ratio", "read"),
    [
        ("16x9", AspectRatio(16, 9)),
        (1.5, AspectRatio(1.5, 1)),
        (2, AspectRatio(2, 1)),
        ((4, 5), AspectRatio(4, 5)),
        ([np.int64(4), np.float32(5)], AspectRatio(4, 5)),
        (WIDE, WIDE),
        (" Original ", "original"),
    ],
)
def test_ratio_in_python(ratio: Any, read: object):
    assert as_ratio(ratio) == read


@pytest.mark.parametrize("ratio", [(4,), (4, 5, 6), ("4", "5"), (4, 0), None, "originall", -1, float("nan")])
def test_bad_ratio_names_the_argument(ratio: Any):
    with pytest.raises(ConfigError, match=r"^ratio: expected"):
        as_ratio(ratio)


@pytest.mark.parametrize(
    ("size", "read"),
    [
        ("400x300", Bounds(400, 300)),
        ("400", WIDTH),
        (400, WIDTH),
        (np.int64(400), WIDTH),
        ((np.int64(400), None), WIDTH),
        ((None, 300), HEIGHT),
        ("x300", HEIGHT),
        (Size(40, 30), Bounds(40, 30)),
    ],
)
def test_size_in_python(size: Any, read: Bounds):
    assert as_bounds(size) == read


@pytest.mark.parametrize("size", [(4,), (4.5, 5), ("4", "5"), (None, None), 0, -4, 4.5, (0, 3), "wide"])
def test_bad_size_names_the_argument(size: Any):
    with pytest.raises(ConfigError, match=r"^size: expected"):
        as_bounds(size)


def test_ratio_on_the_command_line():
    assert parse_ratio("ORIGINAL") == "original"
    assert parse_ratio("16/9") == WIDE


def test_thumbnails_of_a_photo_have_a_bound():
    with pytest.raises(ConfigError, match="ratio and size: expected at most 1000 thumbnails of a photo, got 4000000"):
        shapes([WIDE] * 2000, [WIDTH] * 2000)
