"""Padding as TensorFlow does it, written as numbers where it is the same for every image."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from gaze.models.network import GazeNetwork
from gaze.models.widths import WAS_DEPTHWISE, depthwise

REPEATS = 64
"""How much longer than wide the image is that tries the layers out: divisible by the stride of each."""


class PaddedConv2d(nn.Conv2d):
    """A `Conv2dSame`, with its parameters, for images whose sides its stride divides.

    It pads by kernel - stride in all, the odd cell to the right and below. Where padding is computed from the size,
    ONNX Runtime has to ask for that at every image, and to bring the maps into another layout.
    """

    def __init__(self, layer: Conv2dSame) -> None:
        size, steps, gaps = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.dilation)
        super().__init__(layer.in_channels, layer.out_channels, size, steps, 0, gaps, layer.groups)
        self.weight, self.bias = layer.weight, layer.bias
        setattr(self, WAS_DEPTHWISE, depthwise(layer))
        self.sides: list[int] = []  # left, right, top, bottom
        for kernel, dilation, stride in zip(self.kernel_size, self.dilation, self.stride, strict=True):
            total = max((kernel - 1) * dilation + 1 - stride, 0)
            self.sides = [total // 2, total - total // 2, *self.sides]

    def forward(self, input: Tensor) -> Tensor:
        """As `Conv2dSame.forward`."""
        if torch.onnx.is_in_onnx_export():
            exported: Tensor = _OneNode.apply(input, self.weight, self.bias, self)
            return exported
        return super().forward(F.pad(input, self.sides))


class _OneNode(torch.autograd.Function):
    """A convolution with its padding as one node of ONNX, which has sides of their own as torch's has not.

    ONNX Runtime leaves a `Pad` of its own standing before the convolution: 5% of the time of a small network.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, layer: PaddedConv2d) -> Tensor:
        padded = F.pad(input, layer.sides)
        return F.conv2d(padded, weight, bias, layer.stride, 0, layer.dilation, layer.groups)

    @staticmethod
    def symbolic(g: Any, input: Any, weight: Any, bias: Any, layer: PaddedConv2d) -> Any:
        left, right, top, bottom = layer.sides
        inputs = [input, weight] if layer.bias is None else [input, weight, bias]
        return g.op(
            "Conv",
            *inputs,
            kernel_shape_i=layer.kernel_size,
            strides_i=layer.stride,
            dilations_i=layer.dilation,
            group_i=layer.groups,
            pads_i=[top, left, bottom, right],
        )


class SlicedConv2d(nn.Module):
    """A `Conv2dSame` of stride 2 whose padding depends on the size, exported without computing with sizes.

    With a kernel of k cells TensorFlow's windows start at -(k - 1) / 2 where the size is odd, at -(k - 3) / 2 where it
    is even. So they are those of a stride of 1 and (k - 1) / 2 cells of padding on every side, from the first on or
    from the second. Where maps are small, four times the windows are less work than asking for sizes is.
    """

    def __init__(self, layer: Conv2dSame) -> None:
        super().__init__()
        self.layer = layer

    @staticmethod
    def fits(layer: Conv2dSame) -> bool:
        """Whether it is one that can be exported so: stride 2, odd kernel, map by map, no dilation."""
        return (
            layer.stride == (2, 2)
            and layer.dilation == (1, 1)
            and layer.groups == layer.in_channels
            and all(kernel % 2 for kernel in layer.kernel_size)
        )

    def forward(self, input: Tensor) -> Tensor:
        """As `Conv2dSame.forward`."""
        if torch.onnx.is_in_onnx_export():
            exported: Tensor = _Sliced.apply(input, self.layer.weight, self.layer.bias, self.layer)
            return exported
        return self.layer(input)


class _Sliced(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, layer: Conv2dSame) -> Tensor:
        sides = [kernel // 2 for kernel in layer.kernel_size]  # of the right shape: more an export does not ask for
        return F.conv2d(input, weight, bias, layer.stride, _pair(sides), 1, layer.groups)

    @staticmethod
    def symbolic(g: Any, input: Any, weight: Any, bias: Any, layer: Conv2dSame) -> Any:
        def constant(*values: int) -> Any:
            return g.op("Constant", value_t=torch.tensor(values))

        inputs = [input, weight] if layer.bias is None else [input, weight, bias]
        sides = [kernel // 2 for kernel in layer.kernel_size] * 2
        every = g.op(
            "Conv",
            *inputs,
            kernel_shape_i=layer.kernel_size,
            strides_i=(1, 1),
            dilations_i=(1, 1),
            group_i=layer.groups,
            pads_i=sides,
        )
        even = g.op("Mod", g.op("Add", g.op("Shape", every, start_i=2, end_i=4), constant(1)), constant(2))
        return g.op("Slice", every, even, constant(2**62, 2**62), constant(2, 3), constant(2, 2))


def slice_strides(network: GazeNetwork) -> None:
    """Puts a `SlicedConv2d` wherever padding is computed from the size and that can do without."""
    for name, layer in list(network.named_modules()):
        if (form := exported_layer(layer)) is not layer:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, form)


def exported_layer(layer: nn.Module) -> nn.Module:
    """What is exported in place of a layer, after `fix_padding`: a `SlicedConv2d` where that fits, else the layer."""
    return SlicedConv2d(layer) if isinstance(layer, Conv2dSame) and SlicedConv2d.fits(layer) else layer


@torch.no_grad()
def fix_padding(network: GazeNetwork) -> None:
    """Puts a `PaddedConv2d` wherever it computes the same for every image that the network may see.

    That is where the stride divides the size of what enters, whatever multiples of `config.input.multiple` the sides
    of the image are.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, Conv2dSame)}
    if not layers:
        return
    sizes: dict[nn.Module, tuple[int, int]] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: sizes.update({layer: inputs[0].shape[-2:]}))
        for layer in layers.values()
    ]
    side, device = network.config.input.multiple, next(network.parameters()).device
    network.backbone(torch.zeros(1, side, REPEATS * side, 3, dtype=torch.uint8, device=device))
    for hook in hooks:
        hook.remove()
    for name, layer in layers.items():
        if _divides(layer, *sizes[layer]):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, PaddedConv2d(layer))


def _divides(layer: Conv2dSame, rows: int, columns: int) -> bool:
    """Whether the stride divides every size; one that was rounded up on the way does not grow with the image."""
    return all(stride == 1 or (columns == REPEATS * rows and rows % stride == 0) for stride in layer.stride)


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    """Rows and columns."""
    rows, columns = sizes
    return rows, columns
