"""How well a map predicts fixations: AUC, shuffled AUC, NSS, information gain, CC, SIM and KL.

Definitions follow Kuemmerer, Wallis, Bethge, "Saliency Benchmarking Made Easy: Separating Models, Maps and
Metrics", ECCV 2018. Everything here is for one image: arrays in, one number out, no I/O.

Maps are H x W. Fixations are arrays `x` and `y` of shape [K] in pixels of that map (x right, y down, pixel
centres at whole numbers); they are rounded to the nearest pixel, and each one counts even where several share
a pixel. Every function raises `DataError` for a map that is not 2-D or holds NaN, for maps of different
shapes, for no fixations at all and for a fixation outside the map.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze.errors import DataError

COUNTED = 24  # up to so many positives, counting negatives one by one is faster than sorting them


def auc(saliency: ArrayLike, x: ArrayLike, y: ArrayLike) -> float:
    """Area under the ROC curve of fixated pixels against all pixels of the image.

    Equals the probability that a fixated pixel has a higher value than a pixel drawn uniformly from the
    image, with half a point for a tie; a constant map scores 0.5. Only the order of values matters. In [0,
    1], higher is better.
    """
    saliency = as_map(saliency, "saliency")
    return _mann_whitney(values_at(saliency, x, y), saliency.ravel())


def shuffled_auc(saliency: ArrayLike, x: ArrayLike, y: ArrayLike, other_x: ArrayLike, other_y: ArrayLike) -> float:
    """AUC of this image's fixations against fixations made on other images, which share its centre bias.

    Source: Tatler, Baddeley, Gilchrist, "Visual correlates of fixation selection", Vision Research 45, 2005.
    The best map for a model of density p is p / p_others, where p_others is the density of the negatives
    (Kuemmerer et al. 2018).

    Args:
        saliency: H x W, any real values.
        x: [K] fixations on this image.
        y: [K].
        other_x: [M] fixations on the other images, in pixels of this one.
        other_y: [M].
    """
    saliency = as_map(saliency, "saliency")
    return _mann_whitney(values_at(saliency, x, y), values_at(saliency, other_x, other_y))


def nss(saliency: ArrayLike, x: ArrayLike, y: ArrayLike) -> float:
    """Normalized scanpath saliency: mean fixated value of the map at zero mean and unit population deviation.

    Source: Peters, Iyer, Itti, Koch, Vision Research 45, 2005. 0 is chance, and the value of a constant map.
    """
    saliency = as_map(saliency, "saliency")
    centered, deviation = _centered(saliency, "saliency")
    fixated = values_at(centered, x, y).mean(dtype=np.float64)
    return float(fixated / deviation) if deviation else 0.0


def information_gain(log_density: ArrayLike, log_baseline: ArrayLike, x: ArrayLike, y: ArrayLike) -> float:
    """Mean log2(p / p_baseline) at the fixations, in bits per fixation.

    Source: Kuemmerer, Wallis, Bethge, "Information-theoretic model comparison unifies saliency metrics", PNAS
    112(52), 2015. Both maps are natural-log densities (exp sums to 1); a map that gives a fixated pixel no
    probability scores -inf.
    """
    log_density, log_baseline = _pair(log_density, log_baseline, "log_density", "log_baseline")
    gain = values_at(log_density, x, y).astype(np.float64) - values_at(log_baseline, x, y)
    return float(gain.mean() / np.log(2))


def cc(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Pearson's correlation of two maps over pixels, in [-1, 1]; 0 where one of them is constant."""
    prediction, truth = _pair(prediction, truth, "prediction", "truth")
    first, first_deviation = _centered(prediction, "prediction")
    second, second_deviation = _centered(truth, "truth")
    if first_deviation == 0 or second_deviation == 0:
        return 0.0
    return float((first * second).mean(dtype=np.float64) / (first_deviation * second_deviation))


def sim(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Similarity: the mass two maps share once each sums to 1, in [0, 1].

    Source: Judd, Durand, Torralba, MIT-CSAIL-TR-2012-001. Values must not be negative.
    """
    prediction, truth = _pair(prediction, truth, "prediction", "truth")
    first, second = _as_density(prediction, "prediction"), _as_density(truth, "truth")
    return float(np.minimum(first, second).sum(dtype=np.float64))


def kl(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Kullback-Leibler divergence KL(truth || prediction) in nats, once each map sums to 1; lower is better.

    Nothing is added to the prediction: where it gives no mass to a pixel that the truth has some on, the
    divergence is inf. Values must not be negative.
    """
    prediction, truth = _pair(prediction, truth, "prediction", "truth")
    first, second = _as_density(prediction, "prediction"), _as_density(truth, "truth")
    if ((first == 0) & (second > 0)).any():
        return float("inf")
    tiny = np.finfo(first.dtype).tiny  # keeps log finite where the truth is 0 and the term vanishes
    divergence = second * (np.log(np.maximum(second, tiny)) - np.log(np.maximum(first, tiny)))
    return float(max(divergence.sum(dtype=np.float64), 0.0))


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [N], resampled with replacement (Efron 1979).

    The same seed gives the same interval. A single value gives an interval of no width, no value gives NaN.
    """
    values = np.asarray(values, np.float64)
    if len(values) == 0:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def as_map(values: ArrayLike, name: str) -> NDArray:
    """`values` as a 2-D array without NaN, float32 or else float64; the `DataError` calls it `name`."""
    array = np.asarray(values)
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name}: expected a map of shape H x W, got shape {array.shape}")
    if np.isnan(array).any():
        raise DataError(f"{name}: the map holds NaN")
    return array


def values_at(array: NDArray, x: ArrayLike, y: ArrayLike) -> NDArray:
    """Values of an H x W map at the pixels nearest to K points, shape [K]."""
    column, row = _nearest(x), _nearest(y)
    if len(column) == 0 or column.shape != row.shape:
        raise DataError(f"fixations: expected x and y of one length >= 1, got {column.shape} and {row.shape}")
    height, width = array.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    if not inside.all():
        k = int(np.argmin(inside))
        raise DataError(f"fixation {k} at ({column[k]:g}, {row[k]:g}) is outside the {width} x {height} map")
    return array[row.astype(np.intp, copy=False), column.astype(np.intp, copy=False)]


def _nearest(axis: ArrayLike) -> NDArray:
    array = np.atleast_1d(axis)
    return array if array.dtype.kind in "iu" else np.floor(array.astype(np.float64) + 0.5)


def _mann_whitney(positives: NDArray, negatives: NDArray) -> float:
    """P(positive > negative) + P(positive = negative) / 2, the area under the ROC curve."""
    if len(positives) <= COUNTED:
        below = [np.count_nonzero(negatives < value) for value in positives]
        up_to = [np.count_nonzero(negatives <= value) for value in positives]
    else:
        ordered = np.sort(negatives)
        below, up_to = (np.searchsorted(ordered, positives, side).tolist() for side in ("left", "right"))
    return (sum(below) + sum(up_to)) / (2 * len(positives) * len(negatives))


def _centered(array: NDArray, name: str) -> tuple[NDArray, float]:
    """The map less its mean and its population deviation, which is 0 where it is mere rounding noise."""
    if not np.isfinite(array).all():
        raise DataError(f"{name}: expected finite values")
    centered = array - array.dtype.type(array.mean(dtype=np.float64))
    deviation = float(np.sqrt(np.square(centered).mean(dtype=np.float64)))
    noise = 4 * float(np.finfo(array.dtype).eps) * float(np.abs(array).max())
    return centered, deviation if deviation > noise else 0.0


def _pair(first: ArrayLike, second: ArrayLike, *names: str) -> tuple[NDArray, NDArray]:
    arrays = as_map(first, names[0]), as_map(second, names[1])
    if arrays[0].shape != arrays[1].shape:
        raise DataError(f"{names[0]} is {arrays[0].shape} but {names[1]} is {arrays[1].shape}: expected one shape")
    return arrays


def _as_density(array: NDArray, name: str) -> NDArray:
    total = array.sum(dtype=np.float64)
    if not (array.min() >= 0 and 0 < total < np.inf):
        raise DataError(f"{name}: expected values >= 0 with a positive, finite sum")
    return array / array.dtype.type(total)
