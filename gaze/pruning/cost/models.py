"""Cost models: what a network costs as a function of the maps of its groups, and what a removal saves."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gaze.pruning.cost.kernels import Unit
from gaze.pruning.cost.latency_table import LatencyTable

MS, MAC, MAP = "ms", "MAC", "maps"


class Cost(ABC):
    """What each unit of a network costs, as a function of the maps of the groups; the network's cost is the sum.

    Args:
        units: of the network; they need not be found again after surgery.

    Attributes:
        unit: of the numbers.
        scale: what all numbers are multiplied with, see `calibrate`.
    """

    unit: str = MS

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units, self.scale = list(units), 1.0
        self.touched: dict[str, list[int]] = {}
        for index, unit in enumerate(self.units):
            for name in unit.groups:
                self.touched.setdefault(name, []).append(index)

    @abstractmethod
    def of_unit(self, unit: Unit, maps: Mapping[str, int]) -> float:
        """What one unit costs, before scaling."""

    def noise_of(self, units: Iterable[Unit], maps: Mapping[str, int]) -> float:
        """What a saving in these units must exceed to be told from none, before scaling."""
        return 0.0

    def candidates(self, maps: int) -> Iterable[int]:
        """How many of a group's maps may be removed for the rest to be faster, fewest first."""
        return range(1, maps)

    def total(self, maps: Mapping[str, int]) -> float:
        """What the whole network costs where each group has so many maps."""
        return self.scale * sum(self.of_unit(unit, maps) for unit in self.units)

    def saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        """What the removal of `n` maps of a group saves; negative where it costs."""
        return self.scale * self._saving(name, n, maps)

    def step(self, name: str, maps: Mapping[str, int]) -> int | None:
        """The fewest maps of a group whose removal saves more than the noise; None if no removal down to one does."""
        noise = self.noise_of([self.units[index] for index in self.touched.get(name, [])], maps)
        return next((n for n in self.candidates(maps[name]) if self._saving(name, n, maps) > noise), None)

    def neighbours(self, name: str) -> set[str]:
        """The groups whose savings change when maps leave this one: those that enter a unit with it, and itself."""
        units = [self.units[index] for index in self.touched.get(name, [])]
        return {name}.union(*(unit.groups for unit in units))

    def calibrate(self, maps: Mapping[str, int], measured: float) -> None:
        """Scales all numbers so that `total(maps)` is `measured`."""
        self.scale *= measured / self.total(maps)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, to go on from."""
        return {"scale": self.scale}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.scale = float(state["scale"])

    def _saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        fewer = {**maps, name: maps[name] - n}
        units = [self.units[index] for index in self.touched.get(name, [])]
        return sum(self.of_unit(unit, maps) - self.of_unit(unit, fewer) for unit in units)


class TableCost(Cost):
    """Milliseconds as the table has them: the sum of the units' measured times."""

    def __init__(self, units: Sequence[Unit], table: LatencyTable) -> None:
        super().__init__(units)
        self.table = table
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


class QuadraticCost(Cost):
    """T = sum_l (t_l + a_l c_(l-1) + b_l c_l + w_l c_(l-1) c_l): Theis et al. 2018 (arXiv 1801.05787), section 3.3.

    c_(l-1) maps enter unit l and c_l leave it. The coefficients are fitted to the table, those of each kind of unit by
    least squares of the relative error; where c_l follows from c_(l-1), t and a alone. Every single map counts.
    """

    def __init__(self, units: Sequence[Unit], table: LatencyTable) -> None:
        super().__init__(units)
        self.coefficients = {kind: fit(table, kind) for kind in {unit.kind for unit in units}}

    def of_unit(self, unit: Unit, maps: Mapping[str, int]) -> float:
        """See `Cost.of_unit`."""
        t, a, b, w = self.coefficients[unit.kind]
        reads = sum(width.at(maps) for width in unit.inputs)
        writes = unit.writes.at(maps) if unit.dense else 0
        return t + a * reads + b * writes + w * reads * writes


def fit(table: LatencyTable, kind: str) -> tuple[float, float, float, float]:
    """t, a, b and w of a kind of unit from its measurements in whole granules, or in what there is."""
    grids = table.grids[kind]
    grid = grids[min(grids)]
    points = [(i, o, grid.low[row][column]) for row, i in enumerate(grid.reads)
              for column, o in enumerate(grid.writes or [0])]  # fmt: skip
    reads, writes, times = np.array(points).T
    design = np.stack([np.ones_like(reads), reads, writes, reads * writes], 1)
    weights = 1 / np.maximum(times, 1e-6)
    scales = np.abs(design).max(0).clip(min=1e-9)
    solution = np.linalg.lstsq(design / scales * weights[:, None], times * weights, rcond=None)[0] / scales
    t, a, b, w = (float(value) for value in solution)
    return t, a, b, w


class MacCost(Cost):
    """Operations of the convolutions: H W C_out (2 C_in K^2 + 1), Molchanov et al. 2017 (arXiv 1611.06440), appendix.

    Depthwise: H W C (2 K^2 + 1). H x W is the output's size.
    """

    unit = MAC

    def of_unit(self, unit: Unit, maps: Mapping[str, int]) -> float:
        """See `Cost.of_unit`."""
        each = unit.inputs[0].at(maps) if unit.dense else 1
        return (
            float(unit.rows * unit.columns * unit.writes.at(maps) * (2 * each * unit.kernel + 1))
            if unit.kernel
            else 0.0
        )

    def step(self, name: str, maps: Mapping[str, int]) -> int | None:
        """Every map saves."""
        return 1 if maps[name] > 1 else None


class UniformCost(Cost):
    """No cost: every map counts one."""

    unit = MAP

    def __init__(self) -> None:
        super().__init__([])

    def of_unit(self, unit: Unit, maps: Mapping[str, int]) -> float:
        """See `Cost.of_unit`."""
        return 0.0

    def total(self, maps: Mapping[str, int]) -> float:
        """The number of maps."""
        return self.scale * sum(maps.values())

    def _saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        return float(n)
