"""Draws against the distribution, written anew from the equations of Louizos et al. 2018."""

import numpy as np
import pytest
import torch

from gaze.pruning.structure.hard_concrete import HardConcrete

SETTINGS = [(2 / 3, -0.1, 1.1), (0.3, -0.5, 1.2)]
DRAWS = 400_000


def binary_concrete_cdf(s, alpha, beta):
    """Q(s) = Sigmoid((log s - log(1 - s)) beta - log alpha), the paper's appendix."""
    return 1 / (1 + np.exp(-((np.log(s) - np.log(1 - s)) * beta - np.log(alpha))))


def binary_concrete_density(s, alpha, beta):
    """q(s) = beta alpha s^(-beta-1) (1-s)^(-beta-1) / (alpha s^-beta + (1-s)^-beta)^2, the same."""
    return beta * alpha * s ** (-beta - 1) * (1 - s) ** (-beta - 1) / (alpha * s**-beta + (1 - s) ** -beta) ** 2


def draws(log_alpha, gate):
    u = torch.rand(DRAWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return gate.sample(torch.tensor(log_alpha, dtype=torch.float64), u).numpy()


@pytest.mark.parametrize("log_alpha", [-2.0, 0.0, 1.7])
@pytest.mark.parametrize(("beta", "gamma", "zeta"), SETTINGS)
def test_masses_at_both_ends_and_the_density_between_are_the_papers(beta, gamma, zeta, log_alpha):
    gate, alpha = HardConcrete(beta, gamma, zeta), np.exp(log_alpha)
    z = draws(log_alpha, gate)
    at_zero = binary_concrete_cdf(-gamma / (zeta - gamma), alpha, beta)
    at_one = 1 - binary_concrete_cdf((1 - gamma) / (zeta - gamma), alpha, beta)
    error = 5 * 0.5 / DRAWS**0.5  # five standard deviations of a share, at most
    assert np.mean(z == 0) == pytest.approx(at_zero, abs=error)
    assert np.mean(z == 1) == pytest.approx(at_one, abs=error)
    edges = np.linspace(0, 1, 21)
    found = np.histogram(z[(z > 0) & (z < 1)], edges)[0] / DRAWS
    fine = np.linspace(0, 1, 20 * 100 + 1)
    density = binary_concrete_density((fine - gamma) / (zeta - gamma), alpha, beta) / (zeta - gamma)
    expected = [np.trapezoid(density[k * 100 : k * 100 + 101], fine[k * 100 : k * 100 + 101]) for k in range(20)]
    np.testing.assert_allclose(found, expected, atol=error)
    assert sum(expected) + at_zero + at_one == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("beta", "gamma", "zeta"), SETTINGS)
def test_the_probability_of_an_open_gate_is_one_less_the_mass_at_zero(beta, gamma, zeta):
    gate, log_alpha = HardConcrete(beta, gamma, zeta), torch.linspace(-4, 4, 9, dtype=torch.float64)
    expected = 1 - binary_concrete_cdf(-gamma / (zeta - gamma), np.exp(log_alpha.numpy()), beta)
    np.testing.assert_allclose(gate.open_probability(log_alpha).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(torch.sigmoid(gate.open_logit(log_alpha)).numpy(), expected, rtol=1e-9)


def test_the_gate_at_test_time_is_clipped_and_closes_where_it_says():
    gate = HardConcrete(2 / 3, -0.1, 1.1)
    values = gate.gate(torch.tensor([-9.0, 0.0, 9.0]))
    assert values.tolist() == pytest.approx([0, 0.5, 1])
    assert gate.closing == pytest.approx(np.log(0.1 / 1.1))
    around = gate.gate(torch.tensor([gate.closing - 1e-3, gate.closing + 1e-3]))
    assert around[0] == 0
    assert around[1] > 0


def test_the_gradient_of_a_draw_is_that_of_the_formula_and_zero_where_it_is_clipped():
    gate, u = HardConcrete(2 / 3, -0.1, 1.1), torch.tensor([0.001, 0.4, 0.999], dtype=torch.float64)
    log_alpha = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    z = gate.sample(log_alpha, u)
    z.sum().backward()
    step = 1e-6
    with torch.no_grad():
        slope = (gate.sample(log_alpha + step, u) - gate.sample(log_alpha - step, u)) / (2 * step)
    assert z.tolist()[::2] == [0, 1]
    torch.testing.assert_close(log_alpha.grad, slope, rtol=1e-5, atol=1e-9)
    assert log_alpha.grad.tolist()[::2] == [0, 0]


def test_no_uniform_number_makes_a_gate_that_is_not_finite():
    for dtype in (torch.float32, torch.float64):
        ends = torch.tensor([0.0, 1.0], dtype=dtype)
        assert HardConcrete(2 / 3, -0.1, 1.1).sample(ends * 0, ends).tolist() == [0, 1]
