"""Expectations against sums over all states, draws and finite differences."""

from itertools import product

import pytest
import torch

from gaze.geometry import Size
from gaze.pruning import find_groups
from gaze.pruning.cost.expectations import EXPECTATIONS, Expectation
from gaze.pruning.cost.expectations.base import moments
from gaze.pruning.cost.fused_operators import FusedOperator, Width, find_operators
from gaze.pruning.cost.models.quadratic import QuadraticCost
from gaze.training.photograph import photograph
from tests.pruning.cost.models.test_models import CHAIN, table

RESIDUAL = FusedOperator(  # reads and writes the same maps, as a convolution in a residual block does, beside others
    "residual", "conv", (Width(2, (("a", 2), ("b", 1))),), Width(1, (("a", 1),)), True, 2, 5, 9, builder=None
)
OPERATORS = [*CHAIN, RESIDUAL]
NAMES = ["a", "b"]
OPENED = {"a": torch.tensor([0.9, 0.2, 0.55, 0.7]), "b": torch.tensor([0.4, 0.85, 0.1])}
OPENED = {name: p.double() for name, p in OPENED.items()}


def expectation(penalty: str) -> Expectation:
    return Expectation(EXPECTATIONS[penalty](OPERATORS, table(), NAMES), NAMES)


def states():
    """Every way in which maps are there or not: its probability, and the maps of each group."""
    for bits in product([0, 1], repeat=7):
        chance = 1.0
        for bit, p in zip(bits, torch.cat([OPENED["a"], OPENED["b"]]).tolist(), strict=True):
            chance *= p if bit else 1 - p
        yield chance, {"a": sum(bits[:4]), "b": sum(bits[4:])}


def test_the_expected_time_is_the_mean_over_all_states():
    cost = QuadraticCost(OPERATORS, table())
    expected = sum(chance * cost.total(maps) for chance, maps in states())
    mean = expectation("time")(*moments(OPENED, {"a": 4, "b": 3}))
    assert float(mean) == pytest.approx(expected, rel=1e-9)
    means = {name: float(p.sum()) for name, p in OPENED.items()}
    apart = sum(
        cost.coefficients["conv"][3] * times * float((OPENED[name] * (1 - OPENED[name])).sum())
        for name, times in (("a", 2),)
    )
    without = sum(
        t + a * r(means) + b * w(means) + c * r(means) * w(means)
        for (t, a, b, c), r, w in [
            (cost.coefficients[o.kind], width(o.reads), width(o.writes) if o.dense else width(Width(0)))
            for o in OPERATORS
        ]
    )
    assert float(mean) - without == pytest.approx(apart), "the covariance of a layer that reads what it writes"


def width(of: Width):
    return lambda means: of.fixed + sum(times * means[name] for name, times in of.groups)


def test_it_is_the_mean_over_draws_too():
    cost, generator = QuadraticCost(OPERATORS, table()), torch.Generator().manual_seed(0)
    counts = {name: (torch.rand(4000, len(p), generator=generator) < p).sum(1) for name, p in OPENED.items()}
    totals = torch.tensor([cost.total({n: int(c[k]) for n, c in counts.items()}) for k in range(4000)]).double()
    mean = float(expectation("time")(*moments(OPENED, {"a": 4, "b": 3})))
    assert abs(float(totals.mean()) - mean) < 4 * float(totals.std()) / 4000**0.5


@pytest.mark.parametrize("penalty", list(EXPECTATIONS))
def test_its_gradient_is_that_of_finite_differences(penalty):
    logits = torch.logit(torch.cat([OPENED["a"], OPENED["b"]])).requires_grad_()

    def cost(x: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(x)
        return expectation(penalty)(*moments({"a": p[:4], "b": p[4:]}, {"a": 4, "b": 3}))

    assert torch.autograd.gradcheck(cost, (logits,))
    assert torch.autograd.grad(cost(logits), logits)[0].gt(0).all()


def test_weights_and_maps_are_counted():
    full = {"a": 4, "b": 3}
    certain = moments({name: torch.ones(n).double() for name, n in full.items()}, full)
    assert float(expectation("maps")(*certain)) == 7
    assert float(expectation("parameters")(*certain)) == 9 * 3 * 4 + 9 * 4 + 1 * 4 * 3 + 9 * (2 + 8 + 3) * (1 + 4)


def test_the_weights_of_a_network_are_those_of_its_convolutions(small):
    maps = {group.name: group.maps for group in find_groups(small)}
    terms = EXPECTATIONS["parameters"](find_operators(small, photograph(Size(48, 32))), table(), list(maps))
    found = Expectation(terms, list(maps))(*moments({}, maps))
    weights = sum(p.numel() for name, p in small.named_parameters() if p.ndim == 4 and "finalizer" not in name)
    assert float(found) == weights


def test_a_group_without_probabilities_has_all_its_maps_and_one_that_is_not_named_one():
    mean, variance = moments({"b": OPENED["b"]}, {"a": 4, "b": 3})
    assert mean.tolist() == pytest.approx([4, 1.35])
    assert variance[0] == 0
    only = Expectation(EXPECTATIONS["parameters"](OPERATORS, table(), ["b"]), ["b"])
    fixed = QuadraticCost(OPERATORS, table())  # makes sure that both read a missing group as one map
    assert OPERATORS[2].reads.at({}) == 1 == fixed.operators[2].reads.at({"b": 3})
    assert float(only(torch.tensor([3.0]), torch.tensor([0.0]))) == 9 * 3 + 9 + 3 + 9 * (2 + 2 + 3) * (1 + 1)
