"""Scores one source of predictions on one split of a store."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze.errors import DataError
from gaze.evaluation.bench import CENTER_BIAS, GOLD, MODEL, Bench
from gaze.evaluation.scores import LOWER_IS_BETTER, METRICS, Scores
from gaze.evaluation.sources import Source
from gaze.metrics import bootstrap_interval
from gaze.progress import track


@dataclass(frozen=True)
class SetScores:
    """The scores of one split of one set.

    Attributes:
        split: which.
        indices: [N] of the images in the store.
        names: of the N images.
        fixations: how many there are on all of them.
        values: row -> metric -> [N], NaN where a metric does not apply to an image.
        facts: what the baselines were fitted to.
    """

    split: str
    indices: NDArray[np.int64]
    names: list[str]
    fixations: int
    values: dict[str, dict[str, NDArray[np.float64]]]
    facts: dict[str, Any]

    def extremes(self, metric: str) -> dict[str, int]:
        """Positions of the best, median and worst image by the model's `metric`; none if all are NaN."""
        values = self.values[MODEL][metric]
        order = np.argsort(values if metric in LOWER_IS_BETTER else -values, kind="stable")
        order = order[: np.count_nonzero(~np.isnan(values))]  # NaN sorts last
        places = {"best": 0, "median": len(order) // 2, "worst": -1}
        return {name: int(order[place]) for name, place in places.items()} if len(order) else {}


@dataclass(frozen=True)
class Estimate:
    """A mean over images and its bootstrap 95% interval; NaN where there was nothing to average."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64], resamples: int, seed: int) -> "Estimate":
        """Leaves NaN out; where a value is infinite, so is the mean, and there is no interval."""
        values = values[~np.isnan(values)]
        if not np.isfinite(values).all():
            return cls(float(values.mean()), float("nan"), float("nan"))
        mean = float(values.mean()) if len(values) else float("nan")
        return cls(mean, *bootstrap_interval(values, resamples=resamples, seed=seed))


def summarize(scores: SetScores, resamples: int, seed: int) -> dict[str, dict[str, Estimate]]:
    """Row -> metric -> mean over images with its interval; every cell resamples the same images."""
    return {
        row: {metric: Estimate.of(values, resamples, seed) for metric, values in columns.items()}
        for row, columns in scores.values.items()
    }


def score_split(bench: Bench, source: Source, split: str, batch: int) -> SetScores:
    """Predicts every image of a split, `batch` at a time, and scores the images of a batch on all cores.

    Raises:
        DataError: the split is empty, or an image of it has no gaze.
    """
    store = bench.store
    indices = store.indices(split)
    if len(indices) == 0:
        raise DataError(f"{store.path}: no image in the split {split}")
    scored = _score(bench, source, indices, batch)
    rows = list(track(scored, store.attributes.name, len(indices), unit="image"))
    values = {row: {m: np.array([r[row][m] for r in rows]) for m in METRICS} for row in rows[0]}
    return SetScores(
        split=split,
        indices=indices,
        names=[store.names[i] for i in indices],
        fixations=sum(len(store.fixations(i)) for i in indices),
        values=values,
        facts=_facts(bench),
    )


def _score(bench: Bench, source: Source, indices: NDArray[np.int64], batch: int) -> Iterator[dict[str, Scores]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(indices), batch):
            chosen = indices[start : start + batch]
            stimuli = [bench.store[i] for i in chosen]
            maps = source.predict(stimuli)
            yield from pool.map(bench.score, chosen, stimuli, maps, [source.is_density] * len(maps))


def _facts(bench: Bench) -> dict[str, Any]:
    center, gold = bench.center_bias, bench.gold
    facts: dict[str, Any] = {
        "sigma_pixels": bench.sigma,
        CENTER_BIAS: {"bandwidth": center.bandwidth, "uniform": center.uniform},
    }
    if gold is not None:
        facts[GOLD] = {"bandwidth": gold.bandwidth, "weights": list(gold.weights)}
    return facts
