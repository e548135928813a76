import dataclasses
from collections.abc import Callable

import pytest

from gaze import AspectRatio, Box, ConfigError, Point, Size
from gaze.crop.photo.focus import FocusPoint
from gaze.geometry import Bounds


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("16:9", 16 / 9, "16:9"),
        ("1.5", 1.5, "1.5:1"),
        ("2.35:1", 2.35, "2.35:1"),
        (" 3:4 ", 0.75, "3:4"),
        ("16x9", 16 / 9, "16:9"),
        ("16/9", 16 / 9, "16:9"),
        ("2.35X1", 2.35, "2.35:1"),
    ],
)
def test_ratio_is_read_and_written(text: str, value: float, written: str):
    ratio = AspectRatio.parse(text)
    assert ratio.value == pytest.approx(value)
    assert str(ratio) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "16:",
        ":9",
        "16x",
        "/9",
        "16:x9",
        "16\\9",
        "0:1",
        "1/0",
        "1:0",
        "-1:2",
        "nan",
        "inf",
        "1e3",
        "1:2:3",
        "1:5000",
    ],
)
def test_bad_ratio_is_one_line_that_names_the_setting(text: str):
    with pytest.raises(ConfigError, match=r"^ratio: expected .*"):
        AspectRatio.parse(text)


def test_size_is_read_and_written():
    assert Size.parse("400x300") == Size(400, 300)
    assert str(Size(400, 300)) == "400x300"
    assert Size(400, 300).pixels == 120_000


@pytest.mark.parametrize("text", ["", "400", "400x", "x300", "0x300", "400x0", "400:300", "-4x3", "4.5x3", "999999x1"])
def test_bad_size_is_one_line_that_names_the_setting(text: str):
    with pytest.raises(ConfigError, match=r"^size: expected WIDTHxHEIGHT"):
        Size.parse(text)


@pytest.mark.parametrize(
    ("text", "ratio", "size", "written"),
    [
        ("400x300", "16:9", Size(400, 300), "400x300"),
        ("400", "1:1", Size(400, 400), "400"),
        ("400x", "16:9", Size(400, 225), "400"),
        ("x300", "16:9", Size(533, 300), "x300"),
        ("400", "7:1", Size(400, 57), "400"),
        (" X300", "1:7", Size(43, 300), "x300"),
    ],
)
def test_bounds_of_one_side_are_filled_by_a_picture_of_the_ratio(text: str, ratio: str, size: Size, written: str):
    bounds, wanted = Bounds.parse(text), AspectRatio.parse(ratio)
    assert str(bounds) == written
    assert bounds == Bounds.parse(written)
    if None in (bounds.width, bounds.height):
        assert wanted.largest(bounds.size(wanted)) == size
    else:
        assert bounds.size(wanted) == size


@pytest.mark.parametrize("side", [1, 2, 7, 99, 400, 1001])
@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16", "2.35:1", "3:7", "1:1000", "1000:1"])
def test_one_side_is_met_exactly(side: int, ratio: str):
    wanted = AspectRatio.parse(ratio)
    assert wanted.largest(Bounds(side, None).size(wanted)).width == side
    assert wanted.largest(Bounds(None, side).size(wanted)).height == side


@pytest.mark.parametrize("text", ["", "x", "0", "x0", "0x300", "400:300", "-4x3", "4.5", "999999", "400xx3", "x3x"])
def test_bad_bounds_are_one_line_that_names_the_setting(text: str):
    with pytest.raises(ConfigError, match=r"^size: expected WIDTHxHEIGHT, WIDTH or xHEIGHT"):
        Bounds.parse(text)


@pytest.mark.parametrize("sides", [(None, None), (0, 3), (None, -1), (4.5, 3), (100_000, None)])
def test_bounds_are_whole_pixels(sides: tuple[int, int]):
    with pytest.raises(ConfigError, match=r"^size: expected pixels"):
        Bounds(*sides)


@pytest.mark.parametrize(
    ("size", "ratio", "largest"),
    [
        (Size(4000, 3000), "1:1", Size(3000, 3000)),
        (Size(4000, 3000), "16:9", Size(4000, 2250)),
        (Size(4000, 3000), "9:16", Size(1688, 3000)),
        (Size(4000, 3000), "4:3", Size(4000, 3000)),
        (Size(1, 20000), "1:1", Size(1, 1)),
        (Size(1, 1), "1000:1", Size(1, 1)),
        (Size(3, 2000), "16:9", Size(3, 2)),
    ],
)
def test_largest_window_of_a_ratio(size: Size, ratio: str, largest: Size):
    assert AspectRatio.parse(ratio).largest(size) == largest


@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16", "2.35:1", "1:1000"])
@pytest.mark.parametrize("size", [Size(1, 1), Size(7, 5), Size(640, 481), Size(33, 1999)])
def test_largest_window_touches_two_sides_and_stays_inside(size: Size, ratio: str):
    largest = AspectRatio.parse(ratio).largest(size)
    assert 1 <= largest.width <= size.width
    assert 1 <= largest.height <= size.height
    assert largest.width == size.width or largest.height == size.height


def test_within_only_scales_down():
    assert Size(4000, 3000).within(512) == Size(512, 384)
    assert Size(300, 200).within(512) == Size(300, 200)
    assert Size(20000, 1).within(512) == Size(512, 1)


def test_box_knows_its_edges_and_everything_is_frozen():
    box = Box(3, 4, 10, 20)
    assert (box.right, box.bottom, box.size) == (13, 24, Size(10, 20))
    assert box.bbox == (3, 4, 13, 24)
    for value in (box, Point(1.5, 2), Size(1, 1), AspectRatio(1, 1)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, 5)


@pytest.mark.parametrize("parse", [AspectRatio.parse, Size.parse, Bounds.parse, FocusPoint.parse])
def test_a_long_text_is_refused_at_once_and_in_short(parse: Callable[[str], object]):
    """Patterns that go back over what they read would take minutes."""
    for text in ("1" * 60_000 + "y", "1" * 30_000 + "," + "1" * 30_000 + "y", "1:" + "1" * 60_000 + "y"):
        with pytest.raises(ConfigError) as caught:
            parse(text)
        assert len(str(caught.value)) < 400


def test_whole_numbers_beyond_all_floats_are_no_ratio():
    with pytest.raises(ConfigError, match="ratio: expected two positive numbers, at most 1000:1 apart, got inf:inf"):
        AspectRatio(10**400, 10**400)
