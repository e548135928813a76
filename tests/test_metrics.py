"""Every metric against scipy, torchmetrics or plain loops, and at the edges."""

import numpy as np
import pytest
import scipy.stats

from gaze import metrics
from gaze.errors import DataError


@pytest.fixture
def random():
    return np.random.default_rng(7)


@pytest.fixture
def points(random):
    return random.uniform(-0.49, 39.4, 30), random.uniform(-0.49, 24.4, 30)


@pytest.fixture
def saliency(random):
    """A 25 x 40 map of only eight levels, so that most comparisons are ties."""
    return random.integers(0, 8, (25, 40)) / 8


def looked_up(array, x, y):
    return np.array([array[round(float(b)), round(float(a))] for a, b in zip(x, y, strict=True)])


def density(random, shape=(25, 40)):
    values = random.random(shape) + 0.01
    return values / values.sum()


def pairwise_auc(positives, negatives):
    wins = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    return sum(wins) / len(wins)


def roc_auc(positives, negatives):
    """The trapezoid under the curve itself, one threshold for each value."""
    thresholds = np.r_[np.inf, np.unique(np.r_[positives, negatives])[::-1]]
    hits = [(positives >= t).mean() for t in thresholds]
    false_alarms = [(negatives >= t).mean() for t in thresholds]
    return np.trapezoid(hits, false_alarms) if hasattr(np, "trapezoid") else np.trapz(hits, false_alarms)


@pytest.mark.parametrize("count", [1, 5, 24, 25, 30])
def test_auc_agrees_with_every_pair_and_with_the_trapezoid(saliency, points, count):
    x, y = points[0][:count], points[1][:count]
    fixated = looked_up(saliency, x, y)
    value = metrics.auc(saliency, x, y)
    assert value == pytest.approx(pairwise_auc(fixated, saliency.ravel()), abs=1e-12)
    assert value == pytest.approx(roc_auc(fixated, saliency.ravel()), abs=1e-12)


def test_auc_agrees_with_mann_whitney_on_a_large_map(random):
    saliency = random.random((300, 400), np.float32)
    x, y = random.integers(0, 400, 200), random.integers(0, 300, 200)
    exact = saliency.astype(np.float64)  # scipy would rank in float32
    statistic = scipy.stats.mannwhitneyu(exact[y, x], exact.ravel()).statistic
    assert metrics.auc(saliency, x, y) == pytest.approx(statistic / (200 * saliency.size), abs=1e-9)


def test_auc_ignores_everything_but_the_order(saliency, points):
    value = metrics.auc(saliency, *points)
    assert metrics.auc(np.exp(5 * saliency) - 3, *points) == value
    assert metrics.auc(-saliency, *points) == pytest.approx(1 - value)
    with np.errstate(divide="ignore"):
        assert metrics.auc(np.log(saliency), *points) == value  # -inf where the map is 0


def test_auc_of_the_only_peak_falls_short_of_1_by_its_own_tie():
    saliency = np.zeros((4, 5))
    saliency[3, 4] = 1
    assert metrics.auc(saliency, [4], [3]) == pytest.approx(1 - 0.5 / 20)


def test_shuffled_auc_agrees_with_every_pair(saliency, points, random):
    others = random.uniform(0, 39, 70), random.uniform(0, 24, 70)
    expected = pairwise_auc(looked_up(saliency, *points), looked_up(saliency, *others))
    assert metrics.shuffled_auc(saliency, *points, *others) == pytest.approx(expected, abs=1e-12)


def test_shuffled_auc_of_the_same_points_is_half(saliency, points):
    assert metrics.shuffled_auc(saliency, *points, *points) == pytest.approx(0.5)


def test_nss_agrees_with_zscore_of_the_population(saliency, points):
    scores = scipy.stats.zscore(saliency, axis=None, ddof=0)
    assert metrics.nss(saliency, *points) == pytest.approx(looked_up(scores, *points).mean())
    assert metrics.nss(3 * saliency + 2, *points) == pytest.approx(metrics.nss(saliency, *points))


def test_nss_keeps_its_precision_in_float32(random):
    saliency = (random.random((600, 800)) ** 8 * 1e-6).astype(np.float32)
    x, y = random.integers(0, 800, 50), random.integers(0, 600, 50)
    expected = scipy.stats.zscore(saliency.astype(np.float64), axis=None)[y, x].mean()
    assert metrics.nss(saliency, x, y) == pytest.approx(expected, rel=1e-5)


def test_information_gain_agrees_with_a_loop(random, points):
    model, baseline = density(random), density(random)
    ratio = looked_up(model, *points) / looked_up(baseline, *points)
    expected = sum(np.log2(r) for r in ratio) / len(ratio)
    assert metrics.information_gain(np.log(model), np.log(baseline), *points) == pytest.approx(expected)


def test_information_gain_of_twice_the_probability_is_one_bit():
    flat = np.full((2, 4), 1 / 8)
    half = np.where(np.arange(4) < 2, 1 / 4, 1e-300) * np.ones((2, 1))
    assert metrics.information_gain(np.log(half), np.log(flat), [0, 1], [1, 0]) == pytest.approx(1)
    assert metrics.information_gain(np.log(flat), np.log(flat), [0], [0]) == 0


def test_information_gain_is_minus_infinity_where_a_fixation_has_no_probability():
    log_density = np.array([[-np.inf, 0.0]])
    assert metrics.information_gain(log_density, np.log([[0.5, 0.5]]), [0, 1], [0, 0]) == -np.inf


def test_cc_agrees_with_pearson(random):
    first, second = random.random((25, 40)), random.random((25, 40))
    expected = scipy.stats.pearsonr(first.ravel(), second.ravel()).statistic
    assert metrics.cc(first, second) == pytest.approx(expected)
    assert metrics.cc(first, 2 * first + 1) == pytest.approx(1)
    assert metrics.cc(first, -first) == pytest.approx(-1)


def test_sim_agrees_with_a_loop(random):
    first, second = random.random((5, 6)), random.random((5, 6))
    p, q = first.ravel() / first.sum(), second.ravel() / second.sum()
    assert metrics.sim(first, second) == pytest.approx(sum(min(a, b) for a, b in zip(p, q, strict=True)))
    assert metrics.sim(first, first * 7) == pytest.approx(1)
    assert metrics.sim([[1.0, 0.0]], [[0.0, 1.0]]) == 0


def test_kl_agrees_with_scipy_and_torchmetrics(random):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional")
    prediction, truth = density(random), density(random)
    value = metrics.kl(prediction, truth)
    assert value == pytest.approx(scipy.stats.entropy(truth.ravel(), prediction.ravel()))
    rows = (torch.tensor(density).reshape(1, -1) for density in (truth, prediction))
    assert value == pytest.approx(functional.kl_divergence(*rows).item())
    assert value != pytest.approx(metrics.kl(truth, prediction))


def test_kl_normalises_and_obeys_its_limits(random):
    prediction, truth = density(random), density(random)
    assert metrics.kl(3 * prediction, 5 * truth) == pytest.approx(metrics.kl(prediction, truth))
    assert metrics.kl(truth, truth) == pytest.approx(0, abs=1e-12)
    assert metrics.kl([[1.0, 0.0]], [[0.5, 0.5]]) == np.inf
    assert metrics.kl([[0.5, 0.5]], [[1.0, 0.0]]) == pytest.approx(np.log(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [0.0, 1 / 3, 2.0833334e-6, -12.7])
def test_a_constant_map_is_at_chance(level, dtype, points, random):
    flat = np.full((25, 40), level, dtype)
    assert metrics.auc(flat, *points) == 0.5
    assert metrics.shuffled_auc(flat, *points, *points) == 0.5
    assert metrics.nss(flat, *points) == 0
    assert metrics.cc(flat, random.random((25, 40))) == 0
    assert metrics.cc(random.random((25, 40)), flat) == 0


def test_a_constant_map_with_rounding_noise_is_still_constant():
    flat = np.full((600, 800), 1 / 480000, np.float32)
    flat[::2] = np.nextafter(flat[::2], np.float32(1))
    assert metrics.nss(flat, [3], [4]) == 0


def test_fixations_are_rounded_to_the_nearest_pixel_up_to_the_border():
    saliency = np.arange(12.0).reshape(3, 4)
    x, y = [-0.5, 3.49, 0.5, 1.49], [-0.5, 2.49, 0.0, 1.5]
    assert metrics.values_at(saliency, x, y).tolist() == [0, 11, 1, 9]


@pytest.mark.parametrize(("x", "y"), [(3.5, 0), (-0.51, 0), (0, 2.5), (0, -0.51), (np.nan, 0), (0, np.inf)])
def test_a_fixation_outside_the_map_is_an_error_that_says_which(x, y):
    with pytest.raises(DataError, match=r"fixation 1 .* outside the 4 x 3 map"):
        metrics.auc(np.ones((3, 4)), [0, x], [0, y])


def test_a_single_fixation_is_enough(saliency):
    assert metrics.auc(saliency, 3, 4) == pytest.approx(pairwise_auc([saliency[4, 3]], saliency.ravel()))
    assert np.isfinite(metrics.nss(saliency, [3], [4]))


def test_each_fixation_counts_where_several_share_a_pixel(saliency):
    twice = metrics.nss(saliency, [3, 3, 9], [4, 4, 1])
    once = [metrics.nss(saliency, [a], [b]) for a, b in ((3, 4), (9, 1))]
    assert twice == pytest.approx((2 * once[0] + once[1]) / 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.auc(np.ones(5), [0], [0]), r"saliency: expected a map of shape H x W, got shape \(5,\)"),
        (lambda m: m.auc(np.ones((0, 4)), [0], [0]), "saliency: expected a map"),
        (lambda m: m.auc(np.full((2, 2), np.nan), [0], [0]), "saliency: the map holds NaN"),
        (lambda m: m.auc(np.ones((2, 2)), [], []), "expected x and y of one length >= 1"),
        (lambda m: m.nss(np.ones((2, 2)), [0, 1], [0]), "expected x and y of one length"),
        (lambda m: m.nss([[np.inf, 1.0]], [0], [0]), "saliency: expected finite values"),
        (lambda m: m.cc(np.ones((2, 2)), np.ones((2, 3))), r"prediction is \(2, 2\) but truth is \(2, 3\)"),
        (lambda m: m.sim([[-1.0, 2.0]], [[1.0, 1.0]]), "prediction: expected values >= 0"),
        (lambda m: m.kl([[1.0, 1.0]], [[0.0, 0.0]]), "truth: expected values >= 0 with a positive"),
        (lambda m: m.kl([[np.inf, 1.0]], [[1.0, 1.0]]), "prediction: expected values >= 0"),
    ],
)
def test_bad_input_is_one_line_that_names_it(call, message):
    with pytest.raises(DataError, match=message) as caught:
        call(metrics)
    assert "\n" not in str(caught.value)


def test_inputs_are_left_as_they_were(random, points):
    maps = [random.random((25, 40)).astype(np.float32) for _ in range(2)]
    before = [m.copy() for m in maps]
    for call in (metrics.cc, metrics.sim, metrics.kl):
        call(*maps)
    metrics.nss(maps[0], *points)
    assert all(np.array_equal(a, b) for a, b in zip(maps, before, strict=True))


def test_bootstrap_interval_agrees_with_scipy(random):
    values = random.normal(2, 1, 60)
    low, high = metrics.bootstrap_interval(values, resamples=4000, seed=1)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert low == pytest.approx(reference.low, abs=0.03)
    assert high == pytest.approx(reference.high, abs=0.03)


def test_bootstrap_interval_is_seeded_and_widens_with_the_level(random):
    values = random.normal(size=40)
    interval = metrics.bootstrap_interval(values, seed=3)
    assert metrics.bootstrap_interval(values, seed=3) == interval
    assert metrics.bootstrap_interval(values, seed=4) != interval
    wide = metrics.bootstrap_interval(values, level=0.99, seed=3)
    assert wide[0] < interval[0] < values.mean() < interval[1] < wide[1]


def test_bootstrap_interval_of_one_value_and_of_none():
    assert metrics.bootstrap_interval([0.7]) == (0.7, 0.7)
    assert np.isnan(metrics.bootstrap_interval([])).all()
