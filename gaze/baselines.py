"""What a model is measured against: uniform, the centre bias and the other observers (the gold model).

Every baseline is a natural-log density over the pixels of one image. Its few parameters are fitted by maximum
likelihood on images that it is not judged on. Roles and names as in Kuemmerer, Wallis, Bethge,
"Information-theoretic model comparison unifies saliency metrics", PNAS 112(52), 2015.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size
from gaze.predictor import fit_log_density

GRID = 128
"""Cells a side of the centre bias, in coordinates relative to the image."""

CENTER_BANDWIDTHS = tuple(np.geomspace(0.01, 0.16, 13).tolist())
"""Gaussian bandwidths tried for the centre bias, in parts of each side."""

GOLD_BANDWIDTHS = tuple(np.geomspace(0.01, 0.16, 13).tolist())
"""Gaussian bandwidths tried for the gold model, in parts of the longer side."""


MIN_WEIGHT = 1e-6
"""Of each part of a mixture."""


def uniform(size: Size) -> NDArray[np.float32]:
    """Natural-log density, size.height x size.width, that gives every pixel the same."""
    return np.full((size.height, size.width), -np.log(size.pixels), np.float32)


@dataclass(frozen=True)
class CenterBias:
    """Where people look whatever the image shows.

    Attributes:
        grid: GRID x GRID float32, natural-log density over the image in relative coordinates.
        bandwidth: of its Gaussian, in parts of each side.
        uniform: weight of the uniform density in it, 0 to 1.
    """

    grid: NDArray[np.float32]
    bandwidth: float
    uniform: float

    def log_density(self, size: Size) -> NDArray[np.float32]:
        """Natural-log density for an image of this size, size.height x size.width."""
        return fit_log_density(self.grid, size)


def relative_histogram(fixations: Fixations, size: Size) -> NDArray[np.float64]:
    """Counts fixations in GRID x GRID cells that divide an image of `size` evenly."""
    column = ((fixations.x.astype(np.float64) + 0.5) / size.width * GRID).astype(np.intp)
    row = ((fixations.y.astype(np.float64) + 0.5) / size.height * GRID).astype(np.intp)
    cells = np.clip(row, 0, GRID - 1) * GRID + np.clip(column, 0, GRID - 1)
    return np.bincount(cells, minlength=GRID * GRID).reshape(GRID, GRID).astype(np.float64)


def fit_center_bias(train: NDArray, val: NDArray) -> CenterBias:
    """Fits the centre bias: the histogram `train`, blurred by a Gaussian and mixed with a little uniform.

    Args:
        train: GRID x GRID, fixations (or probability mass) per cell; see `relative_histogram`.
        val: likewise, of other images; bandwidth and mixture maximise its likelihood.

    Raises:
        DataError: one of them is empty.
    """
    if not (train.sum() > 0 and val.sum() > 0):
        raise DataError("the centre bias needs fixations in its train and its val split")
    seen = val > 0
    candidates = []
    for bandwidth in CENTER_BANDWIDTHS:
        blurred = cv2.GaussianBlur(train, (0, 0), bandwidth * GRID, borderType=cv2.BORDER_REFLECT)
        components = np.stack([blurred / blurred.sum(), np.full_like(blurred, 1 / GRID**2)], axis=-1)
        weights = mixture_weights(components[seen], val[seen])
        log_grid = np.log(components @ weights)
        center_bias = CenterBias(log_grid.astype(np.float32), bandwidth, float(weights[1]))
        candidates.append((val[seen] @ log_grid[seen], center_bias))
    return max(candidates, key=lambda candidate: candidate[0])[1]


@dataclass(frozen=True)
class GoldModel:
    """How well observers predict one another: the mixture that predicts one from the fixations of the rest.

    Attributes:
        bandwidth: of the Gaussian around each fixation, in parts of the image's longer side.
        weights: of the Gaussians, the centre bias and the uniform density; they sum to 1.
    """

    bandwidth: float
    weights: tuple[float, float, float]

    def held_out(self, fixations: Fixations, center_bias: NDArray) -> Iterator[tuple[Fixations, NDArray[np.float32]]]:
        """Leaves out one subject after the other.

        Args:
            fixations: of one image, with the subject of each.
            center_bias: H x W, density (not its logarithm) of the centre bias on that image.

        Yields:
            The fixations of a subject and the density, H x W, that the other subjects predict. Nothing at all
            where fewer than two subjects looked.
        """
        subjects = np.unique(fixations.subject)
        if len(subjects) < 2:
            return
        height, width = center_bias.shape
        sigma = self.bandwidth * max(width, height)
        columns = _kernels(fixations.x, width, sigma).astype(np.float32)
        rows = _kernels(fixations.y, height, sigma).astype(np.float32)
        rest = np.float32(self.weights[1]) * center_bias + np.float32(self.weights[2] / center_bias.size)
        everyone = _sum_of_products(rows, columns)
        for subject in subjects:
            own = fixations.subject == subject
            density = _sum_of_products(rows[own], columns[own])
            np.subtract(everyone, density, out=density)
            np.maximum(density, 0, out=density)  # the difference may fall below 0 by rounding
            density *= np.float32(self.weights[0] / np.count_nonzero(~own))
            density += rest
            yield fixations.select(own), density


def fit_gold(images: Sequence[tuple[Fixations, Size]], center_bias: CenterBias) -> GoldModel:
    """Chooses bandwidth and mixture of the gold model so that each subject is best predicted from the others.

    Args:
        images: fixations and size of images that the model is not judged on.
        center_bias: one of the three parts of the mixture.

    Raises:
        DataError: no image was seen by two subjects.
    """
    usable = [(f, size) for f, size in images if len(np.unique(f.subject)) > 1]
    if not usable:
        raise DataError("the inter-observer model needs val images that two subjects or more looked at")
    centers = [np.exp(_at(center_bias.log_density(size), f)) for f, size in usable]
    flat = [np.full(len(f), 1 / size.pixels) for f, size in usable]
    candidates = []
    for bandwidth in GOLD_BANDWIDTHS:
        others = [_left_out_likelihood(f, size, bandwidth) for f, size in usable]
        components = np.stack([np.concatenate(part) for part in (others, centers, flat)], axis=-1)
        weights = mixture_weights(components)
        candidates.append((np.log(components @ weights).sum(), GoldModel(bandwidth, tuple(weights.tolist()))))
    return max(candidates, key=lambda candidate: candidate[0])[1]


def mixture_weights(components: NDArray, counts: NDArray | None = None, steps: int = 200) -> NDArray:
    """Weights of a mixture of fixed densities that maximise the likelihood, by expectation maximisation.

    Args:
        components: N x J, the probability that each of J densities gives to each of N observations.
        counts: [N] how often each was observed; None is once.
        steps: of expectation maximisation; every step raises the likelihood.

    Returns:
        [J] weights that sum to 1, each about MIN_WEIGHT at least: a mixture with the uniform density is
        nowhere 0.
    """
    counts = np.ones(len(components)) if counts is None else counts
    weights = np.full(components.shape[1], 1 / components.shape[1])
    for _ in range(steps):
        shares = components * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = counts @ shares / counts.sum()
    weights = np.maximum(weights, MIN_WEIGHT)
    return weights / weights.sum()


def _kernels(centers: NDArray, length: int, sigma: float) -> NDArray[np.float64]:
    """A Gaussian around each of K centres, K x `length` pixels; each sums to 1 within the image."""
    distance = np.arange(length) - np.floor(centers.astype(np.float64) + 0.5)[:, None]
    kernels = np.exp(-0.5 * (distance / sigma) ** 2)
    return kernels / kernels.sum(axis=1, keepdims=True)


def _sum_of_products(rows: NDArray, columns: NDArray) -> NDArray:
    """Sum over k of outer(rows[k], columns[k]); `@` would start threads, which is slower for so few k."""
    return np.einsum("kr,kc->rc", rows, columns)


def _left_out_likelihood(fixations: Fixations, size: Size, bandwidth: float) -> NDArray[np.float64]:
    """Density at each fixation [K] of Gaussians around the fixations of the other subjects."""
    sigma = bandwidth * max(size.width, size.height)
    column, row = _pixels(fixations)
    pairs = _kernels(fixations.x, size.width, sigma)[:, column]
    pairs *= _kernels(fixations.y, size.height, sigma)[:, row]
    others = fixations.subject[:, None] != fixations.subject
    return (pairs * others).sum(axis=0) / others.sum(axis=0)


def _pixels(fixations: Fixations) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.floor(fixations.x + 0.5).astype(np.intp), np.floor(fixations.y + 0.5).astype(np.intp)


def _at(log_density: NDArray, fixations: Fixations) -> NDArray[np.float64]:
    column, row = _pixels(fixations)
    return log_density[row, column].astype(np.float64)
