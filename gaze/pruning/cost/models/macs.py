"""Multiply-adds, which no machine was asked about."""

from collections.abc import Mapping

from gaze.pruning.cost.fused_operators import FusedOperator
from gaze.pruning.cost.models.base import COSTS, MAC, Cost


@COSTS.register("macs")
class MacCost(Cost):
    """Multiply-adds of the convolutions on one image: H W C_out C_in K^2 / G, one for each product of a weight.

    H x W is the output's size and G the number of torch's groups: C_in = C_out = G where a convolution is depthwise.
    Not counted: biases, BatchNorm (which an export folds away), activations, sums, pooling, resizing, the blur.
    Molchanov et al. 2017 (arXiv 1611.06440), appendix, count floating point operations: two for each of these, and one
    for each bias.
    """

    unit = MAC

    def of_operator(self, operator: FusedOperator, maps: Mapping[str, int]) -> float:
        """See `Cost.of_operator`."""
        each = operator.inputs[0].at(maps) // operator.split if operator.dense else 1
        return float(operator.rows * operator.columns * operator.writes.at(maps) * each * operator.kernel)

    def step(self, name: str, maps: Mapping[str, int]) -> int | None:
        """Every map saves."""
        return 1 if maps[name] > 1 else None
