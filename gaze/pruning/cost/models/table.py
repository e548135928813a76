"""Milliseconds as they were measured."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gaze.pruning.cost.kernels import Unit
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.base import COSTS, Cost, required


@COSTS.register("table")
class TableCost(Cost):
    """Milliseconds as the table has them: the sum of the units' measured times."""

    def __init__(self, units: Sequence[Unit], table: LatencyTable | None = None) -> None:
        super().__init__(units)
        self.table = required(table)
        self.known: dict[tuple[str, int, int, int], float] = {}

    def of_unit(self, unit: Unit, maps: Mapping[str, int]) -> float:
        """See `Cost.of_unit`."""
        entering = [width.at(maps) for width in unit.inputs]
        reads = sum(entering)
        key = (unit.kind, reads, unit.writes.at(maps) if unit.dense else reads, self.table.alignment(entering))
        if key not in self.known:
            self.known[key] = self.table.time(*key)
        return self.known[key]

    def noise_of(self, units: Iterable[Unit], maps: Mapping[str, int]) -> float:
        """The table's noise over the units, whose errors are independent."""
        times = np.array([self.of_unit(unit, maps) for unit in units])
        return float(np.hypot(self.table.noise * np.linalg.norm(times), self.table.noise_ms))

    def candidates(self, maps: int) -> Iterable[int]:
        """Down to whole granules."""
        return [n for n in range(1, maps) if (maps - n) % self.table.granule == 0]
