"""Milliseconds as they were measured."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.base import COSTS, Cost, required


@COSTS.register("table")
class TableCost(Cost):
    """Milliseconds as the table has them: the sum of the operators' measured times."""

    def __init__(self, operators: Sequence[FusedOperator], table: LatencyTable | None = None) -> None:
        super().__init__(operators)
        self.table = required(table)
        self.known: dict[tuple[str, int, int, int], float] = {}

    def of_operator(self, operator: FusedOperator, maps: Mapping[str, int]) -> float:
        """See `Cost.of_operator`."""
        entering = [width.at(maps) for width in operator.inputs]
        reads = sum(entering)
        key = (
            operator.kind,
            reads,
            operator.writes.at(maps) if operator.dense else reads,
            self.table.alignment(entering),
        )
        if key not in self.known:
            self.known[key] = self.table.time(*key)
        return self.known[key]

    def noise_of(self, operators: Iterable[FusedOperator], maps: Mapping[str, int]) -> float:
        """The table's noise over the operators, whose errors are independent."""
        times = np.array([self.of_operator(operator, maps) for operator in operators])
        return float(np.hypot(self.table.noise * np.linalg.norm(times), self.table.noise_ms))

    def additions(self, maps: int) -> Iterable[int]:
        """To the end of the block that the last map lies in, where it is not full, and of the next."""
        first = -maps % self.table.block or self.table.block
        return (first, first + self.table.block)

    def candidates(self, maps: int) -> Iterable[int]:
        """Down to whole blocks."""
        return [n for n in range(1, maps) if (maps - n) % self.table.block == 0]
