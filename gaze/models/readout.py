"""The readout: pixelwise convolutions from the tapped feature maps to one map."""

from collections.abc import Sequence

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

    Attributes:
        factors: how many times as large each tap is to be, where that is the same for every image, else None; None:
            to be found from the sizes.
    """

    def __init__(self, taps: list[int], reduce: int | None, channels: list[int]) -> None:
        super().__init__()
        self.factors: list[int | None] | None = None
        self.reduce = nn.ModuleList(nn.Conv2d(tap, reduce, 1) for tap in taps) if reduce else None
        joined = reduce * len(taps) if reduce else sum(taps)
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip([joined, *channels], channels, strict=False))

    @property
    def joined(self) -> int:
        """Maps that the layers read, as they are now: pruning removes some."""
        first = self.layers[0]
        assert isinstance(first, nn.Conv2d)
        return first.in_channels

    def forward(self, taps: list[Tensor]) -> Tensor:
        """Taps, B x C x h x w each, to one B x h x w map at the size of the first."""
        return self.maps(taps)[:, 0]

    def maps(self, taps: list[Tensor]) -> Tensor:
        """The same, to all maps of the last layer: B x C x h x w."""
        return self.read(self.join(taps))

    def join(self, taps: list[Tensor]) -> Tensor:
        """Taps to what the layers read: B x C x h x w at the size of the first."""
        if self.reduce is not None:
            taps = [reduce(tap) for reduce, tap in zip(self.reduce, taps, strict=True)]
        size, factors = taps[0].shape[-2:], self.factors or [None] * len(taps)
        maps = [taps[0], *(enlarged(tap, size, by) for tap, by in zip(taps[1:], factors[1:], strict=True))]
        x = torch.cat(maps, 1) if len(maps) > 1 else maps[0]
        return F.relu(x) if self.reduce is not None else x

    def read(self, joined: Tensor) -> Tensor:
        """What `join` gives, to all maps of the last layer."""
        x = joined
        for i, layer in enumerate(self.layers):
            x = layer(F.relu(x) if i else x)
        return x


def factors(strides: Sequence[int | None], finest: int | None = None) -> list[int | None]:
    """How many times as large each tap is to be to have the stride `finest`, None that of the first.

    None where that is no whole number, or the stride is None as the size of the tap is not all that it follows from.
    """
    to = finest or strides[0]
    return [stride // to if stride and to and stride % to == 0 else None for stride in strides]


def enlarged(maps: Tensor, size: tuple[int, ...], factor: int | None) -> Tensor:
    """Maps, B x C x h x w, brought to `size`, which is `factor` times theirs where that is known.

    ONNX Runtime enlarges by a number in the layout of its convolutions, to a size in another and one value at a time.
    """
    if factor is None:
        return F.interpolate(maps, size=size, mode="bilinear")
    return F.interpolate(maps, scale_factor=float(factor), mode="bilinear") if factor > 1 else maps
