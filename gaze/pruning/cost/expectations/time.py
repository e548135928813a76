"""Measured time, as its quadratic fit has it."""

from collections.abc import Sequence

from gaze.pruning.cost.expectations.base import EXPECTATIONS, Term
from gaze.pruning.cost.fused_operators import FusedOperator, Width
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.quadratic import QuadraticCost


@EXPECTATIONS.register("time")
def time_terms(operators: Sequence[FusedOperator], table: LatencyTable, names: Sequence[str]) -> list[Term]:
    """Milliseconds: the t, a, b and w of `QuadraticCost`, Theis et al. 2018 (arXiv 1801.05787), section 3.3."""
    return polynomial_terms(QuadraticCost(operators, table), operators)


def polynomial_terms(cost: QuadraticCost, operators: Sequence[FusedOperator]) -> list[Term]:
    """What a polynomial of the widths says of each operator."""
    return [
        Term(operator.reads, operator.writes if operator.dense else Width(0), *cost.coefficients[operator.kind])
        for operator in operators
    ]
