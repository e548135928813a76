"""Whether pruning made thick and thin layers take turns, as Theis et al. 2018 (arXiv 1801.05787) report."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 6
"""Layers of a kind below which hardly an order of them could be told from chance."""
LEVEL = 0.05
ORDERS = 9999


@dataclass(frozen=True)
class Alternation:
    """What the widths say.

    Attributes:
        statistic: lag-1 autocorrelation of the kept shares among the layers of a kind, -1 to 1; negative where a layer
            that kept much stands beside ones that kept little. 0 where all kept the same share.
        p: share of random orders of the layers whose statistic is as low; 1 where it cannot be told.
        verdict: one sentence.
    """

    statistic: float
    p: float
    verdict: str


def alternation(before: Mapping[str, int], after: Mapping[str, int]) -> Alternation:
    """Tests whether neighbouring layers of one kind lie on opposite sides of the trend in the share of maps they kept.

    Where blocks hold layers of different kinds, say a wide one and one that squeezes, whatever sets the kinds apart
    takes turns by design, which says nothing of the pruning. So each kind, see `kinds`, is a sequence of its own, and
    the statistic is pooled over those of `FEWEST` layers or more. The straight line of the share over the depth is
    taken off each. The test is one-sided, by permutation: under chance the layers' deviations from the line could stand
    in any order within their kind; the line is taken off every order again. Its draws are the same each time.

    Args:
        before: maps of each group, in the order in which the network computes them.
        after: maps that each group has left; one that is missing kept none.
    """
    shares, kind_of = kept_shares(before, after), np.array(kinds(list(before)))
    within = [shares[kind_of == kind] for kind in dict.fromkeys(kind_of.tolist())]
    within = [part for part in within if len(part) >= FEWEST]
    if not within:
        return Alternation(0.0, 1.0, f"{len(shares)} layers are too few to tell whether thick and thin ones alternate.")
    rests = [_without_trend(part[None])[0] for part in within]
    if max(np.abs(rest).max() for rest in rests) < 1e-9:
        return Alternation(0.0, 1.0, "Thick and thin layers do not alternate: pruning left every layer on one line.")
    statistic, p = _test(rests)
    by_design = len(within) > 1 and len(shares) >= FEWEST and _test([_without_trend(shares[None])[0]])[1] < LEVEL
    return Alternation(statistic, p, _verdict(statistic, p, sum(map(len, within)), len(within), by_design))


def kept_shares(before: Mapping[str, int], after: Mapping[str, int]) -> NDArray[np.float64]:
    """Maps left over maps before, for each group in the order of `before`."""
    return np.array([after.get(name, 0) / maps for name, maps in before.items()])


def kinds(names: Sequence[str]) -> list[str]:
    """What part each layer plays, by its name: the last word of it, as in `blocks.3.1.conv_pw`.

    Numbers that stand alone only count. A word that occurs once, as `features_7` of a VGG, counts without its digits.
    """
    words = [[word for word in name.split(".") if not word.isdigit()] or [name] for name in names]
    places: dict[str, set[str]] = {}
    for name, parts in zip(names, words, strict=True):
        places.setdefault(parts[-1], set()).add(name.rpartition(parts[-1])[0])
    return [parts[-1] if len(places[parts[-1]]) > 1 else re.sub(r"\d+", "", parts[-1]) for parts in words]


def _test(rests: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Statistic and p of sequences without their trends."""
    random = np.random.default_rng(0)
    orders = [_without_trend(random.permuted(np.tile(rest, (ORDERS, 1)), axis=1)) for rest in rests]
    statistic = float(_autocorrelation([rest[None] for rest in rests])[0])
    return statistic, float((1 + (_autocorrelation(orders) <= statistic + 1e-12).sum()) / (1 + ORDERS))


def _without_trend(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row less its straight line."""
    depth = np.linspace(-1, 1, shares.shape[1])
    slopes = shares @ depth / (depth @ depth)
    return shares - shares.mean(1, keepdims=True) - slopes[:, None] * depth


def _autocorrelation(rests: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of the sequences that stand in the same row of each array, together."""
    products = sum((rest[:, 1:] * rest[:, :-1]).sum(1) for rest in rests)
    return np.asarray(products / np.maximum(sum((rest**2).sum(1) for rest in rests), 1e-12))


def _verdict(statistic: float, p: float, layers: int, kinds: int, by_design: bool) -> str:
    figures = f"lag-1 autocorrelation of the kept share {statistic:+.2f}, p = {p:.2g}, {layers} layers"
    among = f", {kinds} kinds" if kinds > 1 else ""
    if p < LEVEL:
        same = " of one kind" if kinds > 1 else ""
        return f"Thick and thin layers{same} alternate, as Theis et al. (2018) report of theirs ({figures}{among})."
    if by_design:
        return (
            "Thick and thin layers take turns only as layers of different kinds do: among those of one kind no "
            f"alternation shows ({figures}{among})."
        )
    return f"No alternation of thick and thin layers shows ({figures}{among})."
