"""One data set as a test bench: its baselines, fitted, and the gaze that predictions are scored against."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.baselines import GRID, fit_center_bias, fit_gold, relative_histogram, uniform
from gaze.data.densities import fixation_density
from gaze.data.store import FixationStore
from gaze.errors import DataError
from gaze.evaluation.scores import MetricMaps, Scores, Target, gold_scores, score
from gaze.fixations import Stimulus
from gaze.geometry import Size

MODEL, GOLD, CENTER_BIAS, UNIFORM = "model", "inter_observer", "center_bias", "uniform"


class Bench:
    """Scores predictions for the images of one store; `score` may be called from several threads.

    The centre bias is fitted on the train split, and what remains to be chosen of the baselines on val. The
    negatives of shuffled AUC are the fixations of all other images of the store, whatever their split.

    Args:
        store: the prepared data set.

    Raises:
        DataError: its train or val split holds no gaze.
    """

    def __init__(self, store: FixationStore) -> None:
        self.store, self.sigma = store, store.attributes.sigma_pixels
        try:
            self.center_bias = fit_center_bias(self._histogram("train"), self._histogram("val"))
        except DataError as error:
            raise DataError(f"{store.path}: {error}") from error
        val = [(store.fixations(i), self.size(i)) for i in store.indices("val")]
        shared = any(len(np.unique(fixations.subject)) > 1 for fixations, _ in val)
        self.gold = fit_gold(val, self.center_bias) if shared else None
        self._read_all_fixations()
        self._baselines = lru_cache(maxsize=4)(self._make_baselines)

    def size(self, index: int) -> Size:
        """Size of a stimulus."""
        width, height = self.store.sizes[index]
        return Size(int(width), int(height))

    def score(self, index: int, stimulus: Stimulus, prediction: NDArray, is_density: bool) -> dict[str, Scores]:
        """Scores the prediction for one stimulus, and its baselines.

        Args:
            index: of the stimulus in the store.
            stimulus: it.
            prediction: H x W, natural-log density, or a saliency map >= 0.
            is_density: which of the two it is.
        """
        size = Size(stimulus.width, stimulus.height)
        log_center_bias, baselines = self._baselines(size)
        target = Target(stimulus.fixations, self._others(index, size), self.truth(stimulus), log_center_bias)
        maps = MetricMaps.of_saliency(prediction)
        if is_density:
            maps = MetricMaps.of_density(prediction, log_center_bias, self.sigma)
        rows = {MODEL: score(maps, target)}
        if self.gold is not None:
            rows[GOLD] = gold_scores(self.gold, target)
        return rows | {name: score(baseline, target) for name, baseline in baselines.items()}

    def truth(self, stimulus: Stimulus) -> NDArray[np.float32]:
        """Density of the gaze on a stimulus, H x W, sums to 1."""
        if stimulus.density is not None:
            return stimulus.density
        if len(stimulus.fixations) == 0:
            raise DataError(f"{self.store.path}: {stimulus.name} has neither fixations nor a density")
        return fixation_density(stimulus.fixations, Size(stimulus.width, stimulus.height), self.sigma)

    def _make_baselines(self, size: Size) -> tuple[NDArray[np.float32], dict[str, MetricMaps]]:
        log_center_bias = self.center_bias.log_density(size)
        log_densities = {CENTER_BIAS: log_center_bias, UNIFORM: uniform(size)}
        maps = {k: MetricMaps.of_density(d, log_center_bias, self.sigma) for k, d in log_densities.items()}
        return log_center_bias, maps

    def _histogram(self, split: str) -> NDArray[np.float64]:
        total = np.zeros((GRID, GRID))
        for index in self.store.indices(split):
            fixations = self.store.fixations(index)
            if len(fixations):
                total += relative_histogram(fixations, self.size(index))
            elif (density := self.store[index].density) is not None:
                cells = cv2.resize(density, (GRID, GRID), interpolation=cv2.INTER_AREA)
                total += cells / cells.sum()
        return total

    def _read_all_fixations(self) -> None:
        """Keeps every fixation of the store in relative coordinates, 0 to 1, and the image it was made on."""
        parts = [self.store.fixations(i) for i in range(len(self.store))]
        self._image = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        sizes = self.store.sizes[self._image].astype(np.float64)
        self._x = (np.concatenate([part.x for part in parts]) + 0.5) / sizes[:, 0]
        self._y = (np.concatenate([part.y for part in parts]) + 0.5) / sizes[:, 1]

    def _others(self, index: int, size: Size) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        others = self._image != index
        column, row = (
            (self._x[others] * size.width).astype(np.intp),
            (self._y[others] * size.height).astype(np.intp),
        )
        return np.minimum(column, size.width - 1), np.minimum(row, size.height - 1)
