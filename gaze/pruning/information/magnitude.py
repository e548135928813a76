"""The size of the weights as a signal."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from gaze.pruning.information.signal import SIGNALS, Signal, SignalOptions, normalized
from gaze.pruning.structure.groups import Group, weighted


@SIGNALS.register("magnitude")
class Magnitude(Signal):
    """Mean squared weight of what writes a map, scaled to length 1 over each group.

    The criterion "minimum weight" of Molchanov et al. 2017 (arXiv 1611.06440), section 2.2.
    """

    IDLE: Mapping[str, str] = {"pruner.decay": "pruner.signal=magnitude reads no updates"}

    def __init__(self, network: nn.Module, groups: Iterable[Group]) -> None:
        super().__init__(groups)
        self.network = network

    @classmethod
    def make(cls, network: nn.Module, groups: Iterable[Group], options: SignalOptions) -> Signal:
        """See `Signal.make`."""
        return cls(network, groups)

    def values(self) -> dict[str, Tensor]:
        """See `Signal.values`."""
        return normalized({name: self._of_weights(group) for name, group in self.groups.items()})

    def _of_weights(self, group: Group) -> Tensor:
        weights = [weighted(self.network, member.layer).weight.detach()[member.channels(group.maps)].flatten(1)
                   for member in group.producers]  # fmt: skip
        return torch.cat(weights, 1).float().square().mean(1).cpu()
