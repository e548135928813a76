"""Signals: how much the loss would rise if a feature map were removed, estimated while the network trains."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gaze.models.widths import BatchNorm, take
from gaze.pruning.information.attribution import Attribution
from gaze.pruning.structure.groups import Group
from gaze.registry import Registry


@dataclass(frozen=True)
class SignalOptions:
    """What a configuration tells a signal; each takes what it needs.

    Attributes:
        decay: weight that an update's examples keep with each later update, above 0, at most 1.
        seed: of everything random.
    """

    decay: float = 1.0
    seed: int = 0


class Signal(ABC):
    """A value for each map of each group: the higher, the more the map is worth.

    Attributes:
        groups: of the network, by name.
        totals: one float32 tensor a group, one number a map: what the values are computed from.
    """

    IDLE: Mapping[str, str] = {}
    """Keys of the configuration (glob patterns) that the signal does not ask for, and why."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = {group.name: group for group in groups}
        self.totals = {name: torch.zeros(group.maps) for name, group in self.groups.items()}

    @classmethod
    @abstractmethod
    def make(cls, network: nn.Module, groups: Iterable[Group], options: SignalOptions) -> "Signal":
        """The signal of a network and its groups."""

    @property
    def ready(self) -> bool:
        """Whether there is something to go by since the start or the last `restart`."""
        return True

    def update(self, divisor: float) -> None:  # noqa: B027
        """Takes in what the last backward pass showed, if the signal depends on it.

        Args:
            divisor: what the loss of each example was divided by before the backward pass: the batch size where the
                loss is a mean over the batch, times the number of batches where gradients are accumulated.
        """

    def restart(self) -> None:  # noqa: B027
        """Forgets what earlier backward passes showed, if the signal depends on them: after a removal."""

    def detach(self) -> None:  # noqa: B027
        """Takes the hooks out of the network, if there are any."""

    @abstractmethod
    def values(self) -> dict[str, Tensor]:
        """One float32 tensor a group, one value a map."""

    def keep(self, maps: Mapping[str, Tensor], groups: Iterable[Group]) -> None:
        """Forgets the maps that surgery removed.

        Args:
            maps: `Cut.maps`, the indices that stayed.
            groups: that the network has now.
        """
        self.groups = {group.name: group for group in groups}
        self.totals = {name: take(self.totals[name], (maps.get(name),)) for name in self.groups}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, to go on from."""
        return {"totals": dict(self.totals)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.totals = dict(state["totals"])


class GradientSignal(Signal):
    """A mean over examples of a function of g_nk, see `Attribution`.

    Args:
        network: gets the hooks.
        groups: of the network.
        decay: weight that an update's examples keep with each later update; 1 weighs all examples the same.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Group], decay: float = 1.0) -> None:
        super().__init__(groups)
        self.attribution, self.decay, self.examples = Attribution(network, self.groups.values()), decay, 0.0

    @classmethod
    def make(cls, network: nn.Module, groups: Iterable[Group], options: SignalOptions) -> "Signal":
        """See `Signal.make`."""
        return cls(network, groups, options.decay)

    @property
    def ready(self) -> bool:
        """Whether a backward pass was taken in; one that overflowed does not count."""
        return self.examples > 0

    def update(self, divisor: float) -> None:
        """See `Signal.update`."""
        found = self.attribution.read(self.groups.values(), divisor)
        if not all(torch.isfinite(g).all() for g in found.values()):
            return  # mixed precision overflowed, and the optimiser leaves this step out too
        for name, g in found.items():
            self.totals[name] = self.decay * self.totals[name].to(g) + self.of_examples(g).sum(0)
        self.examples = self.decay * self.examples + len(next(iter(found.values())))

    def values(self) -> dict[str, Tensor]:
        """One float32 tensor a group, one value a map; zeros before the first update."""
        return {name: total.cpu() / max(self.examples, 1.0) for name, total in self.totals.items()}

    def restart(self) -> None:
        """See `Signal.restart`."""
        self.examples = 0.0
        self.totals = {name: torch.zeros_like(total) for name, total in self.totals.items()}

    def detach(self) -> None:
        """See `Signal.detach`."""
        self.attribution.detach()

    def state_dict(self) -> dict[str, Any]:
        """See `Signal.state_dict`."""
        return {**super().state_dict(), "examples": self.examples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Signal.load_state_dict`."""
        super().load_state_dict(state)
        self.examples = state["examples"]

    @staticmethod
    @abstractmethod
    def of_examples(g: Tensor) -> Tensor:
        """The estimate of each example and map from g, examples x maps."""


def warn_of_batch_statistics(network: nn.Module) -> None:
    """Says (UserWarning) where BatchNorm lets examples see each other: then no gradient is of one example alone."""
    norms = [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
    if mixed := sum(layer.training or layer.running_mean is None for layer in norms):
        warnings.warn(
            f"pruning: the signal is approximate, as {mixed} of {len(norms)} BatchNorms run on the statistics of the "
            "batch; put them into eval() while it trains for one that is exact",
            stacklevel=2,
        )


def normalized(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values scaled to length 1 over each group."""
    return {name: nn.functional.normalize(value, dim=0) for name, value in values.items()}


SIGNALS: Registry[type[Signal]] = Registry("gaze.pruning.information", "signal")
"""The signals of feature maps by their names in `pruner.signal`."""
