"""The heads readout: for each cell, whether its center lies in a head, and how far that head's sides are."""

import torch
from torch import Tensor, nn

from gaze.models.readout import Readout

MAPS = 5
"""A logit, and the natural logarithms of the distances to the left, top, right and bottom side, in cells."""

RARE = -2.5
"""The logit that a readout starts from: few cells lie in heads."""


class HeadsReadout(Readout):
    """A readout of `MAPS` maps in place of one; what each is to say is as in FCOS (Tian et al. 2019, section 3.1).

    Args:
        taps: channels of each tap, finest first.
        reduce: maps kept of each tap, or None to join the taps as they are.
        channels: output maps of each layer before the last.
        coarsest: how many of the taps it reads, the last ones, or None for all.
    """

    def __init__(self, taps: list[int], reduce: int | None, channels: list[int], coarsest: int | None = None) -> None:
        self.skipped = 0 if coarsest is None else max(0, len(taps) - coarsest)
        super().__init__(taps[self.skipped :], reduce, [*channels, MAPS])
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.bias.zero_()
            last.bias[0] = RARE

    def forward(self, taps: list[Tensor]) -> Tensor:
        """Taps, B x C x h x w each, to B x 5 x h x w at the size of the first that it reads."""
        return self.maps(taps[self.skipped :])
