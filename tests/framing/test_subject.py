import cv2
import numpy as np
import pytest

from gaze import AspectRatio, Size
from gaze.framing.choice import choose
from gaze.framing.heads import Heads
from gaze.framing.policy import DISTINCT, ON_HEADS
from gaze.framing.subject import (
    AROUND,
    BINS,
    BORDER,
    BORDER_WEIGHT,
    FOUND_WEIGHT,
    GAZE_WEIGHT,
    INNER,
    LEAST,
    LEAST_RANGE,
    ROUNDS,
    Subject,
)
from gaze.geometry import Point

HIGH, WIDE = 30, 40
NO_HEADS = Heads(np.zeros((0, 4)), np.zeros(0))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def spot(row: float, column: float, sigma: float = 2.0) -> np.ndarray:
    """Gaze around one place."""
    rows, columns = np.mgrid[:HIGH, :WIDE]
    bell = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2)) + 1e-4
    return (bell / bell.sum()).astype(np.float32)


def bar(first: int, last: int) -> np.ndarray:
    """A red bar from one column to another in the lower half of a blue picture."""
    image = np.full((HIGH, WIDE, 3), (30, 60, 200), np.uint8)
    image[HIGH // 2 :, first:last] = (220, 30, 30)
    return image


def brute_force(image: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, float]:
    """Cell after cell, with the histograms as dictionaries."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(int)
    lows, highs = lab.min((0, 1)), lab.max((0, 1))
    by = max(1, round(BORDER * WIDE))
    color, border = {}, {}
    for y in range(HIGH):
        for x in range(WIDE):
            spans = [max(high - low + 1, LEAST_RANGE) for low, high in zip(lows, highs, strict=True)]
            color[y, x] = tuple(min(BINS - 1, int((lab[y, x, c] - lows[c]) / spans[c] * BINS)) for c in range(3))
            inner = by <= y < HIGH - by and by <= x < WIDE - by
            border[y, x] = INNER if inner else BORDER_WEIGHT
    gaze = density / density.sum() * density.size
    around = cv2.GaussianBlur(gaze.astype(np.float32), (0, 0), AROUND * WIDE)
    around /= around.max()
    one = {cell: gaze[cell] for cell in color}
    other = {cell: max(LEAST, 1 - gaze[cell]) * border[cell] for cell in color}
    for _ in range(ROUNDS):
        ours, others = ({}, {})
        for weights, histogram in ((one, ours), (other, others)):
            for cell, weight in weights.items():
                histogram[color[cell]] = histogram.get(color[cell], 0) + weight / sum(weights.values())
        found = np.zeros((HIGH, WIDE), np.float32)
        for cell, bin in color.items():
            found[cell] = ours[bin] / (ours[bin] + others[bin] + 1e-9)
        found = cv2.GaussianBlur(found, (5, 5), 0.8)
        one = {cell: GAZE_WEIGHT * gaze[cell] + FOUND_WEIGHT * found[cell] ** 2 * around[cell] for cell in color}
        other = {cell: max(LEAST, (1 - found[cell]) ** 2) * border[cell] for cell in color}
    cells = found * np.sqrt(around)
    return cells / cells.sum(), 1 - sum(np.sqrt(ours[bin] * others[bin]) for bin in ours)


def test_equals_brute_force(rng: np.random.Generator):
    image = cv2.GaussianBlur(rng.integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8), (0, 0), 3)
    density = spot(12, 25)
    cells, distinct = brute_force(image, density)
    found = Subject.of(image, density)
    assert found.cells == pytest.approx(cells, abs=1e-7)
    assert found.distinct == pytest.approx(distinct, abs=1e-5)


def test_holds_the_whole_thing_that_is_looked_at_in_one_place():
    image = bar(8, 24)
    found = Subject.of(image, spot(22, 12))
    red = image[..., 0] > 200
    assert found.cells.sum() == pytest.approx(1)
    assert found.cells[red].sum() > 0.9
    assert (found.cells[red] > np.median(found.cells[~red])).all()
    assert found.distinct > 0.8


def test_nothing_is_distinct_in_an_even_image():
    assert Subject.of(np.full((HIGH, WIDE, 3), 90, np.uint8), spot(10, 10)).distinct == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (2, 3), (30, 40)])
def test_an_even_gaze_has_no_distinct_subject(rng: np.random.Generator, size: tuple[int, int]):
    image = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    found = Subject.of(image, np.ones(size, np.float32))
    assert found.cells.shape == size
    assert found.cells.sum() == pytest.approx(1)
    assert found.cells.min() >= 0
    assert found.distinct < DISTINCT[0]


def test_neither_the_size_of_the_image_nor_the_scale_of_the_density_counts():
    image, density = bar(8, 24), spot(22, 12)
    small = Subject.of(image, density)
    for factor in (2, 3, 4):
        large = Subject.of(np.repeat(np.repeat(image, factor, 0), factor, 1), 5 * density)
        assert large.cells == pytest.approx(small.cells, abs=1e-6)


def test_a_mean_counts_each_frame_the_same():
    parts = [Subject(np.full((2, 2), 0.25), 0.2), Subject(np.array([[1.0, 0], [0, 0]]), 0.6)]
    mean = Subject.mean(parts)
    assert mean.cells.tolist() == [[0.625, 0.125], [0.125, 0.125]]
    assert mean.distinct == pytest.approx(0.4)


class TestChoice:
    """A long bar is looked at near its right end; a square can hold it whole."""

    size, gaze = Size(400, 300), spot(22, 28)

    def left(self, subject: Subject | None, heads: Heads | None = NO_HEADS, **focus: object) -> int:
        return choose(self.gaze, self.size, AspectRatio(1, 1), heads=heads, subject=subject, **focus)[0].box.left  # type: ignore[arg-type]

    @pytest.fixture
    def subject(self) -> Subject:
        cells = (bar(3, 31)[..., 0] > 200).astype(np.float64)
        return Subject(cells / cells.sum(), 1.0)

    def test_holds_more_of_the_subject_than_the_gaze_alone_would(self, subject: Subject):
        assert self.left(subject) < self.left(None) - 10

    def test_counts_nothing_where_it_is_not_distinct(self, subject: Subject):
        assert self.left(Subject(subject.cells, DISTINCT[0])) == self.left(None)

    def test_counts_nothing_where_the_gaze_is_on_heads(self, subject: Subject):
        heads = Heads(np.array([[0.6, 0.6, 0.75, 0.8]]), np.array([ON_HEADS]))
        assert self.left(subject, heads) == self.left(None, heads)

    def test_counts_nothing_where_heads_are_not_known(self, subject: Subject):
        assert self.left(subject, None) == self.left(None, None)

    def test_counts_nothing_where_a_person_chose_the_point(self, subject: Subject):
        point = [Point(280, 220)]
        assert self.left(subject, focus=point) == self.left(None, focus=point)

    def test_the_score_is_of_the_gaze(self, subject: Subject):
        crop = choose(self.gaze, self.size, AspectRatio(1, 1), heads=NO_HEADS, subject=subject)[0]
        columns = slice(crop.box.left // 10 + 1, (crop.box.right) // 10)
        assert crop.score == pytest.approx(self.gaze[:, columns].sum(), abs=0.02)
