"""Measured time, as its fit without products of widths has it."""

from collections.abc import Sequence

from gaze.pruning.cost.expectations.base import EXPECTATIONS, Term
from gaze.pruning.cost.expectations.time import polynomial_terms
from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.linear import LinearCost


@EXPECTATIONS.register("linear_time")
def linear_time_terms(operators: Sequence[FusedOperator], table: LatencyTable, names: Sequence[str]) -> list[Term]:
    """Milliseconds: the t, a and b of `LinearCost`. The budget is held in those of `time` all the same."""
    return polynomial_terms(LinearCost(operators, table), operators)
