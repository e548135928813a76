import numpy as np
import pytest

from gaze.data.store import FixationStore
from gaze.errors import DataError
from gaze.evaluation.bench import MODEL, Bench
from gaze.evaluation.run import Estimate, SetScores, score_split, summarize
from gaze.evaluation.sources import Source, open_source
from gaze.metrics import bootstrap_interval


@pytest.fixture(scope="module")
def bench(small_store):
    return Bench(FixationStore(small_store))


def scores_of(**columns):
    values = {MODEL: {name: np.array(column, float) for name, column in columns.items()}}
    return SetScores("test", np.arange(5), list("abcde"), 50, values, {})


def test_scores_every_image_of_the_split_in_order_whatever_the_batch(bench, bright_model):
    source = open_source(str(bright_model), None)
    results = [score_split(bench, source, "test", batch) for batch in (1, 3, 100)]
    assert results[0].names == ["007.png", "008.png", "009.png", "010.png"]
    assert results[0].fixations == 48
    for other in results[1:]:
        for row, columns in results[0].values.items():
            for metric, values in columns.items():
                assert np.allclose(values, other.values[row][metric], atol=1e-6, equal_nan=True), (
                    row,
                    metric,
                )
    for position, index in enumerate(results[0].indices):
        stimulus = bench.store[index]
        rows = bench.score(index, stimulus, source.predict([stimulus])[0], True)
        assert results[0].values[MODEL]["auc"][position] == rows[MODEL]["auc"]
    assert results[0].facts["inter_observer"]["bandwidth"] > 0


def test_an_empty_split_is_an_error(make_store):
    bench = Bench(FixationStore(make_store(("train", "val"))))
    with pytest.raises(DataError, match="no image in the split test"):
        score_split(bench, Source("none", lambda stimuli: []), "test", 8)


def test_summary_is_the_mean_over_images_with_its_interval():
    values = [0.5, 0.7, 0.6, np.nan, 0.9]
    cell = summarize(scores_of(auc=values), 500, 3)[MODEL]["auc"]
    finite = [v for v in values if v == v]
    assert cell.mean == pytest.approx(np.mean(finite))
    assert (cell.low, cell.high) == bootstrap_interval(finite, resamples=500, seed=3)


def test_estimates_without_an_interval():
    infinite, empty = (Estimate.of(np.array(v), 100, 0) for v in ([1.0, np.inf], [np.nan]))
    assert infinite.mean == np.inf
    assert np.isnan([infinite.low, infinite.high, empty.mean, empty.low, empty.high]).all()


def test_extremes_know_which_way_is_better():
    scores = scores_of(nss=[2, 5, 1, 4, 3], kl=[2, 5, 1, 4, 3], auc=[np.nan, 0.2, np.nan, 0.9, 0.5], cc=[np.nan] * 5)
    assert scores.extremes("nss") == {"best": 1, "median": 4, "worst": 2}
    assert scores.extremes("kl") == {"best": 2, "median": 4, "worst": 1}
    assert scores.extremes("auc") == {"best": 3, "median": 4, "worst": 1}
    assert scores.extremes("cc") == {}
