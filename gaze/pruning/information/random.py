"""Chance as a signal."""

from collections.abc import Iterable

import torch
from torch import Tensor

from gaze.pruning.information.signal import Signal
from gaze.pruning.structure.groups import Group


class Random(Signal):
    """Uniform draws, one a map, made once: what every other signal must beat."""

    def __init__(self, groups: Iterable[Group], seed: int) -> None:
        super().__init__(groups)
        generator = torch.Generator().manual_seed(seed)
        self.totals = {name: torch.rand(group.maps, generator=generator) for name, group in self.groups.items()}

    def values(self) -> dict[str, Tensor]:
        """See `Signal.values`."""
        return dict(self.totals)
