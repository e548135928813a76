import numpy as np
import pytest

from gaze.framing.windows import TIE, Windows, central_window, offsets, search
from gaze.geometry import Box, Size


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def spread(coarse: np.ndarray, scale: int) -> np.ndarray:
    """The map over pixels, each cell evenly filled; sums to 1."""
    fine = np.kron(coarse, np.ones((scale, scale)))
    return fine / fine.sum()


def best(places: Windows) -> Box:
    """The place worth most; of equal ones the most central."""
    return places.most_central(places.worth >= places.worth.max() - TIE)


def brute_force(density: np.ndarray, window: Size, worth: np.ndarray | None = None) -> tuple[Box, float]:
    """Tries every place of `window`; of the best, takes the most central, then the topmost and leftmost."""
    height, width = density.shape
    weights = np.ones((window.height, window.width)) if worth is None else worth
    center = (width - window.width) // 2, (height - window.height) // 2
    places = []
    for top in range(height - window.height + 1):
        for left in range(width - window.width + 1):
            held = (weights * density[top : top + window.height, left : left + window.width]).sum()
            distance = (left - center[0]) ** 2 + (top - center[1]) ** 2
            places.append((-round(held, 9), distance, top, left))
    held, _, top, left = min(places)
    return Box(left, top, window.width, window.height), -held


@pytest.mark.parametrize("scale", [1, 5])
@pytest.mark.parametrize("window", [Size(5, 5), Size(1, 1), Size(12, 3), Size(20, 16), Size(7, 16), Size(20, 4)])
def test_search_equals_brute_force_over_all_pixels(rng: np.random.Generator, window: Size, scale: int):
    coarse = rng.random((16, 20) if scale == 1 else (6, 8)) ** 6
    fine = spread(coarse, scale)
    size = Size(fine.shape[1], fine.shape[0])
    places = search(coarse / coarse.sum(), size, window)
    box, held = brute_force(fine, window)
    assert best(places) == box
    assert places.holding(box).share == pytest.approx(held, abs=1e-8)


@pytest.mark.parametrize("window", [Size(20, 20), Size(30, 10), Size(40, 20)])
def test_margins_count_half_unless_the_side_is_the_photos(rng: np.random.Generator, window: Size):
    coarse = rng.random((6, 8)) ** 4
    fine, size = spread(coarse, 5), Size(40, 30)
    along = [np.ones(length) for length in (window.height, window.width)]
    for line, length in zip(along, (30, 40), strict=True):
        if len(line) < length:
            line[: len(line) // 10] = line[-(len(line) // 10) :] = 0.5
    places = search(coarse / coarse.sum(), size, window, margin=0.1)
    worth = brute_force(fine, window, np.outer(*along))[1]
    assert places.worth.max() == pytest.approx(worth, abs=1e-9)
    box = best(places)
    assert places.holding(box).share == pytest.approx(fine[box.top : box.bottom, box.left : box.right].sum())


def test_places_depend_on_the_map_not_on_the_pixels(rng: np.random.Generator):
    density = rng.random((30, 40))
    for scale in (1, 100):
        places = search(density, Size(12000 * scale, 9000 * scale), Size(5000 * scale, 5000 * scale), margin=0.1)
        assert places.worth.size <= (8 * 31 + 3) * (8 * 41 + 3)


def test_no_place_between_those_tried_holds_more(rng: np.random.Generator):
    density = rng.random((30, 40)) ** 3
    density /= density.sum()
    places = search(density, Size(4000, 3000), Size(3000, 3000))
    columns = np.concatenate([[0], np.cumsum(density.sum(axis=0))])
    held = [np.diff(np.interp([x / 100, x / 100 + 30], np.arange(41), columns))[0] for x in range(1001)]
    assert places.holding(best(places)).share == pytest.approx(max(held), abs=1e-12)


FINE = 50
"""Steps of a pixel in which `held_along` sums."""


def held_along(length: int, window: int, cells: int, margin: float) -> np.ndarray:
    """What a window counts of each cell at every whole pixel, summed step by step; cells need not begin at a pixel."""
    cell = np.arange(length * FINE * cells) // (length * FINE)  # of each cell's share of a step
    weights = np.ones(window * FINE)
    inset = round(margin * window * FINE) if window < length else 0
    weights[:inset] = weights[len(weights) - inset :] = 0.5
    rows = []
    for start in range(length - window + 1):
        worth = np.zeros(length * FINE)
        worth[start * FINE : start * FINE + len(weights)] = weights
        rows.append(np.bincount(cell, np.repeat(worth, cells), cells) / (length * FINE))
    return np.array(rows)


@pytest.mark.parametrize("margin", [0, 0.02, 0.1])
@pytest.mark.parametrize("seed", range(12))
def test_search_equals_brute_force_where_cells_begin_between_pixels(seed: int, margin: float):
    rng = np.random.default_rng(seed)
    size = Size(*(int(side) for side in rng.integers(20, 60, 2)))
    window = Size(int(rng.integers(1, size.width + 1)), int(rng.integers(1, size.height + 1)))
    density = rng.random(rng.integers(3, 14, 2)) ** 6
    density /= density.sum()
    held, worth = (
        held_along(size.height, window.height, density.shape[0], by)
        @ density
        @ held_along(size.width, window.width, density.shape[1], by).T
        for by in (0, margin)
    )
    places = search(density, size, window, margin)
    assert places.worth.max() == pytest.approx(worth.max(), abs=1e-12)
    box = best(places)
    assert worth[box.top, box.left] >= worth.max() - 2 * TIE
    assert places.holding(box).share == pytest.approx(held[box.top, box.left], abs=1e-12)


@pytest.mark.parametrize("size", [Size(4000, 3000), Size(37, 100), Size(10, 10)])
@pytest.mark.parametrize("margin", [0, 0.05])
def test_of_equal_places_the_most_central_is_best(size: Size, margin: float):
    window = Size(size.width // 2, size.height // 3)
    assert best(search(np.full((48, 64), 1 / 48 / 64), size, window)) == central_window(size, window)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.6])
def test_boxes_apart_overlap_little(rng: np.random.Generator, overlap: float):
    density = np.ones((20, 20)) / 400
    size, first = Size(40, 40), Box(10, 12, 15, 10)
    places = search(density, size, Size(15, 10)).apart_from(first, overlap)
    pixels = np.zeros((40, 40), bool)
    pixels[first.top : first.bottom, first.left : first.right] = True
    for row, top in enumerate(places.tops.astype(int)):
        for column, left in enumerate(places.lefts.astype(int)):
            other = np.zeros((40, 40), bool)
            other[top : top + 10, left : left + 15] = True
            shared = (pixels & other).sum() / (pixels | other).sum()
            assert (places.worth[row, column] == -np.inf) == (shared > overlap)


def within(fine: np.ndarray, left: float, top: float, right: float, bottom: float) -> float:
    """What lies between places in pixels and parts of them, by brute force."""
    rows, columns = (np.arange(length) for length in fine.shape)
    high = (np.minimum(rows + 1, bottom) - np.maximum(rows, top)).clip(0, 1)
    wide = (np.minimum(columns + 1, right) - np.maximum(columns, left)).clip(0, 1)
    return float(high @ fine @ wide)


@pytest.mark.parametrize(("near", "beside"), [(0, 0), (2, 0), (0, 3), (2, 5)])
@pytest.mark.parametrize("window", [Size(20, 20), Size(17, 30), Size(40, 9), Size(40, 30), Size(1, 1)])
def test_what_is_near_and_beside_the_sides_equals_brute_force(
    rng: np.random.Generator, window: Size, near: float, beside: float
):
    coarse, size = rng.random((6, 8)) ** 4, Size(40, 30)
    fine = spread(coarse, 5)
    above = np.maximum(fine - fine.mean(), 0)
    places = search(coarse / coarse.sum(), size, window, 0, near, beside)
    for row, top in enumerate(places.tops):
        for column, left in enumerate(places.lefts):
            ends = np.array([left, top, left + window.width, top + window.height])
            inwards = np.array([left > 0, top > 0, -1 * (ends[2] < 40), -1 * (ends[3] < 30)])
            for by, found in ((near, places.cuts), (beside, places.beside)):
                expected = within(above, *(ends - by * inwards)) - within(above, *(ends + by * inwards))
                if window.width > 2 * by and window.height > 2 * by:
                    assert found[row, column] == pytest.approx(expected, abs=1e-12)


def test_an_even_density_is_cut_nowhere():
    places = search(np.full((6, 8), 1 / 48), Size(40, 30), Size(17, 30), 0, 2, 5)
    assert not places.cuts.any()
    assert not places.beside.any()


@pytest.mark.parametrize("window", [Size(20, 20), Size(17, 30), Size(40, 9), Size(40, 30), Size(1, 1)])
def test_how_far_from_the_middle_it_lies_equals_brute_force(rng: np.random.Generator, window: Size):
    coarse, size = rng.random((6, 8)) ** 4, Size(40, 30)
    coarse[:, :2] = 0  # where the smallest window holds nothing
    coarse /= coarse.sum()
    places = search(coarse, size, window)
    found = offsets(coarse, places)
    fine, cells = spread(coarse, 5), np.mgrid[2.5:30:5, 2.5:40:5].repeat(5, 1).repeat(5, 2)  # the cells' middles
    for row, top in enumerate(places.tops.astype(int)):
        for column, left in enumerate(places.lefts.astype(int)):
            here = np.s_[top : top + window.height, left : left + window.width]
            held, expected = fine[here].sum(), 0.0
            for middles, start, own, of in zip(
                cells, (top, left), (window.height, window.width), (30, 40), strict=True
            ):
                if held > TIE and own < of:
                    expected += (((fine * middles)[here].sum() / held - start - own / 2) / own) ** 2
            assert found[row, column] == pytest.approx(expected, abs=1e-9)


def test_shifts_are_parts_of_the_way_from_the_center(rng: np.random.Generator):
    places = search(rng.random((6, 8)), Size(40, 30), Size(20, 10))
    expected = abs(places.lefts - 10) / 10 + abs(places.tops - 10)[:, None] / 10
    np.testing.assert_allclose(places.shifts, expected, atol=1e-12)
    assert not search(rng.random((6, 8)), Size(40, 30), Size(40, 30)).shifts.any()
