"""Chance as a signal."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from gaze.pruning.information.signal import SIGNALS, Signal, SignalOptions
from gaze.pruning.structure.groups import Group


@SIGNALS.register("random")
class Random(Signal):
    """Uniform draws, one a map, made once: what every other signal must beat."""

    IDLE: Mapping[str, str] = {"pruner.decay": "pruner.signal=random reads no updates"}

    def __init__(self, groups: Iterable[Group], seed: int) -> None:
        super().__init__(groups)
        generator = torch.Generator().manual_seed(seed)
        self.totals = {name: torch.rand(group.maps, generator=generator) for name, group in self.groups.items()}

    @classmethod
    def make(cls, network: nn.Module, groups: Iterable[Group], options: SignalOptions) -> Signal:
        """See `Signal.make`."""
        return cls(groups, options.seed)

    def values(self) -> dict[str, Tensor]:
        """See `Signal.values`."""
        return dict(self.totals)
