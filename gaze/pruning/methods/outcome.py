"""What came of a pruning run: what is told at its end and stands in its pruning.json."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a run ended with; `pruning.json` holds the same.

    Attributes:
        checkpoint: of the pruned network.
        met: whether it fits the budget.
        before_gain: validation information gain of the unpruned network, bits per fixation.
        after_gain: the same of the pruned one.
        removals: at how many steps something left.
        updates: optimiser steps in all.
    """

    checkpoint: str
    met: bool
    before_gain: float
    after_gain: float
    removals: int
    updates: int

    def summary(self) -> str:
        """One line."""
        gains = f"validation information gain {self.before_gain:.3f} -> {self.after_gain:.3f} bits"
        return f"{self.checkpoint}: {self.size()}, {gains}"

    def size(self) -> str:
        """How much smaller it got, in words."""
        raise NotImplementedError


@dataclass(frozen=True)
class FasterOutcome(Outcome):
    """Of pruning whole maps.

    Attributes:
        budget_ms: milliseconds.
        before_ms: measured time of the unpruned network.
        after_ms: measured time of the pruned one; where the budget was a share, as if the machine were as fast as then.
        before: maps of each group.
        after: the same of the pruned network.
    """

    budget_ms: float
    before_ms: float
    after_ms: float
    before: dict[str, int]
    after: dict[str, int]

    def size(self) -> str:
        """See `Outcome.size`."""
        maps = f"{sum(self.before.values())} -> {sum(self.after.values())} maps"
        return f"{self.before_ms:.2f} -> {self.after_ms:.2f} ms (budget {self.budget_ms:.2f}), {maps}"


@dataclass(frozen=True)
class SparserOutcome(Outcome):
    """Of pruning single weights.

    Attributes:
        weights: share of the convolution weights that is left.
    """

    weights: float

    def size(self) -> str:
        """See `Outcome.size`."""
        return f"{self.weights:.1%} of the weights left"
