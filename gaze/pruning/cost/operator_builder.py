"""A fused operator built again by itself, with other widths and random weights, to be timed."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from gaze.models.padding import exported_layer
from gaze.models.widths import MIXES, BatchNorm, depthwise


@dataclass(frozen=True)
class OperatorBuilder:
    """The operations of a fused operator, to be built again at other widths.

    Attributes:
        nodes: in order; the first is the head.
        root: the network that holds their layers.
        shapes: of the tensors that enter, with the node that each comes from.
    """

    nodes: tuple[fx.Node, ...]
    root: nn.Module
    shapes: tuple[tuple[fx.Node, tuple[int, ...], torch.dtype], ...]

    def build(self, reads: int, writes: int) -> tuple["OperatorModule", list[Tensor]]:
        """The operator with fresh layers for these widths, and random inputs of the network's sizes."""
        head = self.nodes[0]
        convolution = isinstance(layer_of(self.root, head), MIXES)
        parts = _split(reads, len(self.shapes)) if name_of(head) == "cat" else [reads] * len(self.shapes)
        if convolution:
            parts[1:] = [writes] * (len(parts) - 1)
        inputs = [_random(shape, dtype, part) for (_, shape, dtype), part in zip(self.shapes, parts, strict=True)]
        return OperatorModule(self, writes, reads, convolution), inputs


class OperatorModule(nn.Module):
    """An operator as a module of its own, with random weights.

    Attributes:
        alone: a layer that mixes maps or the image begins it, so that it needs no layer before it to be as in the
            network.
    """

    def __init__(self, builder: OperatorBuilder, writes: int, reads: int, convolution: bool) -> None:
        super().__init__()
        graph, copies = fx.Graph(), dict[fx.Node, Any]()
        self.holder = nn.Module()
        for node, _, _ in builder.shapes:
            copies[node] = graph.placeholder(node.name)
        for node in builder.nodes:
            layer = layer_of(builder.root, node)
            if layer is not None:
                fresh = resized(layer, reads, writes if convolution else reads)
                self.holder.add_module(node.name, exported_layer(fresh))
            copies[node] = _copied(graph, node, copies, self.holder, builder.root)
        graph.output(copies[builder.nodes[-1]])
        self.inside = fx.GraphModule(self.holder, graph)
        (_, shape, dtype), *others = builder.shapes
        self.alone = not others and (convolution or len(shape) < 4 or dtype == torch.uint8)

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the operator computes."""
        return self.inside(*inputs)


def resized(layer: nn.Module, reads: int, writes: int) -> nn.Module:
    """A layer of the same kind for other widths, with random weights; others than these three do not change."""
    layer = copy.deepcopy(layer)
    if isinstance(layer, nn.Linear):
        return nn.Linear(reads, writes, layer.bias is not None).eval()
    if isinstance(layer, nn.Conv2d):
        by_map = depthwise(layer)
        layer.in_channels, layer.out_channels = (writes if by_map else reads), writes
        layer.groups = writes if by_map else layer.groups
        inputs = layer.in_channels // layer.groups
        layer.weight = nn.Parameter(torch.randn(writes, inputs, *layer.kernel_size) / layer.weight[0].numel() ** 0.5)
        layer.bias = None if layer.bias is None else nn.Parameter(torch.zeros(writes))
    elif isinstance(layer, BatchNorm):
        layer.num_features = writes
        layer.weight, layer.bias = nn.Parameter(torch.ones(writes)), nn.Parameter(torch.zeros(writes))
        layer.running_mean, layer.running_var = torch.zeros(writes), torch.ones(writes)
    return layer.eval()


def layer_of(root: nn.Module, node: fx.Node) -> nn.Module | None:
    """The layer of `root` that a node calls, None where it calls a function."""
    return root.get_submodule(str(node.target)) if node.op == "call_module" else None


def name_of(node: fx.Node) -> str:
    """The name of the function that a node calls, empty where it calls a layer."""
    return str(getattr(node.target, "__name__", node.target)) if node.op != "call_module" else ""


def _copied(graph: fx.Graph, node: fx.Node, copies: dict[fx.Node, Any], holder: nn.Module, root: nn.Module) -> fx.Node:
    """Adds a node to an operator's own graph; values that are no maps become constants."""

    def operand(x: fx.Node) -> Any:
        if x in copies:
            return copies[x]
        if x.op == "get_attr":
            holder.register_buffer(x.name, root.get_buffer(str(x.target)).clone())
            return graph.get_attr(x.name)
        return x.meta["value"]

    if name_of(node) == "cat":
        return graph.call_function(torch.cat, ([copies[x] for x in node.all_input_nodes if x in copies], 1))
    args, kwargs = fx.node.map_arg(node.args, operand), fx.node.map_arg(node.kwargs, operand)
    return graph.create_node(node.op, node.name if node.op == "call_module" else node.target, args, kwargs, node.name)


def _random(shape: tuple[int, ...], dtype: torch.dtype, maps: int) -> Tensor:
    if dtype == torch.uint8:
        return torch.randint(0, 256, shape, dtype=dtype)
    return torch.randn(shape[0], maps, *shape[2:]) if len(shape) in (2, 4) else torch.randn(shape)


def _split(total: int, parts: int) -> list[int]:
    first = max(1, total // 16 * 8)
    return [total] if parts == 1 else [max(1, total - first), first]  # a part of no maps cannot be run
