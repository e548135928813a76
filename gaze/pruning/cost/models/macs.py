"""Operations, which no machine was asked about."""

from collections.abc import Mapping

from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.models.base import COSTS, MAC, Cost


@COSTS.register("macs")
class MacCost(Cost):
    """Operations of the convolutions: H W C_out (2 C_in K^2 + 1), Molchanov et al. 2017 (arXiv 1611.06440), appendix.

    Depthwise: H W C (2 K^2 + 1). H x W is the output's size.
    """

    unit = MAC

    def of_operator(self, operator: FusedOperator, maps: Mapping[str, int]) -> float:
        """See `Cost.of_operator`."""
        each = operator.inputs[0].at(maps) if operator.dense else 1
        return (
            float(operator.rows * operator.columns * operator.writes.at(maps) * (2 * each * operator.kernel + 1))
            if operator.kernel
            else 0.0
        )

    def step(self, name: str, maps: Mapping[str, int]) -> int | None:
        """Every map saves."""
        return 1 if maps[name] > 1 else None
