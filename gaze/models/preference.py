"""The preference readout: for each cell, what a crop is worth more for holding it, and less for a side near it."""

import torch
from torch import nn

from gaze.framing.preference import MAPS
from gaze.models.readout import Readout


class PreferenceReadout(Readout):
    """A readout of `gaze.framing.preference.MAPS` maps in place of one. It begins by preferring nothing.

    Args:
        taps: channels of each tap, finest first.
        reduce: maps kept of each tap.
        channels: output maps of each layer before the last.
    """

    reduce: nn.ModuleList

    def __init__(self, taps: list[int], reduce: int, channels: list[int]) -> None:
        super().__init__(taps, reduce, [*channels, MAPS])
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():
            last.weight.zero_()
            last.bias.zero_()
