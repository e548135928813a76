import numpy as np
import pytest

from gaze.data.heads import HEAD, SMALLEST, mirrored, padded, window_heads
from gaze.geometry import Box

BOXES = np.array([[10, 20, 40, 60], [100, 0, 110, 10], [0, 0, 200, 100]], np.float32)


def test_heads_are_in_shares_of_the_window_and_cut_off_at_its_sides():
    rows = window_heads(BOXES, Box(20, 20, 100, 50))
    assert rows == pytest.approx(np.array([[0, 0, 0.2, 0.8, 1], [0, 0, 1, 1, 1]]))


def test_small_heads_do_not_count_whatever_the_window():
    side = SMALLEST**0.5
    boxes = np.array([[0, 0, side, side], [0, 0, side - 0.1, side]], np.float32)
    for box in (Box(0, 0, 100, 100), Box(0, 0, 10, 10)):
        assert window_heads(boxes, box)[:, 4].tolist() == [1, 0]


def test_mirrored_twice_is_as_before():
    rows = window_heads(BOXES, Box(0, 0, 200, 100))
    assert mirrored(rows)[0] == pytest.approx([0.8, 0.2, 0.95, 0.6, 1])
    assert mirrored(mirrored(rows)) == pytest.approx(rows)


@pytest.mark.parametrize("heads", [None, np.zeros((0, 4), np.float32)])
def test_no_heads_are_no_rows(heads):
    rows = window_heads(heads, Box(0, 0, 200, 100))
    assert rows.shape == (0, HEAD)
    assert mirrored(rows).shape == (0, HEAD)
    assert np.isnan(padded(rows, 3)).all()
    assert padded(rows, 3).shape == (3, HEAD)
