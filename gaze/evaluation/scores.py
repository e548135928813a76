"""One image's scores: which map of a model each metric sees, and what every metric makes of it.

A model is one density, but no single map is best for all metrics. As Kuemmerer, Wallis, Bethge ("Saliency
Benchmarking Made Easy", ECCV 2018) derive, for a density p

- AUC, NSS and information gain see p;
- shuffled AUC sees p divided by the centre bias, the density of its negatives;
- CC, KL and SIM see p blurred with the Gaussian of the truth, the truth to be expected if p holds. (For SIM
  the paper optimises a map by gradient descent; the expected truth needs no search.)

A saliency map is no density: every metric sees it as it is, and there is no information gain.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze import metrics
from gaze.baselines import GoldModel
from gaze.data.densities import blurred
from gaze.fixations import Fixations

METRICS = {
    "auc": "AUC",
    "shuffled_auc": "sAUC",
    "nss": "NSS",
    "information_gain": "IG",
    "cc": "CC",
    "sim": "SIM",
    "kl": "KL",
}
"""Key of each metric -> its name in a table."""

POINT_METRICS = ("auc", "shuffled_auc", "nss", "information_gain")
"""Those that compare a map with fixations; the others compare it with a density."""

LOWER_IS_BETTER = ("kl",)

Scores = dict[str, float]
"""Metric -> value; NaN where the metric does not apply."""


@dataclass(frozen=True)
class Target:
    """What is known of the gaze on one image.

    Attributes:
        fixations: may be empty where only a density is known.
        others: [M] columns and [M] rows of fixations on the other images, in pixels of this one.
        density: H x W, sums to 1.
        log_center_bias: H x W, natural-log density.
    """

    fixations: Fixations
    others: tuple[NDArray, NDArray]
    density: NDArray[np.float32]
    log_center_bias: NDArray[np.float32]


@dataclass(frozen=True)
class MetricMaps:
    """The maps of one image that the metrics see, each H x W.

    Attributes:
        saliency: for AUC and NSS.
        shuffled: for shuffled AUC.
        expected: for CC, SIM and KL.
        log_density: for information gain; None where there is no density.
    """

    saliency: NDArray
    shuffled: NDArray
    expected: NDArray
    log_density: NDArray | None

    @classmethod
    def of_density(cls, log_density: NDArray, log_center_bias: NDArray, sigma: float) -> "MetricMaps":
        """The maps of a model that predicts `log_density`; `sigma` is that of the truth, in pixels."""
        density = np.exp(log_density)
        return cls(density, log_density - log_center_bias, blurred(density, sigma), log_density)

    @classmethod
    def of_saliency(cls, saliency: NDArray) -> "MetricMaps":
        """The same saliency map (values >= 0) for every metric."""
        return cls(saliency, saliency, saliency, None)


def score(maps: MetricMaps, target: Target) -> Scores:
    """All metrics of one image."""
    return {
        **point_scores(maps, target.fixations, target),
        "cc": metrics.cc(maps.expected, target.density),
        "sim": metrics.sim(maps.expected, target.density),
        "kl": metrics.kl(maps.expected, target.density),
    }


def point_scores(maps: MetricMaps, fixations: Fixations, target: Target) -> Scores:
    """The metrics that compare a map with `fixations`; NaN where there are none."""
    if len(fixations) == 0:
        return dict.fromkeys(POINT_METRICS, float("nan"))
    x, y = fixations.x, fixations.y
    gain = float("nan")
    if maps.log_density is not None:
        gain = metrics.information_gain(maps.log_density, target.log_center_bias, x, y)
    return {
        "auc": metrics.auc(maps.saliency, x, y),
        "shuffled_auc": metrics.shuffled_auc(maps.shuffled, x, y, *target.others),
        "nss": metrics.nss(maps.saliency, x, y),
        "information_gain": gain,
    }


def gold_scores(gold: GoldModel, target: Target) -> Scores:
    """How well the observers of one image predict each other: each is scored under the others' model.

    CC, SIM and KL are NaN, as the truth that they compare with is made of the same fixations. All are NaN
    where fewer than two observers looked.
    """
    counts, parts = [], []
    center_bias = np.exp(target.log_center_bias)
    for own, density in gold.held_out(target.fixations, center_bias):
        maps = MetricMaps(density, density / center_bias, density, np.log(density))
        counts.append(len(own))
        parts.append(point_scores(maps, own, target))
    scores = dict.fromkeys(METRICS, float("nan"))
    if parts:
        scores |= {key: float(np.average([p[key] for p in parts], weights=counts)) for key in POINT_METRICS}
    return scores
