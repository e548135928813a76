import dataclasses

import numpy as np
import pytest

from gaze import AspectRatio, Box, Size
from gaze.framing.choice import Seen, choose
from gaze.framing.heads import Heads
from gaze.framing.policy import BESIDE, Framing
from gaze.framing.preference import Preference
from gaze.framing.windows import Windows, search
from gaze.geometry import Point

SIZE = Size(40, 30)
SQUARE = AspectRatio(1, 1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def drawn(rng: np.random.Generator) -> Preference:
    """A cell has five by five pixels."""
    return Preference(*rng.normal(size=(2, 6, 8)))


def searched(window: Size, rng: np.random.Generator) -> Windows:
    density = rng.random((6, 8))
    return search(density / density.sum(), SIZE, window, beside=BESIDE * 40)


def overlap(low: float, high: float, cell: int) -> float:
    """The share of a cell of five pixels that lies between two places."""
    return max(0.0, min(high, 5 * cell + 5) - max(low, 5 * cell)) / 5


def inside(cells: np.ndarray, left: float, top: float, right: float, bottom: float) -> float:
    """The sum over what a box holds of the cells, one after the other."""
    rows, columns = cells.shape
    return sum(
        cells[row, column] * overlap(top, bottom, row) * overlap(left, right, column)
        for row in range(rows)
        for column in range(columns)
    )


def brute_force(preference: Preference, box: Box) -> float:
    """What is inside, less what lies between a box that is larger and one that is smaller where a side may move."""
    near = BESIDE * 40
    sides = [box.left > 0, box.top > 0, box.right < 40, box.bottom < 30]
    further = [near * movable * sign for movable, sign in zip(sides, (-1, -1, 1, 1), strict=True)]
    ends = [box.left, box.top, box.right, box.bottom]
    larger, smaller = ([end + sign * by for end, by in zip(ends, further, strict=True)] for sign in (1, -1))
    beside = inside(preference.sides, *larger) - inside(preference.sides, *smaller)
    return (inside(preference.inside, *ends) - beside) / 48


@pytest.mark.parametrize("window", [Size(30, 30), Size(17, 30), Size(40, 23), Size(20, 15)])
def test_worth_equals_brute_force(rng: np.random.Generator, drawn: Preference, window: Size):
    places = searched(window, rng)
    found = drawn.worth(places)
    assert found.shape == (len(places.tops), len(places.lefts))
    for row, top in enumerate(places.tops):
        for column, left in enumerate(places.lefts):
            box = Box(int(left), int(top), window.width, window.height)
            assert found[row, column] == pytest.approx(brute_force(drawn, box), abs=1e-12)


def test_the_whole_image_has_no_sides(rng: np.random.Generator, drawn: Preference):
    assert drawn.worth(searched(SIZE, rng)) == pytest.approx(drawn.inside.mean())


def test_an_output_of_coarser_cells_fills_those_of_the_gaze_evenly():
    output = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    found = Preference.read(output, (4, 6))
    assert found.inside.dtype == np.float64
    assert found.inside.tolist() == np.kron(output[0], np.ones((2, 2))).tolist()
    assert found.sides.tolist() == np.kron(output[1], np.ones((2, 2))).tolist()


def test_of_several_frames_each_counts_the_same(drawn: Preference):
    mean = Preference.mean([drawn, Preference(np.zeros((6, 8)), drawn.sides)])
    assert mean.inside == pytest.approx(drawn.inside / 2)
    assert mean.sides == pytest.approx(drawn.sides)


@pytest.mark.parametrize("zoom", [1, 2])
@pytest.mark.parametrize("heads", [None, Heads(np.array([[0.2, 0.2, 0.5, 0.6]]), np.array([0.3]))])
def test_it_adds_to_the_worth_by_the_weight_over_the_square_of_the_zoom(rng, drawn, zoom, heads):
    density, window = rng.random((6, 8)), Size(30 // zoom, 30 // zoom)
    density /= density.sum()
    without, nothing = Seen(density, SIZE, heads), Preference(np.zeros((6, 8)), np.zeros((6, 8)))
    base = dataclasses.replace(without, preference=nothing).places(window, 0.5)
    found = dataclasses.replace(without, preference=drawn).places(window, 0.5)
    assert found.worth == pytest.approx(base.worth + 0.5 / zoom**2 * drawn.worth(base))
    if heads is not None:
        assert base.worth == pytest.approx(without.places(window, 0.5).worth)


def test_a_crop_goes_where_it_is_preferred_and_keeps_its_sides_from_what_is_not():
    even = np.full((6, 8), 1 / 48)
    right = Preference(np.tile(np.linspace(-1, 1, 8), (6, 1)), np.zeros((6, 8)))
    (crop,) = choose(even, SIZE, SQUARE, preference=right)
    assert (crop.box.left, crop.centered) == (10, False)
    walls = Preference(np.zeros((6, 8)), np.zeros((6, 8)))
    walls.sides[:, [0, 7]] = 3.0  # wherever neither side is the image's own
    (crop,) = choose(even, SIZE, SQUARE, preference=walls)
    assert crop.box.left in (0, 10)


@pytest.mark.parametrize("framing", [Framing(cut_weight=0), Framing()])
def test_without_weight_or_with_a_focus_it_has_nothing_to_say(drawn: Preference, framing: Framing, rng):
    density, focus = rng.random((6, 8)), () if framing.cut_weight == 0 else (Point(30, 10),)
    one, other = (choose(density, SIZE, SQUARE, framing, focus, preference=p) for p in (None, drawn))
    assert [crop.box for crop in one] == [crop.box for crop in other]


def test_zoom_keep_and_candidates_go_on(drawn: Preference, rng: np.random.Generator):
    density = rng.random((6, 8))
    framing = Framing(zoom=(1, 3), keep=0.5, candidates=3)
    crops = choose(density, SIZE, AspectRatio(9, 16), framing, preference=drawn)
    assert crops[0].score >= 0.5 - 1e-6
    assert len({crop.box for crop in crops}) == len(crops) > 1
