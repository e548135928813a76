"""Each estimator's mean against the exact gradient, on four gates whose sixteen states can be counted."""

import math
from itertools import product

import pytest
import torch

from gaze.pruning.methods.estimators import ESTIMATORS
from gaze.pruning.methods.estimators.base import Losses
from gaze.pruning.methods.estimators.concrete import Concrete
from gaze.pruning.structure.hard_concrete import HardConcrete

GATE = HardConcrete(2 / 3, -0.1, 1.1)
LOG_ALPHA = torch.tensor([-1.5, 0.0, 0.8, 2.0], dtype=torch.float64)
UNBIASED = [name for name in ESTIMATORS if name != "concrete"]
MIX = torch.tensor([[1.0, -0.6, 0.3, 0.5], [0.2, 0.9, -0.7, 0.4]], dtype=torch.float64)
SAMPLES = 100_000


def loss(gates: torch.Tensor) -> torch.Tensor:
    """Two quadratic outputs and a product of all: no gate counts by itself."""
    return (gates @ MIX.T - 0.45).square().sum(1) + gates.prod(1) + 3


def exact(gate: HardConcrete = GATE) -> torch.Tensor:
    """The gradient of the sum over all states, written out; pi is the paper's P(z != 0)."""
    log_alpha = LOG_ALPHA.clone().requires_grad_()
    opened = torch.sigmoid(log_alpha - gate.beta * math.log(-gate.gamma / gate.zeta))
    states = torch.tensor(list(product([0.0, 1.0], repeat=len(log_alpha))), dtype=torch.float64)
    chances = (opened * states + (1 - opened) * (1 - states)).prod(1)
    (chances * loss(states)).sum().backward()
    return log_alpha.grad


def estimates(name: str, count: int, samples: int = 1, warm: int = 30, of: Losses = loss) -> torch.Tensor:
    """count x gates: single estimates, each of the mean over `samples` draws, after some that it learns from."""
    estimator, generator, found = ESTIMATORS[name](GATE, len(LOG_ALPHA)), torch.Generator().manual_seed(0), []
    for _ in range(warm + count):
        log_alpha = LOG_ALPHA.clone().requires_grad_()
        losses = of(estimator.draw(log_alpha, samples, generator))
        brought = torch.zeros_like(LOG_ALPHA)
        if losses.requires_grad:
            losses.mean().backward()
            brought = log_alpha.grad
        more = estimator.gradient(losses.detach(), of)
        found.append(brought if more is None else brought + more)
    return torch.stack(found[warm:])


@pytest.mark.parametrize("samples", [1, 8])
@pytest.mark.parametrize("name", UNBIASED)
def test_its_mean_is_the_exact_gradient(name, samples):
    found = estimates(name, 1000, samples)
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - exact()).abs() < 4.5 * error).all(), (found.mean(0), exact(), error)
    assert (4.5 * error < 0.2 * exact().abs().max()).all(), "the test can tell"


def relaxed(gate: HardConcrete) -> torch.Tensor:
    """The mean estimate of the relaxation."""
    log_alpha = LOG_ALPHA.clone().requires_grad_()
    loss(Concrete(gate, 4).draw(log_alpha, SAMPLES, torch.Generator().manual_seed(1))).mean().backward()
    return log_alpha.grad


def test_the_relaxation_is_the_gradient_of_its_own_gates():
    """By finite differences on the same draws."""

    def mean(log_alpha: torch.Tensor) -> torch.Tensor:
        return loss(Concrete(GATE, 4).draw(log_alpha, SAMPLES, torch.Generator().manual_seed(1))).mean()

    step = 1e-4 * torch.eye(4, dtype=torch.float64)
    slopes = torch.stack([(mean(LOG_ALPHA + e) - mean(LOG_ALPHA - e)) / 2e-4 for e in step])
    torch.testing.assert_close(relaxed(GATE), slopes, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("beta", "most"), [(2 / 3, 0.75), (0.2, 0.45), (0.05, 0.2)])
def test_the_bias_of_the_relaxation_is_bounded_and_shrinks_with_the_temperature(beta, most):
    """67% of the exact gradient's length, then 39% and 14%: it is too short above all, its direction is right."""
    gate = HardConcrete(beta, GATE.gamma, GATE.zeta)
    found, expected = relaxed(gate), exact(gate)
    assert most - 0.15 < (found - expected).norm() / expected.norm() < most
    assert found @ expected / found.norm() / expected.norm() > 0.95


def test_control_variates_make_the_variance_smaller():
    """Where gates weigh much, each by itself."""

    def steep(gates: torch.Tensor) -> torch.Tensor:
        return gates @ torch.tensor([2.0, -1.0, 1.5, 3.0], dtype=torch.float64)

    spread = {name: float(estimates(name, 200, 16, 250, steep).var(0).sum()) for name in UNBIASED}
    assert max(spread["rebar"], spread["relax"]) < 0.75 * spread["reinforce"], spread


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_it_goes_on_from_its_state_as_if_it_had_not_stopped(name):
    def steps(estimator, numbers):
        return [step(estimator, number) for number in numbers]

    def step(estimator, number):
        losses = loss(estimator.draw(LOG_ALPHA.clone(), 2, torch.Generator().manual_seed(number)))
        return estimator.gradient(losses, loss)

    whole, first, second = (ESTIMATORS[name](GATE, 4) for _ in range(3))
    expected = steps(whole, range(6))
    steps(first, range(3))
    second.load_state_dict(first.state_dict())
    for one, other in zip(expected[3:], steps(second, range(3, 6)), strict=True):
        assert one is other is None or torch.equal(one, other)


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_making_one_leaves_the_random_numbers_of_others_alone(name):
    before = torch.get_rng_state()
    ESTIMATORS[name](GATE, 5).draw(torch.zeros(5), 1, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", UNBIASED)
def test_a_loss_that_is_not_finite_teaches_it_nothing(name):
    estimator, generator = ESTIMATORS[name](GATE, 4), torch.Generator().manual_seed(0)
    for factor in (1.0, float("inf"), 1.0, 1.0):
        losses = factor * loss(estimator.draw(LOG_ALPHA, 1, generator))
        found = estimator.gradient(losses, loss)
    assert torch.isfinite(found).all()
