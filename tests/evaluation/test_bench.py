import numpy as np
import pytest

from gaze import metrics
from gaze.data.densities import fixation_density
from gaze.data.store import FixationStore
from gaze.errors import DataError
from gaze.evaluation.bench import CENTER_BIAS, GOLD, MODEL, UNIFORM, Bench
from gaze.evaluation.scores import METRICS, POINT_METRICS


@pytest.fixture(scope="module")
def bench(small_store):
    return Bench(FixationStore(small_store))


def test_scores_the_model_and_every_baseline(bench):
    index = int(bench.store.indices("test")[0])
    stimulus = bench.store[index]
    truth = bench.truth(stimulus)
    rows = bench.score(index, stimulus, np.log(truth + 1e-9), True)
    assert list(rows) == [MODEL, GOLD, CENTER_BIAS, UNIFORM]
    assert all(list(scores) == list(METRICS) for scores in rows.values())
    assert rows[MODEL]["information_gain"] > rows[GOLD]["information_gain"] > 0
    assert rows[CENTER_BIAS]["information_gain"] == 0
    assert rows[CENTER_BIAS]["shuffled_auc"] == 0.5
    assert rows[UNIFORM]["auc"] == 0.5
    assert rows[UNIFORM]["nss"] == pytest.approx(0, abs=1e-6)
    assert rows[UNIFORM]["kl"] > rows[CENTER_BIAS]["kl"] > rows[MODEL]["kl"]


def test_truth_is_the_density_at_the_sigma_of_the_set(bench):
    stimulus = bench.store[0]
    expected = fixation_density(stimulus.fixations, bench.size(0), 4.0)
    assert np.array_equal(bench.truth(stimulus), expected)


@pytest.mark.parametrize("index", [8, 10, 11 - 4])
def test_negatives_of_shuffled_auc_are_the_fixations_of_all_other_images(bench, index):
    store, size = bench.store, bench.size(index)
    expected = []
    for other in range(len(store)):
        if other != index:
            fixations, (width, height) = store.fixations(other), store.sizes[other]
            for x, y in zip(fixations.x, fixations.y, strict=True):
                expected.append((int((x + 0.5) / width * size.width), int((y + 0.5) / height * size.height)))
    assert [tuple(pair) for pair in np.stack(bench._others(index, size), axis=1).tolist()] == expected
    saliency = np.random.default_rng(0).random((size.height, size.width)).astype(np.float32)
    own = store.fixations(index)
    value = bench.score(index, store[index], saliency, False)[MODEL]["shuffled_auc"]
    assert value == metrics.shuffled_auc(saliency, own.x, own.y, *np.array(expected).T)


def test_a_set_of_densities_is_scored_by_what_needs_no_points(make_store):
    bench = Bench(FixationStore(make_store(gaze=False)))
    index = int(bench.store.indices("test")[0])
    stimulus = bench.store[index]
    rows = bench.score(index, stimulus, np.log(bench.truth(stimulus) + 1e-12), True)
    assert list(rows) == [MODEL, CENTER_BIAS, UNIFORM]  # nobody to leave out
    assert np.isnan([rows[MODEL][name] for name in POINT_METRICS]).all()
    assert rows[MODEL]["cc"] > rows[CENTER_BIAS]["cc"] > 0.1


@pytest.mark.parametrize("splits", [("val", "test"), ("train", "test")])
def test_a_set_without_train_or_val_is_an_error_that_names_the_file(make_store, splits):
    with pytest.raises(DataError, match=r"small\.h5: the centre bias needs fixations in its train and its val"):
        Bench(FixationStore(make_store(splits)))
