"""The expectation of costs that are bilinear in the widths, where maps are there or not, each by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gaze.pruning.cost.fused_operators import FusedOperator, Width
from gaze.pruning.cost.latency_table import LatencyTable
from gaze.registry import Registry


@dataclass(frozen=True)
class Term:
    """The cost t + a R + b W + w R W of an operator that R maps enter and W maps leave."""

    reads: Width
    writes: Width
    t: float = 0.0
    a: float = 0.0
    b: float = 0.0
    w: float = 0.0


class Expectation:
    """E[C] = sum_l (t_l + a_l E R_l + b_l E W_l + w_l E[R_l W_l]), a differentiable function of the groups' moments.

    The widths R and W are sums over groups, and a group's maps are independent coins. So E[R W] = E R E W where the two
    have no group in common; each group g that both have, r_g times here and w_g times there, adds r_g w_g Var c_g.

    Args:
        terms: of the operators.
        names: of the groups, in the order of the moments; one that is not named has one map.
    """

    def __init__(self, terms: Sequence[Term], names: Sequence[str]) -> None:
        self.constant = sum(term.t for term in terms)
        self.reads, self.writes = (
            _matrix([getattr(term, side) for term in terms], names) for side in ("reads", "writes")
        )
        self.a, self.b, self.w = (
            torch.tensor([getattr(term, name) for term in terms], dtype=torch.float64) for name in "abw"
        )

    def __call__(self, mean: Tensor, variance: Tensor) -> Tensor:
        """The expected cost.

        Args:
            mean: number of maps that are there, one for each group.
            variance: of these numbers.

        Returns:
            A scalar of the moments' dtype, on their device.
        """
        mean, variance = mean.double().cpu(), variance.double().cpu()  # a few hundred numbers, of any magnitude
        reads, writes = (fixed + times @ mean for fixed, times in (self.reads, self.writes))
        both = reads * writes + (self.reads[1] * self.writes[1]) @ variance
        return self.constant + (self.a * reads + self.b * writes + self.w * both).sum()


def _matrix(widths: Sequence[Width], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """What is fixed of each width, and how often it counts each group."""
    place = {name: column for column, name in enumerate(names)}
    fixed = torch.tensor([float(width.fixed) for width in widths], dtype=torch.float64)
    times = torch.zeros(len(widths), len(names), dtype=torch.float64)
    for row, width in enumerate(widths):
        for name, count in width.groups:
            if name in place:
                times[row, place[name]] += count
            else:
                fixed[row] += count
    return fixed, times


def moments(probabilities: Mapping[str, Tensor], maps: Mapping[str, int]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the number of maps of each group, in the order of `maps`.

    Args:
        probabilities: that each map of a group is there, for the groups whose maps come and go.
        maps: of every group; of those without probabilities all are there.
    """
    like = next(iter(probabilities.values()), torch.zeros(()))
    none = like.new_zeros(())
    pairs = [
        (p.sum(), (p * (1 - p)).sum()) if (p := probabilities.get(name)) is not None else (none + count, none)
        for name, count in maps.items()
    ]
    return torch.stack([mean for mean, _ in pairs]), torch.stack([variance for _, variance in pairs])


Terms = Callable[[Sequence[FusedOperator], LatencyTable, Sequence[str]], list[Term]]
"""Of a network's operators, its latency table and the names of its groups."""

EXPECTATIONS: Registry[Terms] = Registry("gaze.pruning.cost.expectations", "penalty")
"""What is penalised, by its name in `pruner.l0.penalty`."""
