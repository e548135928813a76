"""What must follow when a network changes under it: optimisers, averaged copies, anything that holds its parameters."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from gaze.models.widths import Replaced


class Change(Protocol):
    """Something that was done to a network, for others to do the same; `surgery.Cut` and `growth.Growth` are two.

    Attributes:
        replaced: the parameters that took the place of others.
    """

    @property
    def replaced(self) -> Sequence[Replaced]:
        """See the class."""

    def apply(self, network: nn.Module) -> object:
        """Repeats the change on a copy of the network, in place."""


@runtime_checkable
class Follower(Protocol):
    """What holds something of a network that changes: a copy, or state by parameter."""

    def follow(self, cut: Change) -> None:
        """Is told of each change after it was made."""


class OptimizerFollower:
    """A torch optimiser that goes on with the new parameters.

    Each has the state (moments, steps) of its surviving part, and zeros for what joined; state of a shape that fits no
    longer is dropped.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def follow(self, cut: Change) -> None:
        """See `Follower.follow`."""
        changes = {change.old: change for change in cut.replaced}
        for group in self.optimizer.param_groups:
            group["params"] = [changes[p].new if p in changes else p for p in group["params"]]
        for old, change in changes.items():
            if old in self.optimizer.state:
                moved = {key: _moved(value, change) for key, value in self.optimizer.state.pop(old).items()}
                if all(_fits(value, change) for value in moved.values()):
                    self.optimizer.state[change.new] = moved


def followers(callbacks: Iterable[Any], optimizers: Iterable[torch.optim.Optimizer]) -> Iterator[Follower]:
    """Those of a trainer's callbacks and optimisers that follow."""
    yield from (callback for callback in callbacks if isinstance(callback, Follower))
    yield from map(OptimizerFollower, optimizers)


def _moved(value: Any, change: Replaced) -> Any:
    return change.carry(value) if torch.is_tensor(value) and value.shape == change.old.shape else value


def _fits(value: Any, change: Replaced) -> bool:
    return not torch.is_tensor(value) or not value.ndim or value.shape == change.new.shape
