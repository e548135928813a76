import dataclasses

import numpy as np
import pytest

from gaze import AspectRatio, Box, Size
from gaze.framing.choice import HEAD_TIE, choose
from gaze.framing.heads import LEAST, PARTLY, Heads
from gaze.framing.policy import (
    BESIDE,
    BESIDE_WEIGHT,
    HEAD_WEIGHT,
    NEAR,
    OFFSET_WEIGHT,
    SHIFT_WEIGHT,
    TOLERANCE,
    WHOLE_WEIGHT,
    Framing,
)
from gaze.framing.windows import offsets, search
from gaze.geometry import Point

SQUARE = AspectRatio(1, 1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def drawn(rng: np.random.Generator, count: int) -> Heads:
    """Boxes anywhere, some as wide or as high as the image, and their gaze."""
    ends = np.sort(rng.uniform(-0.3, 1.3, (count, 2, 2)).clip(0, 1), axis=1)
    boxes = ends.reshape(count, 4)
    good = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Heads(boxes[good], rng.random(good.sum()) / count)


def brute_force(heads: Heads, size: Size, box: Box) -> tuple[float, float]:
    """The gaze on heads that the window holds in part, and on those that it holds whole, one head after the other."""
    partly, wholly = 0.0, 0.0
    for (left, top, right, bottom), gaze in zip(heads.boxes, heads.gaze, strict=True):
        x, y = (left * size.width, right * size.width), (top * size.height, bottom * size.height)
        slack = [PARTLY * (end - start) for start, end in (x, y)]
        sides = ((box.left, box.right, x, slack[0]), (box.top, box.bottom, y, slack[1]))
        touched = all(start < head[1] - by and end > head[0] + by for start, end, head, by in sides)
        whole = all(start <= head[0] + by and end >= head[1] - by for start, end, head, by in sides)
        partly += gaze * (touched and not whole)
        wholly += gaze * whole
    return partly, wholly


@pytest.mark.parametrize("window", [Size(30, 30), Size(40, 17), Size(40, 30), Size(11, 13), Size(1, 1)])
def test_heads_inside_equal_brute_force(rng: np.random.Generator, window: Size):
    size, heads = Size(40, 30), drawn(rng, 40)
    tops, lefts = (np.arange(of - own + 1.0) for of, own in ((30, window.height), (40, window.width)))
    found = heads.inside(size, window, tops, lefts)
    assert [each.shape for each in found] == [(len(tops), len(lefts))] * 2
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            expected = brute_force(heads, size, Box(int(left), int(top), window.width, window.height))
            assert [each[row, column] for each in found] == pytest.approx(expected, abs=1e-12)


def test_a_window_as_large_as_the_image_holds_all_heads(rng: np.random.Generator):
    heads = drawn(rng, 100)
    partly, whole = heads.inside(Size(40, 30), Size(40, 30), np.zeros(1), np.zeros(1))
    assert partly == pytest.approx(0, abs=1e-12)
    assert whole == pytest.approx(heads.gaze.sum())


def test_no_head_costs_nothing():
    none = Heads(np.zeros((0, 4)), np.zeros(0))
    for found in none.inside(Size(40, 30), Size(30, 30), np.zeros(1), np.arange(11.0)):
        assert found.tolist() == [[0.0] * 11]


def test_an_output_is_read_cell_by_cell():
    output = np.full((5, 2, 3), -50.0, np.float32)
    output[:, 1, 2] = [0, *np.log([1.5, 0.25, 0.25, 9])]
    density = np.zeros((4, 6), np.float32)
    density[2:, 4:], density[0, 0] = 0.2, 0.2
    heads = Heads.read(output, density)
    # the center of the cell is at 2.5 of 3 columns and 1.5 of 2 rows; what leaves the image is cut off
    assert heads.boxes == pytest.approx(np.array([[1 / 3, 0.625, 2.75 / 3, 1]]))
    assert heads.gaze == pytest.approx([0.8 * 0.5])


def test_extreme_numbers_of_an_output_are_probabilities_and_boxes_all_the_same():
    output = np.full((5, 2, 2), 3e38, np.float32)
    output[0, 0] = -3e38
    heads = Heads.read(output, np.full((2, 2), 0.25))
    assert heads.boxes.tolist() == [[0, 0, 1, 1]] * 2
    assert heads.gaze.tolist() == [0.25] * 2


def test_cells_of_hardly_any_gaze_speak_for_no_head(rng: np.random.Generator):
    output, density = rng.normal(size=(5, 8, 8)), np.full((16, 16), 1e-9)
    density[:2, :2] = 0.25
    heads = Heads.read(output, density / density.sum())
    assert len(heads.gaze) == 1
    assert heads.gaze[0] >= LEAST


def test_frames_count_the_same(rng: np.random.Generator):
    one, other = drawn(rng, 5), drawn(rng, 7)
    both = Heads.mean([one, other])
    assert both.gaze.sum() == pytest.approx((one.gaze.sum() + other.gaze.sum()) / 2)
    assert len(both.boxes) == len(one.boxes) + len(other.boxes)


def two_people(gap: float = 0.3) -> tuple[np.ndarray, Heads]:
    """Two heads side by side that a square cannot hold both, the gaze evenly on all of each."""
    x = (np.arange(160) + 0.5) / 160
    left, right = (0.28, 0.40), (0.28 + gap, 0.40 + gap)
    density = np.tile(1e-3 + (left[0] < x) * (x < left[1]) + 1.1 * (right[0] < x) * (x < right[1]), (20, 1))
    boxes = np.array([[left[0], 0.1, left[1], 0.9], [right[0], 0.1, right[1], 0.9]])
    return density / density.sum(), Heads(boxes, np.array([0.47, 0.5]))


def inside(box: Box, heads: Heads, width: int) -> list[float]:
    """The part of the width of each head that is in the box."""
    wide = np.minimum(heads.boxes[:, 2] * width, box.right) - np.maximum(heads.boxes[:, 0] * width, box.left)
    return list(wide.clip(0) / (heads.boxes[:, 2] - heads.boxes[:, 0]) / width)


@pytest.mark.parametrize(
    "framing", [Framing(), Framing((1.2, 1.2)), Framing((2, 2)), Framing((1, 1.4)), Framing(candidates=3)]
)
def test_the_window_worth_most_is_chosen(framing: Framing, rng: np.random.Generator):
    density, size, heads = rng.random((12, 16)) ** 6, Size(80, 60), drawn(rng, 20)
    density /= density.sum()
    best = choose(density, size, SQUARE, framing, heads=heads)[0]
    places = search(density, size, best.box.size, 0, NEAR * 80, BESIDE * 80)
    cut, whole = heads.inside(size, best.box.size, places.tops, places.lefts)
    bad = BESIDE_WEIGHT * places.beside + HEAD_WEIGHT * cut
    middle = OFFSET_WEIGHT * offsets(density, places) + SHIFT_WEIGHT * places.shifts
    worth = places.shares - framing.cut_weight / best.zoom**2 * (bad + middle - WHOLE_WEIGHT * whole)
    at = places.at(best.box)
    assert worth[at] >= worth.max() - TOLERANCE
    assert bad[at] <= bad[worth >= worth.max() - TOLERANCE].min() + HEAD_TIE
    assert best.cut_heads == pytest.approx(brute_force(heads, size, best.box)[0], abs=1e-9)
    assert best.confidence >= 0


def test_heads_are_whole_or_out():
    density, heads = two_people()
    size = Size(1600, 400)
    for ratio in (AspectRatio(1, 1), AspectRatio(4, 3), AspectRatio(2, 1)):
        best = choose(density, size, ratio, heads=heads)[0]
        assert all(part < PARTLY or part > 1 - PARTLY for part in inside(best.box, heads, 1600)), ratio
        assert best.cut_heads == pytest.approx(0, abs=1e-9)


def test_a_head_nobody_looks_at_changes_nothing():
    density, _ = two_people()
    nobody = Heads(np.array([[0.1, 0.2, 0.7, 0.8]]), np.zeros(1))
    size = Size(1600, 400)
    found = choose(density, size, SQUARE, heads=nobody)
    assert found[0].cut_heads == 0
    assert found == choose(density, size, SQUARE, heads=Heads(np.zeros((0, 4)), np.zeros(0)))


def one_thing(x: float, size: Size) -> np.ndarray:
    """All gaze on a spot at x of the width, 60 pixels wide."""
    columns = np.arange(100) * (size.width / 100)
    density = np.tile(1e-6 + (abs(columns + size.width / 200 - x * size.width) < 30), (20, 1))
    return density / density.sum()


@pytest.mark.parametrize("x", [0.25, 0.3, 0.5, 0.65, 0.7])
def test_what_people_look_at_is_in_the_middle_where_heads_are_known(x: float):
    size, nobody = Size(800, 600), Heads(np.zeros((0, 4)), np.zeros(0))
    density = one_thing(x, size)
    (crop,), (without,) = (choose(density, size, AspectRatio(9, 16), heads=heads) for heads in (nobody, None))
    off = [abs(x * 800 - box.left - box.width / 2) / box.width for box in (crop.box, without.box)]
    assert off[0] <= 0.15
    assert off[0] < off[1] or crop.box == without.box


@pytest.mark.parametrize("y", [0.3, 0.7])
def test_where_nothing_stands_out_a_crop_stays_in_the_center(y: float):
    """One that looks elsewhere but slightly is not followed."""
    rows = (np.arange(45)[:, None] + 0.5) / 45
    density = np.tile(1 + 0.1 * np.exp(-((rows - y) ** 2) / 0.02), (1, 60))
    nobody = Heads(np.zeros((0, 4)), np.zeros(0))
    (crop,) = choose(density / density.sum(), Size(800, 600), AspectRatio(16, 9), heads=nobody)
    assert crop.centered
    assert crop.box.top == (600 - crop.box.height) // 2


def test_of_two_heads_the_one_that_is_looked_at_more_is_held():
    density, heads = two_people(gap=0.32)  # as far from the center
    (best,) = choose(density, Size(1600, 400), AspectRatio(3, 4), heads=heads)
    assert inside(best.box, heads, 1600) == pytest.approx([0, 1])


def test_without_heads_nothing_is_said_of_them():
    density, _ = two_people()
    (crop,) = choose(density, Size(1600, 400), SQUARE)
    assert (crop.cut_heads, crop.center_cut_heads) == (None, None)


def test_with_weight_0_heads_are_told_of_and_cost_nothing():
    density, heads = two_people()
    size, framing = Size(1600, 400), Framing(cut_weight=0)
    (with_heads,), (without,) = (choose(density, size, SQUARE, framing, heads=each) for each in (heads, None))
    assert with_heads.score == pytest.approx(without.score, abs=1e-6)
    assert with_heads.cut_heads is not None


def test_a_focus_leaves_heads_less_to_say_and_alone_nothing():
    density, heads = two_people()
    size, focus = Size(1600, 400), [Point(300, 200)]
    for weight in (0.5, 1.0):
        (crop,) = choose(density, size, SQUARE, Framing(), focus, weight, heads)
        assert crop.box.left <= 300 < crop.box.right
    (crop,) = choose(density, size, SQUARE, Framing(), focus, 1.0, heads)
    (alone,) = choose(density, size, SQUARE, Framing(), focus, 1.0)
    assert crop.score == pytest.approx(alone.score, abs=1e-6)


def test_candidates_and_keep_heed_heads():
    density, heads = two_people(gap=0.45)
    size = Size(1600, 400)
    for crop in choose(density, size, SQUARE, Framing((1.5, 1.5), candidates=2), heads=heads)[:2]:
        assert all(part < PARTLY or part > 1 - PARTLY for part in inside(crop.box, heads, 1600))
    (grown,) = choose(density, size, SQUARE, Framing(keep=0.98), heads=heads)
    assert grown.score >= 0.98
    assert grown.cut_heads == pytest.approx(0, abs=1e-9)


def test_choosing_changes_neither_density_nor_heads(rng: np.random.Generator):
    density, heads = rng.random((12, 16)), drawn(rng, 20)
    before = density.copy(), dataclasses.replace(heads, boxes=heads.boxes.copy(), gaze=heads.gaze.copy())
    choose(density, Size(80, 60), SQUARE, Framing((1, 2)), heads=heads)
    assert (density == before[0]).all()
    assert (heads.boxes == before[1].boxes).all()
    assert (heads.gaze == before[1].gaze).all()


@pytest.mark.parametrize("sigma", [90, 120, 160])
def test_a_tight_crop_of_something_larger_stays_on_it(sigma: float):
    x, y = (np.arange(60) + 0.5) / 60 * 800, (np.arange(45)[:, None] + 0.5) / 45 * 600
    density = np.exp(-((x - 300) ** 2 + (y - 320) ** 2) / 2 / sigma**2)
    nobody, tight = Heads(np.zeros((0, 4)), np.zeros(0)), (2.5, 2.5)
    (best,) = choose(density, Size(800, 600), SQUARE, Framing(zoom=tight), heads=nobody)
    (most,) = choose(density, Size(800, 600), SQUARE, Framing(zoom=tight, cut_weight=0), heads=nobody)
    assert best.score > 0.9 * most.score
