"""Padding as TensorFlow does it, written as numbers where it is the same for every image."""

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from gaze.models.network import GazeNetwork

REPEATS = 64
"""How much longer than wide the image is that tries the layers out: divisible by the stride of each."""


class PaddedConv2d(nn.Conv2d):
    """A `Conv2dSame`, with its parameters, for images whose sides its stride divides.

    It pads by kernel - stride in all, the odd cell to the right and below. Where padding is computed from the size,
    ONNX Runtime has to ask for that at every image, and to bring the maps into another layout.
    """

    def __init__(self, layer: Conv2dSame) -> None:
        super().__init__(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,  # type: ignore[arg-type]
                         0, layer.dilation, layer.groups)  # type: ignore[arg-type]  # fmt: skip
        self.weight, self.bias = layer.weight, layer.bias
        self.sides: list[int] = []  # left, right, top, bottom
        for kernel, dilation, stride in zip(self.kernel_size, self.dilation, self.stride, strict=True):
            total = max((kernel - 1) * dilation + 1 - stride, 0)
            self.sides = [total // 2, total - total // 2, *self.sides]

    def forward(self, input: Tensor) -> Tensor:
        """As `Conv2dSame.forward`."""
        if torch.onnx.is_in_onnx_export():
            return _OneNode.apply(input, self.weight, self.bias, self)  # type: ignore[no-any-return]
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
        return g.op("Conv", *inputs, kernel_shape_i=layer.kernel_size, strides_i=layer.stride,
                    dilations_i=layer.dilation, group_i=layer.groups, pads_i=[top, left, bottom, right])  # fmt: skip


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
    hooks = [layer.register_forward_pre_hook(lambda layer, inputs: sizes.update({layer: inputs[0].shape[-2:]}))
             for layer in layers.values()]  # fmt: skip
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
