"""The readout: pixelwise convolutions from the tapped feature maps to one map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Readout(nn.Module):
    """1x1 convolutions with ReLU between them, at the resolution of the finest tap.

    Theis et al. 2018 (section 2.1) and Kuemmerer et al. 2016 read features out pixel by pixel with 16-32-2-1 maps.
    Where several depths are tapped, `reduce` brings each down to a few maps first: this linear step commutes with
    the upsampling that follows and makes it cheap.

    Args:
        taps: channels of each tap, finest first.
        reduce: maps kept of each tap, or None to join the taps as they are.
        channels: output maps of each layer; the last is 1.
    """

    def __init__(self, taps: list[int], reduce: int | None, channels: list[int]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(tap, reduce, 1) for tap in taps) if reduce else None
        joined = reduce * len(taps) if reduce else sum(taps)
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip([joined, *channels], channels, strict=False))

    def forward(self, taps: list[Tensor]) -> Tensor:
        """Taps, B x C x h x w each, to one B x h x w map at the size of the first."""
        return self.maps(taps)[:, 0]

    def maps(self, taps: list[Tensor]) -> Tensor:
        """The same, to all maps of the last layer: B x C x h x w."""
        if self.reduce is not None:
            taps = [reduce(tap) for reduce, tap in zip(self.reduce, taps, strict=True)]
        size = taps[0].shape[-2:]
        maps = [taps[0], *(F.interpolate(tap, size=size, mode="bilinear") for tap in taps[1:])]
        x = torch.cat(maps, 1) if len(maps) > 1 else maps[0]
        for i, layer in enumerate(self.layers):
            x = layer(F.relu(x) if i or self.reduce is not None else x)
        return x
