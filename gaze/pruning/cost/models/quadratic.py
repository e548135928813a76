"""Milliseconds as a polynomial of the widths, fitted to what was measured."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.base import COSTS, Cost, required


@COSTS.register("quadratic")
class QuadraticCost(Cost):
    """T = sum_l (t_l + a_l c_(l-1) + b_l c_l + w_l c_(l-1) c_l): Theis et al. 2018 (arXiv 1801.05787), section 3.3.

    c_(l-1) maps enter operator l and c_l leave it. The coefficients are fitted to the table, those of each kind of
    operator by least squares of the relative error; where c_l follows from c_(l-1), t and a alone. Every map counts.

    Attributes:
        terms: that are fitted; the others are 0.
    """

    terms: tuple[str, ...] = ("t", "a", "b", "w")

    def __init__(self, operators: Sequence[FusedOperator], table: LatencyTable | None = None) -> None:
        super().__init__(operators)
        kinds = {operator.kind for operator in operators}
        self.coefficients = {kind: fit(required(table), kind, self.terms) for kind in kinds}

    def of_operator(self, operator: FusedOperator, maps: Mapping[str, int]) -> float:
        """See `Cost.of_operator`."""
        t, a, b, w = self.coefficients[operator.kind]
        reads = sum(width.at(maps) for width in operator.inputs)
        writes = operator.writes.at(maps) if operator.dense else 0
        return t + a * reads + b * writes + w * reads * writes


def fit(
    table: LatencyTable, kind: str, terms: Collection[str] = ("t", "a", "b", "w")
) -> tuple[float, float, float, float]:
    """t, a, b and w of a kind of operator from its measurements in whole blocks, or in what there is.

    Those that `terms` leaves out are 0.
    """
    grids = table.grids[kind]
    grid = grids[min(grids)]
    points = [
        (i, o, grid.low[row][column]) for row, i in enumerate(grid.reads) for column, o in enumerate(grid.writes or [0])
    ]
    reads, writes, times = np.array(points).T
    fitted = [float(term in terms) for term in ("t", "a", "b", "w")]
    design = np.stack([np.ones_like(reads), reads, writes, reads * writes], 1) * fitted
    weights = 1 / np.maximum(times, 1e-6)
    scales = np.abs(design).max(0).clip(min=1e-9)
    solution = np.linalg.lstsq(design / scales * weights[:, None], times * weights, rcond=None)[0] / scales
    t, a, b, w = (float(value) for value in solution)
    return t, a, b, w
