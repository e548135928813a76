import numpy as np
import pytest

from gaze.fixations import Fixations


def test_scalars_stand_for_every_fixation():
    fixations = Fixations.of([1, 2, 3], [4, 5, 6], subject=7)
    assert fixations.x.dtype == np.float32
    assert fixations.subject.tolist() == [7, 7, 7]
    assert fixations.order.tolist() == [-1, -1, -1]
    assert np.isnan(fixations.duration).all()


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="different lengths: 2, 3, 2, 2, 2"):
        Fixations.of([1, 2], [1, 2, 3])


def test_without_first_keeps_what_has_no_order():
    fixations = Fixations.of([1, 2, 3, 4], [0, 0, 0, 0], 0, [0, 1, 0, -1])
    assert fixations.without_first().x.tolist() == [2, 4]


def test_join_of_nothing_is_empty():
    assert len(Fixations.join([])) == 0
    joined = Fixations.join([Fixations.of([1], [2], 3, 4, 5), Fixations.of([6, 7], [8, 9])])
    assert joined.x.tolist() == [1, 6, 7]
    assert joined.order.tolist() == [4, -1, -1]


@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [
        (0, 0, True),
        (-0.5, -0.5, True),
        (-0.51, 0, False),
        (0, -0.51, False),
        (3.49, 2.49, True),
        (3.5, 0, False),
        (0, 2.5, False),
        (np.nan, 0, False),
        (np.inf, 0, False),
    ],
)
def test_inside_reaches_half_a_pixel_around_the_centres(x, y, inside):
    assert Fixations.of([x], [y]).inside(4, 3).tolist() == [inside]
