"""The number of weights."""

from collections.abc import Sequence

from gaze.pruning.cost.expectations.base import EXPECTATIONS, Term
from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.latency_table import LatencyTable


@EXPECTATIONS.register("parameters")
def parameter_terms(operators: Sequence[FusedOperator], table: LatencyTable, names: Sequence[str]) -> list[Term]:
    """Weights of the convolutions, C_out C_in K^2 / G each; biases and BatchNorms are not counted.

    Louizos et al. 2018 (arXiv 1712.01312), equation 12, weighs each gate by the weights that hang on it.
    """
    return [
        Term(operator.reads, operator.writes, w=operator.kernel / operator.split)
        if operator.dense
        else Term(operator.reads, operator.writes, a=float(operator.kernel))
        for operator in operators
    ]
