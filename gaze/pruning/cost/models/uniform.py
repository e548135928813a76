"""The number of maps, whatever they cost."""

from collections.abc import Mapping, Sequence

from gaze.pruning.cost.kernels import Unit
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.base import COSTS, MAP, Cost


@COSTS.register("none")
class UniformCost(Cost):
    """No cost: every map counts one; units and table change nothing."""

    unit = MAP

    def __init__(self, units: Sequence[Unit] = (), table: LatencyTable | None = None) -> None:
        super().__init__([])

    def of_unit(self, unit: Unit, maps: Mapping[str, int]) -> float:
        """See `Cost.of_unit`."""
        return 0.0

    def total(self, maps: Mapping[str, int]) -> float:
        """The number of maps."""
        return self.scale * sum(maps.values())

    def _saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        return float(n)
