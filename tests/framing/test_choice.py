import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest

from gaze import AspectRatio, Box, ConfigError, Point, Size
from gaze.framing.choice import choose, with_focus
from gaze.framing.policy import KEEP, NEAR, OVERLAP, TOLERANCE, Framing
from gaze.framing.windows import Windows, central_window, search

SQUARE = AspectRatio(1, 1)
PLAIN = Framing(cut_weight=0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def spots(*places: tuple[float, float], shape: tuple[int, int] = (30, 40), sigma: float = 0.04) -> np.ndarray:
    """Gaussian spots at x, y from 0 to 1, each worth half of the one before, on a little of everything."""
    y, x = ((np.arange(n) + 0.5) / n for n in shape)
    density = np.full(shape, 1e-4)
    for k, (right, down) in enumerate(places):
        density += np.exp(-((x - right) ** 2 + (y[:, None] - down) ** 2) / (2 * sigma**2)) / 2**k
    return density / density.sum()


def held(density: np.ndarray, box: Box) -> float:
    """Share of a map of one cell a pixel that lies in the box."""
    return density[box.top : box.bottom, box.left : box.right].sum() / density.sum()


def share_of_best(places: Windows) -> float:
    """Of the place worth most."""
    return places.holding(places.most_central(places.worth >= places.worth.max() - 1e-6)).share


def overlap(a: Box, b: Box) -> float:
    common = max(0, min(a.right, b.right) - max(a.left, b.left)) * max(0, min(a.bottom, b.bottom) - max(a.top, b.top))
    return common / (a.size.pixels + b.size.pixels - common)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (24, 33), (40, 21)])
@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16", "1:3"])
def test_the_largest_window_that_holds_most_is_chosen(rng: np.random.Generator, shape: tuple[int, int], ratio: str):
    density = rng.random(shape).astype(np.float32) ** 8
    size = Size(shape[1], shape[0])
    (crop,) = choose(density, size, AspectRatio.parse(ratio), PLAIN)
    window = AspectRatio.parse(ratio).largest(size)
    tried = [
        held(density, Box(left, top, *dataclasses.astuple(window)))
        for left in range(size.width - window.width + 1)
        for top in range(size.height - window.height + 1)
    ]
    assert crop.box.size == window
    assert crop.score == pytest.approx(held(density, crop.box), abs=1e-5)
    assert crop.score == pytest.approx(max(tried), abs=1e-5)
    assert crop.center_score == pytest.approx(held(density, central_window(size, window)), abs=1e-5)


def test_mass_wins_over_the_brightest_pixel():
    density = np.full((30, 90), 1e-6)
    density[15, 5] = 1.0
    density[10:20, 60:80] = 0.05
    (crop,) = choose(density, Size(90, 30), SQUARE)
    assert crop.box.left > 45
    assert crop.score > 0.9


def test_scores_stay_within_zero_and_one(rng: np.random.Generator):
    for _ in range(50):
        density = rng.random((rng.integers(1, 40), rng.integers(1, 40))).astype(np.float32) ** 20
        (crop,) = choose(density, Size(1234, 567), AspectRatio(3, 2), PLAIN)
        assert 0 <= crop.center_score <= crop.score + 1e-9 <= 1 + 1e-9
        assert isinstance(crop.box.left, int)
        assert isinstance(crop.score, float)


@pytest.mark.parametrize("framing", [Framing(), Framing((1.5, 1.5)), Framing((1, 3)), Framing(keep=0.9, candidates=3)])
@pytest.mark.parametrize("ratio", ["1:1", "9:16", "16:9"])
def test_same_photo_in_another_size_gives_the_same_choice(rng: np.random.Generator, framing: Framing, ratio: str):
    density = spots(*rng.random((4, 2)))
    large = choose(density, Size(3960, 2970), AspectRatio.parse(ratio), framing)
    for factor in (2, 3.3):
        small = choose(density, Size(round(3960 / factor), round(2970 / factor)), AspectRatio.parse(ratio), framing)
        for a, b in zip(large, small, strict=True):
            np.testing.assert_allclose(
                dataclasses.astuple(b.box), np.array(dataclasses.astuple(a.box)) / factor, atol=1.5
            )
            assert b.score == pytest.approx(a.score, abs=2e-3)


@pytest.mark.parametrize("size", [Size(4000, 3000), Size(37, 100), Size(10, 10)])
def test_even_density_gives_the_central_window(size: Size):
    (crop,) = choose(np.ones((48, 64), np.float32), size, SQUARE)
    assert crop.box == central_window(size, crop.box.size)
    assert crop.score == crop.center_score == pytest.approx(crop.box.size.pixels / size.pixels)
    assert (crop.confidence, crop.zoom) == (0, 1)


def test_small_gains_leave_the_crop_in_the_centre():
    density = np.ones((30, 40))
    density[:, 35:] = 1.2
    (moved,) = choose(density, Size(400, 300), SQUARE, PLAIN)
    (stayed,) = choose(density, Size(400, 300), SQUARE, Framing(threshold=moved.confidence + 1e-9, cut_weight=0))
    assert (moved.box.left, moved.centered) == (100, False)
    assert (stayed.box.left, stayed.centered) == (50, True)
    assert stayed.score == stayed.center_score < moved.score
    assert 0 < stayed.confidence == moved.confidence < 0.05


def test_fixed_zoom_divides_the_sides():
    (crop,) = choose(spots((0.8, 0.3)), Size(800, 600), AspectRatio(4, 3), Framing((2.5, 2.5)))
    assert crop.box.size == Size(320, 240)
    assert crop.zoom == 2.5
    assert crop.box.left <= 640 - 100
    assert crop.box.right >= 640 + 100
    assert crop.box.top <= 180 <= crop.box.bottom


@pytest.mark.parametrize("padding", [0, 0.02])
def test_automatic_zoom_is_the_tightest_window_that_holds_enough(rng: np.random.Generator, padding: float):
    for _ in range(20):
        density, size = spots(*rng.random((3, 2))), Size(800, 600)
        (crop,) = choose(density, size, SQUARE, Framing((1, 3), padding, cut_weight=0))
        largest = search(density, size, Size(600, 600), padding)
        enough = KEEP * share_of_best(largest)
        assert crop.score >= enough - 1e-6
        step = (600 - 200) // 32 + 1
        smaller = search(density, size, Size(crop.box.width - step, crop.box.height - step), padding)
        assert crop.box.width == 200 or share_of_best(smaller) < enough
        assert crop.zoom == pytest.approx(600 / crop.box.width)


@pytest.mark.parametrize(("rows", "zoom"), [((14, 15), 2.5), ((3, 26), 1.25)])
def test_bounds_of_the_zoom_are_kept(rows: tuple[int, int], zoom: float):
    density = np.zeros((30, 40))
    density[rows, 20] = 1
    (crop,) = choose(density, Size(800, 600), SQUARE, Framing((1.25, 2.5), cut_weight=0))
    assert (crop.zoom, crop.score) == (zoom, pytest.approx(1))


def test_padding_moves_the_box_away_from_what_is_looked_at():
    density, size, ratio = np.zeros((30, 40)), Size(800, 600), AspectRatio(3, 4)
    density[15, [9, 20]] = 1  # from 180 to 420 pixels
    (tight,) = choose(density, size, ratio, PLAIN)
    (padded,) = choose(density, size, ratio, Framing(padding=0.1, threshold=0))
    assert tight.score == padded.score == pytest.approx(1)
    assert tight.box.left <= 180 < 420 <= tight.box.right < padded.box.right + 45
    assert padded.box.left + 45 <= 180 < 420 <= padded.box.right - 45


@pytest.mark.parametrize("framing", [Framing(candidates=6), Framing((2, 2), candidates=9)])
def test_candidates_come_best_first_and_have_little_in_common(rng: np.random.Generator, framing: Framing):
    density = spots(*rng.random((6, 2)))
    crops = choose(density, Size(800, 600), AspectRatio(9, 16), framing)
    assert 1 < len(crops) <= framing.candidates
    assert len({crop.box.size for crop in crops}) == 1
    assert all(overlap(a.box, b.box) <= OVERLAP for a, b in itertools.combinations(crops, 2))
    worth = [crop.score - framing.cut_weight * crop.cut for crop in crops]
    assert all(a >= b - TOLERANCE for a, b in itertools.pairwise(worth))
    assert (
        crops[0] == choose(density, Size(800, 600), AspectRatio(9, 16), dataclasses.replace(framing, candidates=1))[0]
    )


def test_no_more_candidates_than_places():
    assert len(choose(spots((0.5, 0.5)), Size(400, 300), AspectRatio(4, 3), Framing(candidates=5))) == 1


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("zoom", [(1, 1), (1, 3), (2, 2)])
def test_a_box_that_holds_too_little_grows_beyond_its_ratio(keep: float, zoom: tuple[float, float]):
    density, size = spots((0.1, 0.5), (0.9, 0.5), (0.5, 0.9)), Size(800, 600)
    ratio, framing = AspectRatio(9, 16), Framing(zoom, keep=keep)
    (crop,) = choose(density, size, ratio, framing)
    (plain,) = choose(density, size, ratio, Framing((zoom[0], zoom[0]), threshold=0))
    assert crop.score >= keep - 1e-6
    if plain.score >= keep:
        assert crop.box.width / crop.box.height == pytest.approx(9 / 16, abs=0.01)
    else:
        assert crop.box.width > plain.box.width
        assert crop.box.height >= plain.box.height
    if keep == 1:
        assert crop.box == Box(0, 0, 800, 600)


def test_focus_overrides_the_model_or_pulls():
    density, size, point = spots((0.15, 0.5)), Size(800, 600), Point(640, 200)
    lefts = []
    for weight in (0, 0.3, 0.6, 1):
        assert with_focus(density, size, [point], weight).sum() == pytest.approx(1)
        (crop,) = choose(density, size, AspectRatio(1, 2), Framing(), [point], weight)
        lefts.append(crop.box.left)
    assert lefts == sorted(lefts)
    assert lefts[0] <= 120 <= lefts[0] + 300
    assert lefts[-1] + 150 == pytest.approx(640, abs=15)


@pytest.mark.parametrize("x", [300, 384, 512, 700])
def test_a_crop_goes_to_the_point_of_focus_whatever_lies_beside_it(x: int):
    (crop,) = choose(spots((0.7, 0.4)), Size(1280, 768), SQUARE, Framing(), [Point(x, 200)])
    assert crop.box.left + 384 == pytest.approx(max(384, x), abs=32)  # a cell


def test_box_of_several_focuses_holds_them_all():
    size, points = Size(800, 600), [Point(60, 300), Point(300, 100), Point(10, 590)]
    (crop,) = choose(spots((0.9, 0.5)), size, SQUARE, Framing(threshold=1), points)
    assert all(crop.box.left <= p.x < crop.box.right and crop.box.top <= p.y < crop.box.bottom for p in points)


@pytest.mark.parametrize(
    ("points", "weight", "message"),
    [
        ([], 1, "focus: expected points inside the 800x600 pixels"),
        ([Point(800, 10)], 1, "focus: expected points inside"),
        ([Point(3, float("nan"))], 1, "focus: expected points inside"),
        ([Point(3, 3)], 1.5, "focus weight: expected a share from 0 to 1, got 1.5"),
    ],
)
def test_focus_outside_the_photo_is_an_error(points: list[Point], weight: float, message: str):
    with pytest.raises(ConfigError, match=message):
        with_focus(np.ones((3, 4)), Size(800, 600), points, weight)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"zoom": (0.5, 1)}, "zoom: expected two numbers from 1 up, the smaller first, got"),
        ({"zoom": (3, 2)}, "zoom: expected"),
        ({"zoom": (1, float("inf"))}, "zoom: expected"),
        ({"padding": 0.5}, "padding: expected a share from 0 to below 0.5, got 0.5"),
        ({"candidates": 0}, "candidates: expected a whole number from 1 to 100, got 0"),
        ({"candidates": 10_000_000}, "candidates: expected a whole number from 1 to 100, got 10000000"),
        ({"candidates": 1.5}, "candidates: expected a whole number from 1 to 100, got 1.5"),
        ({"candidates": "3"}, "candidates: expected a whole number from 1 to 100, got '3'"),
        ({"zoom": None}, "zoom: expected two numbers from 1 up, the smaller first, got None"),
        ({"zoom": (1, 2, 3)}, "zoom: expected two numbers"),
        ({"zoom": [1] * 10**6}, "zoom: .*got list of 1000000$"),
        ({"keep": None}, "keep: expected a number, got None"),
        ({"threshold": -0.1}, "threshold: expected a share from 0 to 1"),
        ({"keep": 1.1}, "keep: expected a share from 0 to 1"),
    ],
)
def test_framing_names_what_is_out_of_range(values: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        Framing(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1001, 100_000])
def test_focus_points_have_a_bound_whoever_asks(count: int):
    with pytest.raises(ConfigError, match=f"^focus: expected at most 1000 points of one photo, got {count}$"):
        with_focus(np.ones((6, 8)), Size(8, 6), [Point(1, 1)] * count)


def test_focus_takes_memory_for_one_map_and_not_for_one_a_point():
    density, points = np.ones((600, 800)), [Point(x, 1) for x in range(200)]
    with_focus(density, Size(800, 600), points[:2])
    tracemalloc.start()
    with_focus(density, Size(800, 600), points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * density.nbytes


def test_a_point_outside_is_named_and_not_all_of_them():
    with pytest.raises(ConfigError, match=r"^focus: expected points inside the 8x6 .*got Point\(x=9, y=1\)$"):
        with_focus(np.ones((6, 8)), Size(8, 6), [Point(1, 1), *[Point(9, 1)] * 900])


def near_the_sides(density: np.ndarray, box: Box) -> float:
    """By brute force, a cell a pixel: what stands out of the density near those sides that are not the image's."""
    above, near = np.maximum(density - density.mean(), 0), round(NEAR * max(density.shape))
    height, width = density.shape
    reach = [near * (box.left > 0), near * (box.top > 0), near * (box.right < width), near * (box.bottom < height)]
    cut = np.zeros(density.shape, bool)
    cut[
        max(0, box.top - reach[1]) : box.bottom + reach[3],
        max(0, box.left - reach[0]) : box.right + reach[2],
    ] = True
    cut[box.top + reach[1] : box.bottom - reach[3], box.left + reach[0] : box.right - reach[2]] = False
    return above[cut].sum()


@pytest.mark.parametrize("zoom", [1, 1.5])
@pytest.mark.parametrize("ratio", ["1:1", "9:16", "16:9"])
def test_the_window_is_worth_most_and_of_nearly_equal_ones_cuts_least(ratio: str, zoom: float):
    rng = np.random.default_rng(7)
    for _ in range(5):
        density = spots(*rng.random((5, 2)), shape=(75, 100), sigma=0.03)
        size, framing = Size(100, 75), Framing((zoom, zoom))
        (crop,) = choose(density, size, AspectRatio.parse(ratio), framing)
        shape = dataclasses.astuple(crop.box.size)
        boxes = [Box(x, y, *shape) for x in range(101 - shape[0]) for y in range(76 - shape[1])]
        cuts = {box: near_the_sides(density, box) for box in boxes}
        worth = {box: held(density, box) - framing.cut_weight * cuts[box] for box in boxes}
        best = max(worth.values())
        assert worth[crop.box] >= best - TOLERANCE - 1e-5
        assert crop.cut == pytest.approx(cuts[crop.box], abs=1e-6)
        assert crop.cut <= min(cuts[box] for box in boxes if worth[box] >= best - TOLERANCE + 1e-5) + 1e-5


def test_a_side_goes_beside_what_people_look_at_and_not_through_it():
    density, size = spots((0.3, 0.5), (0.72, 0.5), shape=(75, 100), sigma=0.02), Size(800, 600)
    (by_share,) = choose(density, size, AspectRatio(9, 16), Framing(cut_weight=0))
    (crop,) = choose(density, size, AspectRatio(9, 16))
    assert crop.cut < 0.01
    assert crop.score > 0.6
    assert by_share.score >= crop.score


@pytest.mark.parametrize("weight", [0.0, 1.25, 4.0])
def test_an_even_density_is_cut_nowhere_and_the_crop_stays_in_the_centre(weight: float):
    (crop,) = choose(np.full((48, 64), 1.0), Size(800, 600), SQUARE, Framing(cut_weight=weight))
    assert (crop.box.left, crop.centered, crop.cut) == (100, True, 0.0)


def test_more_weight_cuts_less_and_keeps_less():
    rng = np.random.default_rng(11)
    densities = [spots(*rng.random((6, 2)), sigma=0.05) for _ in range(40)]
    found = [
        [choose(density, Size(800, 600), SQUARE, Framing(cut_weight=weight))[0] for density in densities]
        for weight in (0.0, 1.25, 4.0)
    ]
    cuts = [np.mean([crop.cut for crop in crops]) for crops in found]
    scores = [np.mean([crop.score for crop in crops]) for crops in found]
    assert cuts[0] > cuts[1] > cuts[2]
    assert scores[0] > scores[1] > scores[2]


def test_the_cut_is_the_same_whatever_the_pixels():
    density = spots((0.3, 0.4), (0.8, 0.6))
    cuts = [choose(density, Size(*side), AspectRatio(9, 16))[0].cut for side in ((800, 600), (1600, 1200))]
    assert cuts[0] == pytest.approx(cuts[1], abs=2e-3)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_below_zero_is_refused(weight: float):
    with pytest.raises(ConfigError, match="cut_weight: expected a number from 0 up"):
        Framing(cut_weight=weight)
