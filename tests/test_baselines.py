"""Baselines against scipy, plain loops and data drawn from a known density."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize

from gaze import baselines
from gaze.baselines import GRID, CenterBias, GoldModel
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size

SIZE = Size(60, 40)
FLAT = CenterBias(np.full((GRID, GRID), -np.log(GRID**2), np.float32), 0.1, 1.0)


@pytest.fixture
def random():
    return np.random.default_rng(3)


def gaze_of(random, subjects=4, each=5, center=(30, 20), spread=4.0):
    """Fixations of several subjects around one point of a 60 x 40 image."""
    points = random.normal(center, spread, (subjects * each, 2))
    x, y = points[:, 0].clip(0, 59), points[:, 1].clip(0, 39)
    return Fixations.of(x, y, subject=np.repeat(np.arange(subjects), each), order=1)


def test_uniform_gives_every_pixel_the_same():
    log_density = baselines.uniform(SIZE)
    assert log_density.shape == (40, 60)
    assert np.exp(log_density) == pytest.approx(1 / 2400)


def test_relative_histogram_divides_any_image_evenly():
    corners = Fixations.of([-0.5, 59.49, 0.0], [-0.5, 39.49, 20.0])
    counts = baselines.relative_histogram(corners, SIZE)
    assert counts.shape == (GRID, GRID)
    assert counts.sum() == 3
    assert counts[0, 0] == counts[-1, -1] == counts[int(20.5 / 40 * GRID), int(0.5 / 60 * GRID)] == 1


def test_relative_histogram_does_not_depend_on_the_size():
    small = baselines.relative_histogram(Fixations.of([10, 30], [5, 35]), SIZE)
    large = baselines.relative_histogram(Fixations.of([105 - 0.5, 305 - 0.5], [55 - 0.5, 355 - 0.5]), Size(600, 400))
    assert np.array_equal(small, large)


def test_center_bias_comes_close_to_the_density_it_was_drawn_from(random):
    at = (np.arange(GRID) + 0.5) / GRID
    truth = np.exp(-0.5 * (((at - 0.55) / 0.2) ** 2 + ((at[:, None] - 0.4) / 0.15) ** 2))
    truth /= truth.sum()
    train, val = (random.multinomial(n, truth.ravel()).reshape(GRID, GRID) for n in (20000, 4000))
    fitted = baselines.fit_center_bias(train.astype(float), val.astype(float))
    density = np.exp(fitted.grid.astype(np.float64))
    assert density.sum() == pytest.approx(1, abs=1e-5)
    assert (truth * np.log(truth / density)).sum() < 0.02
    assert fitted.uniform < 0.02


def test_center_bias_has_the_bandwidth_that_predicts_val_best(random):
    train, val = random.poisson(0.02, (2, GRID, GRID)).astype(float)
    train[40:80, 50:70] += random.poisson(0.3, (40, 20))
    val[40:80, 50:70] += random.poisson(0.3, (40, 20))
    fitted = baselines.fit_center_bias(train, val)

    def likelihood(bandwidth):
        blurred = scipy.ndimage.gaussian_filter(train, bandwidth * GRID, mode="reflect", truncate=4)
        blurred /= blurred.sum()
        shares = np.linspace(1e-3, 0.999, 999)[:, None]
        return (np.log((1 - shares) * blurred[val > 0] + shares / GRID**2) @ val[val > 0]).max()

    scores = [likelihood(bandwidth) for bandwidth in baselines.CENTER_BANDWIDTHS]
    assert fitted.bandwidth == baselines.CENTER_BANDWIDTHS[int(np.argmax(scores))]
    assert (val * fitted.grid).sum() == pytest.approx(max(scores), rel=1e-3)


@pytest.mark.parametrize("size", [Size(800, 600), Size(60, 40), Size(33, 200), Size(1, 1)])
def test_center_bias_is_a_density_at_any_size(random, size):
    histogram = random.poisson(1.0, (GRID, GRID)).astype(float)
    log_density = baselines.fit_center_bias(histogram, histogram).log_density(size)
    assert log_density.shape == (size.height, size.width)
    assert np.exp(log_density.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


def test_center_bias_never_rules_a_place_out():
    histogram = np.zeros((GRID, GRID))
    histogram[64, 64] = 100
    assert np.isfinite(baselines.fit_center_bias(histogram, histogram).grid).all()


def test_center_bias_without_fixations_is_an_error():
    empty, full = np.zeros((GRID, GRID)), np.ones((GRID, GRID))
    for train, val in ((empty, full), (full, empty)):
        with pytest.raises(DataError, match="train and its val split"):
            baselines.fit_center_bias(train, val)


def test_mixture_weights_agree_with_a_general_optimiser(random):
    components, counts = random.random((50, 3)), random.integers(1, 5, 50)
    weights = baselines.mixture_weights(components, counts, steps=2000)

    def loss(logits):
        shares = np.exp(logits) / np.exp(logits).sum()
        return -(counts * np.log(components @ shares)).sum()

    best = scipy.optimize.minimize(loss, np.zeros(3))
    assert weights.sum() == pytest.approx(1)
    assert loss(np.log(weights)) == pytest.approx(best.fun, abs=1e-3)


def test_mixture_weights_of_a_part_that_never_helps_stay_above_zero():
    weights = baselines.mixture_weights(np.array([[0.5, 1e-9]] * 10))
    assert 0 < weights[1] < 1e-5


def test_gold_model_agrees_with_loops(random):
    fixations, gold = gaze_of(random), GoldModel(0.05, (0.7, 0.2, 0.1))
    center = np.exp(random.normal(size=(40, 60)))
    center /= center.sum()
    sigma = 0.05 * 60
    predicted = list(gold.held_out(fixations, center))
    assert len(predicted) == 4
    for own, density in predicted:
        total, count = np.zeros((40, 60)), 0
        for x, y, subject in zip(fixations.x, fixations.y, fixations.subject, strict=True):
            if subject != own.subject[0]:
                rows = np.exp(-0.5 * ((np.arange(40) - round(float(y))) / sigma) ** 2)
                columns = np.exp(-0.5 * ((np.arange(60) - round(float(x))) / sigma) ** 2)
                total += np.outer(rows, columns) / rows.sum() / columns.sum()
                count += 1
        expected = 0.7 * total / count + 0.2 * center + 0.1 / 2400
        assert np.allclose(density, expected, rtol=1e-4, atol=1e-9)
        assert density.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
        assert set(own.subject) == {own.subject[0]}


def test_gold_model_is_blind_to_the_subject_it_predicts(random):
    fixations, gold = gaze_of(random, subjects=3, each=2), GoldModel(0.05, (0.9, 0.05, 0.05))
    center = np.full((40, 60), 1 / 2400, np.float32)
    before = [density for own, density in gold.held_out(fixations, center) if own.subject[0] == 1]
    moved = np.where(fixations.subject == 1, 3.0, fixations.x)
    changed = Fixations.of(moved, fixations.y, fixations.subject, fixations.order)
    after = [density for own, density in gold.held_out(changed, center) if own.subject[0] == 1]
    assert np.allclose(before[0], after[0], atol=1e-9)


@pytest.mark.parametrize("subjects", [0, 1])
def test_gold_model_predicts_nothing_for_fewer_than_two_subjects(random, subjects):
    fixations = gaze_of(random, subjects=subjects)
    assert list(GoldModel(0.05, (1.0, 0.0, 0.0)).held_out(fixations, np.full((40, 60), 1 / 2400))) == []


def test_left_out_likelihood_is_the_gold_model_at_the_fixations(random):
    fixations, gold = gaze_of(random), GoldModel(0.08, (1.0, 0.0, 0.0))
    expected = np.empty(len(fixations))
    for own, density in gold.held_out(fixations, np.full((40, 60), 1 / 2400, np.float32)):
        column, row = np.rint(own.x).astype(int), np.rint(own.y).astype(int)
        expected[fixations.subject == own.subject[0]] = density[row, column]
    assert np.allclose(baselines._left_out_likelihood(fixations, SIZE, 0.08), expected, rtol=1e-4, atol=1e-9)


def test_gold_model_is_as_wide_as_the_scatter_of_the_subjects(random):
    images = [(gaze_of(random, 8, 6, random.uniform(15, 25, 2), spread=2.0), SIZE) for _ in range(20)]
    gold = baselines.fit_gold(images, FLAT)
    assert 1.0 < gold.bandwidth * 60 < 3.0  # the scatter itself, 2 pixels, or a little less with many fixations
    assert sum(gold.weights) == pytest.approx(1)
    assert gold.weights[0] > 0.8


def test_gold_model_falls_back_on_the_center_bias_where_subjects_disagree(random):
    def scattered():
        return Fixations.of(random.uniform(0, 59, 12), random.uniform(0, 39, 12), subject=np.arange(12) % 4)

    gold = baselines.fit_gold([(scattered(), SIZE) for _ in range(30)], FLAT)
    assert gold.weights[1] + gold.weights[2] > 0.5


def test_gold_model_without_two_subjects_is_an_error(random):
    with pytest.raises(DataError, match="two subjects"):
        baselines.fit_gold([(gaze_of(random, subjects=1), SIZE)], FLAT)
