"""The number of maps."""

from collections.abc import Sequence

from gaze.pruning.cost.expectations.base import EXPECTATIONS, Term
from gaze.pruning.cost.fused_operators import FusedOperator, Width
from gaze.pruning.cost.latency_table import LatencyTable


@EXPECTATIONS.register("maps")
def map_terms(operators: Sequence[FusedOperator], table: LatencyTable, names: Sequence[str]) -> list[Term]:
    """Maps, whatever they cost: the L0 norm of the gates, equation 2 of Louizos et al. 2018 (arXiv 1712.01312)."""
    return [Term(Width(0, ((name, 1),)), Width(0), a=1.0) for name in names]
