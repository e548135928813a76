"""The loss is the likelihood of the fixations, in bits."""

import math

import numpy as np
import torch

from gaze.training.losses import information_gain


def test_is_the_mean_over_fixations_of_log2_likelihood_ratio():
    rng = np.random.default_rng(0)
    density, baseline = (rng.dirichlet(np.ones(20)).reshape(4, 5) for _ in range(2))
    fixations = rng.integers(0, 20, 30)
    target = np.bincount(fixations, minlength=20).reshape(4, 5) / 30
    expected = np.mean([math.log2(density.flat[k] / baseline.flat[k]) for k in fixations])
    log_density, log_baseline, target = (torch.from_numpy(a)[None] for a in (np.log(density), np.log(baseline), target))
    got = information_gain(log_density, target, log_baseline)
    np.testing.assert_allclose(got.item(), expected)


def test_of_the_uniform_density_over_itself_is_zero():
    uniform = torch.full((2, 4, 8), -math.log(32))
    target = torch.rand(2, 4, 8)
    target /= target.sum((1, 2), keepdim=True)
    torch.testing.assert_close(information_gain(uniform, target), torch.zeros(2), atol=1e-6, rtol=0)


def test_of_all_mass_on_the_one_fixated_cell_is_the_number_of_bits_of_the_grid():
    log_density = torch.full((1, 4, 8), -1e4)
    log_density[0, 1, 2] = 0
    target = torch.zeros(1, 4, 8)
    target[0, 1, 2] = 1
    assert information_gain(log_density, target).item() == 5.0
