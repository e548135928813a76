"""The number of maps, whatever they cost."""

from collections.abc import Mapping, Sequence

from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.pruning.cost.models.base import COSTS, MAP, Cost


@COSTS.register("none")
class UniformCost(Cost):
    """No cost: every map counts one; operators and table change nothing."""

    unit = MAP

    def __init__(self, operators: Sequence[FusedOperator] = (), table: LatencyTable | None = None) -> None:
        super().__init__([])

    def of_operator(self, operator: FusedOperator, maps: Mapping[str, int]) -> float:
        """See `Cost.of_operator`."""
        return 0.0

    def total(self, maps: Mapping[str, int]) -> float:
        """The number of maps."""
        return self.scale * sum(maps.values())

    def _saving(self, name: str, n: int, maps: Mapping[str, int]) -> float:
        return float(n)
