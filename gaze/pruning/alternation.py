"""Whether pruning made thick and thin layers take turns, as Theis et al. 2018 (arXiv 1801.05787) report."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 6
"""Groups below which hardly an order of them could be told from chance."""
LEVEL = 0.05
ORDERS = 9999


@dataclass(frozen=True)
class Alternation:
    """What the widths say.

    Attributes:
        statistic: lag-1 autocorrelation of the kept shares, -1 to 1; negative where a group that kept much stands
            beside ones that kept little. 0 where all groups kept the same share.
        p: share of random orders of the groups whose statistic is as low; 1 where it cannot be told.
        verdict: one sentence.
    """

    statistic: float
    p: float
    verdict: str


def alternation(before: Mapping[str, int], after: Mapping[str, int]) -> Alternation:
    """Tests whether neighbouring groups tend to lie on opposite sides of the trend in the share of maps they kept.

    The straight line of the share over the depth is taken off first. The test is one-sided, by permutation: under
    chance the groups' deviations from the line could stand in any order. Its draws are the same each time. It does not
    say why: where two kinds of layers take turns by design, whatever sets the kinds apart alternates as well.

    Args:
        before: maps of each group, in the order in which the network computes them.
        after: maps that each group has left; one that is missing kept none.
    """
    shares = kept_shares(before, after)
    if len(shares) < FEWEST:
        return Alternation(0.0, 1.0, f"{len(shares)} layers are too few to tell whether thick and thin ones alternate.")
    rest = _without_trend(shares)
    if np.abs(rest).max() < 1e-9:
        return Alternation(0.0, 1.0, "Thick and thin layers do not alternate: pruning left every layer on one line.")
    statistic = float(_autocorrelation(rest[None])[0])
    orders = np.random.default_rng(0).permuted(np.tile(rest, (ORDERS, 1)), axis=1)
    p = float((1 + (_autocorrelation(orders) <= statistic + 1e-12).sum()) / (1 + ORDERS))
    return Alternation(statistic, p, _verdict(statistic, p, len(shares)))


def kept_shares(before: Mapping[str, int], after: Mapping[str, int]) -> NDArray[np.float64]:
    """Maps left over maps before, for each group in the order of `before`."""
    return np.array([after.get(name, 0) / maps for name, maps in before.items()])


def _without_trend(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    depth = np.linspace(-1, 1, len(shares))
    slope = depth @ shares / (depth @ depth)
    return shares - shares.mean() - slope * depth


def _autocorrelation(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row, whose mean is zero."""
    return (rest[:, 1:] * rest[:, :-1]).sum(1) / (rest**2).sum(1)


def _verdict(statistic: float, p: float, groups: int) -> str:
    figures = f"(lag-1 autocorrelation of the kept share {statistic:+.2f}, p = {p:.2g}, {groups} layers)"
    if p < LEVEL:
        return f"Thick and thin layers alternate, as Theis et al. (2018) report {figures}."
    return f"No alternation of thick and thin layers shows {figures}."
