import numpy as np
import pytest
import scipy.ndimage

from gaze import metrics
from gaze.baselines import GoldModel
from gaze.data.densities import blurred, fixation_density
from gaze.evaluation.scores import METRICS, POINT_METRICS, MetricMaps, Target, gold_scores, score
from gaze.fixations import Fixations
from gaze.geometry import Size


@pytest.fixture
def random():
    return np.random.default_rng(5)


def log_density(random):
    values = random.normal(size=(48, 64))
    return (values - np.log(np.exp(values).sum())).astype(np.float32)


@pytest.fixture
def target(random):
    fixations = Fixations.of(random.uniform(0, 63, 12), random.uniform(0, 47, 12), subject=np.arange(12) // 5)
    others = random.integers(0, 64, 40), random.integers(0, 48, 40)
    density = random.random((48, 64)).astype(np.float32)
    return Target(fixations, others, density / density.sum(), log_density(random))


def test_each_metric_sees_its_own_map_of_a_density(random, target):
    p, c = log_density(random), target.log_center_bias
    scores = score(MetricMaps.of_density(p, c, 3.0), target)
    x, y = target.fixations.x, target.fixations.y
    expected = scipy.ndimage.gaussian_filter(np.exp(p), 3.0, mode="constant", truncate=4)
    assert list(scores) == list(METRICS)
    assert scores["auc"] == metrics.auc(np.exp(p), x, y)
    assert scores["shuffled_auc"] == metrics.shuffled_auc(np.exp(p) / np.exp(c), x, y, *target.others)
    assert scores["nss"] == metrics.nss(np.exp(p), x, y)
    assert scores["information_gain"] == metrics.information_gain(p, c, x, y)
    for name, metric in (("cc", metrics.cc), ("sim", metrics.sim), ("kl", metrics.kl)):
        assert scores[name] == pytest.approx(metric(expected, target.density), rel=1e-3, abs=1e-4)


def test_every_metric_sees_a_saliency_map_as_it_is_and_there_is_no_information_gain(random, target):
    saliency = random.random((48, 64))
    scores = score(MetricMaps.of_saliency(saliency), target)
    x, y = target.fixations.x, target.fixations.y
    assert scores["shuffled_auc"] == metrics.shuffled_auc(saliency, x, y, *target.others)
    assert scores["cc"] == metrics.cc(saliency, target.density)
    assert np.isnan(scores["information_gain"])
    assert np.isfinite([v for k, v in scores.items() if k != "information_gain"]).all()


def test_expected_truth_scores_better_than_the_bare_density(random):
    spots = np.zeros((48, 64), np.float32)
    spots[[10, 30], [20, 50]] = 0.5
    log_spots = np.log(spots * 0.99 + 0.01 / spots.size)
    truth = blurred(spots, 4.0)
    maps = MetricMaps.of_density(log_spots, np.zeros_like(log_spots), 4.0)
    assert metrics.cc(maps.expected, truth) > 0.999 > metrics.cc(spots, truth)
    assert metrics.kl(maps.expected, truth) < 0.05 < metrics.kl(np.exp(log_spots), truth)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 9.0])
def test_a_density_that_holds_scores_as_the_truth_itself_at_the_border_too(sigma):
    columns, rows, counts = [0, 1, 63, 30, 63], [0, 20, 47, 46, 2], [5, 4, 3, 2, 1]
    truth = fixation_density(Fixations.of(np.repeat(columns, counts), np.repeat(rows, counts)), Size(64, 48), sigma)
    density = np.full((48, 64), 1e-12, np.float32)
    density[rows, columns] = np.array(counts) / 15
    maps = MetricMaps.of_density(np.log(density), np.zeros_like(density), sigma)
    assert metrics.kl(maps.expected, truth) < 1e-5
    assert metrics.cc(maps.expected, truth) == pytest.approx(1, abs=1e-5)
    assert metrics.sim(maps.expected, truth) == pytest.approx(1, abs=1e-4)


def test_no_fixations_leave_only_what_needs_a_density(random, target):
    empty = Target(Fixations.of([], []), target.others, target.density, target.log_center_bias)
    scores = score(MetricMaps.of_density(log_density(random), target.log_center_bias, 3.0), empty)
    assert np.isnan([scores[name] for name in POINT_METRICS]).all()
    assert np.isfinite([scores[name] for name in ("cc", "sim", "kl")]).all()


def test_gold_scores_count_every_fixation_once(target):
    gold = GoldModel(0.1, (0.8, 0.1, 0.1))
    gains, densities = [], []
    for own, density in gold.held_out(target.fixations, np.exp(target.log_center_bias)):
        for x, y in zip(own.x, own.y, strict=True):
            gains.append(metrics.information_gain(np.log(density), target.log_center_bias, [x], [y]))
            densities.append(metrics.nss(density, [x], [y]))
    scores = gold_scores(gold, target)
    assert scores["information_gain"] == pytest.approx(np.mean(gains), rel=1e-5)
    assert scores["nss"] == pytest.approx(np.mean(densities), rel=1e-5)
    assert len(gains) == 12
    assert np.isnan([scores[name] for name in ("cc", "sim", "kl")]).all()


def test_gold_scores_of_one_subject_are_all_nan(target):
    alone = Fixations.of(target.fixations.x, target.fixations.y, subject=7)
    scores = gold_scores(
        GoldModel(0.1, (0.8, 0.1, 0.1)), Target(alone, target.others, target.density, target.log_center_bias)
    )
    assert list(scores) == list(METRICS)
    assert np.isnan(list(scores.values())).all()
