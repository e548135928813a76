import pytest

from gaze.crop.photo.naming import file_name
from gaze.crop.photo.request import Request
from gaze.crop.photo.shapes import Shape, shapes
from gaze.errors import ConfigError
from gaze.framing.policy import Framing
from gaze.geometry import AspectRatio, Bounds, Size

WIDE = AspectRatio(16, 9)


def labels(ratios: list[AspectRatio], *sizes: Bounds) -> list[str]:
    return [shape.label for shape in shapes(ratios, sizes)]


def test_every_ratio_comes_at_every_size():
    assert labels([]) == ["1x1"]
    assert labels([WIDE, WIDE]) == ["16x9"]
    assert labels([], Bounds(400, 300), Bounds(80, 80)) == ["400x300", "80x80"]
    assert labels([WIDE], Bounds(80, 80)) == ["16x9"]
    assert labels([WIDE, AspectRatio(1, 1)], Bounds(80, 80), Bounds(9, 9)) == [
        "16x9_80x80",
        "16x9_9x9",
        "1x1_80x80",
        "1x1_9x9",
    ]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{stem}_{colour}{ext}", r"\{colour\} is unknown; expected \{stem\}, \{suffix\}, \{ext\}"),
        ("{stem", "--template: expected"),
        ("../{stem}_{shape}{ext}", "expected a path inside the output folder"),
        ("/tmp/{stem}_{shape}{ext}", "expected a path inside the output folder"),
        ("{stem}{ext}", "gives several thumbnails one name"),
        ("{stem}_{ratio}{ext}", "gives several thumbnails one name"),
        ("{stem.__class__}", "is unknown"),
        ("{stem:>999999999}_{shape}{ext}", r"no field takes a format but \{rank\}, as in \{rank:02\}"),
        ("{stem}_{size:>5}{ext}", "no field takes a format"),
        ("{stem!r}_{shape}{ext}", "no field takes a format"),
        ("{stem}_{shape}_{rank:999999}{ext}", "no field takes a format"),
        ("{stem}_{shape}_{rank:{stem}}{ext}", "no field takes a format"),
    ],
)
def test_template_that_cannot_be_used_is_refused(template: str, message: str):
    request = Request(shapes([WIDE], [Bounds(80, 80), Bounds(9, 9)]), template=template)
    with pytest.raises(ConfigError, match=message):
        request.check()


def test_candidates_have_names_of_their_own():
    Request(shapes([WIDE], []), Framing(candidates=3)).check()
    shape = Shape(WIDE, None, "16x9")
    names = [str(file_name("{stem}_{shape}{ext}", "a", shape, Size(16, 9), rank, ".jpg")) for rank in (1, 2)]
    assert names == ["a_16x9.jpg", "a_16x9_2.jpg"]
    padded = "{stem}_{shape}_{rank:02}{ext}"
    Request(shapes([WIDE], []), Framing(candidates=3), template=padded).check()
    assert str(file_name(padded, "a", shape, Size(16, 9), 2, ".jpg")) == "a_16x9_02.jpg"
    assert str(file_name("{ratio}/{rank}/{stem}{ext}", "a", shape, Size(16, 9), 2, ".jpg")) == "16x9/2/a.jpg"
