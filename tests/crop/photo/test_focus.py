from pathlib import Path
from typing import Any

import pytest

from gaze.crop.photo.focus import FocusPoint, as_points, read_focus
from gaze.errors import ConfigError
from gaze.geometry import Point, Size


def test_points_are_in_pixels_or_shares():
    assert FocusPoint.parse("320, 240").within(Size(400, 300)) == Point(320, 240)
    assert FocusPoint.parse("40%,25%").within(Size(400, 300)) == Point(160, 75)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "1%,2", "-1,2", "120%,3%", "nan,1"])
def test_point_that_is_none_is_refused(text: str):
    with pytest.raises(ConfigError, match="focus: expected"):
        FocusPoint.parse(text)


def test_point_outside_the_photo_is_named():
    with pytest.raises(ConfigError, match="focus 500,1: lies outside the photo of 400x300 pixels"):
        FocusPoint.parse("500,1").within(Size(400, 300))


def test_file_of_points(tmp_path: Path):
    path = tmp_path / "focus.csv"
    path.write_text('photo,x,y\na.jpg,1,2\n"b, c.jpg",10%,20%\na.jpg,3,4\n\n')
    assert read_focus(path) == {
        "a.jpg": (FocusPoint(1, 2, False), FocusPoint(3, 4, False)),
        "b, c.jpg": (FocusPoint(0.1, 0.2, True),),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg,1\n", "row 1: expected photo,x,y, got 2 columns"),
        ("a.jpg,1,2\nb.jpg,1,x\n", "row 2: focus: expected X,Y"),
        ("a.jpg,1,2\n" * 1001, "row 1001: focus: expected at most 1000 points of one photo"),
        (None, r"cannot be read \(No such file"),
    ],
)
def test_file_that_is_wrong_names_the_row(tmp_path: Path, content: str | None, message: str):
    path = tmp_path / "focus.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_focus(path)


@pytest.mark.parametrize(
    ("focus", "points"),
    [
        (Point(160, 75), [(160, 75)]),
        ((160, 75.5), [(160, 75.5)]),
        ([160, 75], [(160, 75)]),
        ("160,75", [(160, 75)]),
        ("40%,25%", [(160, 75)]),
        (("40%", "25%"), [(160, 75)]),
        (("160,75", "40%,25%"), [(160, 75), (160, 75)]),
        ([(1, 2), ("40%", "25%"), Point(3, 4)], [(1, 2), (160, 75), (3, 4)]),
        ([("40%", "25%")], [(160, 75)]),
    ],
)
def test_places_in_python(focus: Any, points: list[tuple[float, float]]):
    assert as_points(focus, Size(400, 300)) == [Point(*point) for point in points]


@pytest.mark.parametrize("focus", [5, None, [5], [1, 2, 3], ("40%", 25), ("40%", "25"), "40%", [None], ("120%", "1%")])
def test_place_that_is_none_names_the_argument(focus: Any):
    with pytest.raises(ConfigError, match=r"^focus: expected"):
        as_points(focus, Size(400, 300))


def test_places_of_one_photo_have_a_bound():
    with pytest.raises(ConfigError, match="expected at most 1000 points of one photo"):
        as_points([(1, 1)] * 1001, Size(400, 300))
