"""The multiplier finds the price at which a constraint holds."""

import pytest

from gaze.pruning.methods.multiplier import LagrangeMultiplier


@pytest.mark.parametrize("rho", [0.3, 3.0])
def test_it_settles_at_the_price_of_the_constraint(rho):
    """x is to be at most 1 where (x - 3)^2 is least: the price is 4."""
    multiplier, x = LagrangeMultiplier(rho), 3.0
    for _ in range(60):
        for _ in range(200):
            x -= 0.02 * (2 * (x - 3) + multiplier.weight(x - 1))
        multiplier.update(x - 1)
    assert (x, multiplier.value) == (pytest.approx(1, abs=1e-3), pytest.approx(4, abs=1e-2))


def test_a_constraint_that_holds_anyway_is_free():
    multiplier = LagrangeMultiplier(1.0, 0.5)
    assert multiplier.weight(-0.2) == pytest.approx(0.3)
    assert multiplier.weight(-2.0) == 0
    multiplier.update(-2.0)
    assert multiplier.value == 0


def test_what_is_late_is_paid_for():
    """x is to be at most 1 and yields to a hundredth of the price alone: haste finds the price of 200 in a tenth."""

    def updates(haste):
        multiplier = LagrangeMultiplier(0.3)
        for count in range(1, 100_000):
            excess = 2 - multiplier.value / 100
            if excess <= 0.05:
                return count
            multiplier.update(excess, haste(count))

    assert updates(lambda count: max(1, count / 50) ** 2) < updates(lambda count: 1) / 5
