"""Fused operators: what of a network an engine runs as one, and its widths in terms of the groups' maps."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from gaze.models.padding import exported_layer
from gaze.models.widths import MIXES, BatchNorm, depthwise
from gaze.pruning.cost.example_input import ExampleInput
from gaze.pruning.cost.operator_builder import OperatorBuilder, layer_of, name_of
from gaze.pruning.structure.groups import (
    BY_MAP_FUNCTIONS,
    BY_MAP_LAYERS,
    FLATTENING_FUNCTIONS,
    POOLING_FUNCTIONS,
    POOLING_LAYERS,
    Labels,
    Trace,
    trace_groups,
)  # fmt: skip

DEVICE = "cpu"
"""Where operators are built, wherever the network is; an engine takes them to its own."""

FOLLOWERS = BY_MAP_FUNCTIONS | {"sub", "truediv", "getitem", "flatten"}
"""Functions that an engine fuses with what comes before, or that cost next to nothing."""

FREE_LAYERS = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten)
FREE_FUNCTIONS = {"float", "to", "getitem", "dropout", "contiguous", *FLATTENING_FUNCTIONS}
"""What takes no time of its own."""


@dataclass(frozen=True)
class Width:
    """A number of maps that depends on those of groups: fixed + sum of times x maps over `groups` (name, times)."""

    fixed: int
    groups: tuple[tuple[str, int], ...] = ()

    def at(self, maps: Mapping[str, int]) -> int:
        """The width where the groups have so many maps; a group that is missing has one, as `find_groups` drops it."""
        return self.fixed + sum(times * maps.get(name, 1) for name, times in self.groups)


@dataclass(frozen=True)
class FusedOperator:
    """Operations of a network that an engine runs as one.

    Attributes:
        name: of the layer or operation that begins it.
        kind: all that decides its time but the widths; operators of one kind share measurements.
        inputs: widths of the tensors that enter a concatenation; of anything else, of what enters first.
        writes: maps that leave what begins it. Images and densities count as 3 and 1 maps.
        dense: whether it is a layer that mixes maps, so that both widths count; else `writes` follows `inputs`.
        rows, columns: of what leaves it; 1 where that has no positions.
        kernel: rows x columns of the convolution's kernel, 1 of a linear layer, 0 where there is neither.
        builder: builds it.
        split: parts of a dense convolution that mix no maps with each other: `groups` of torch's layer.
    """

    name: str
    kind: str
    inputs: tuple[Width, ...]
    writes: Width
    dense: bool
    rows: int
    columns: int
    kernel: int
    builder: OperatorBuilder = field(compare=False, repr=False)
    split: int = 1

    @property
    def reads(self) -> Width:
        """Maps that enter it."""
        return Width(sum(w.fixed for w in self.inputs), tuple(pair for w in self.inputs for pair in w.groups))

    @property
    def groups(self) -> set[str]:
        """Names of the groups that its widths depend on."""
        return {name for width in (*self.inputs, self.writes) for name, _ in width.groups}


def find_operators(network: nn.Module, example: ExampleInput, least: int = 2) -> list[FusedOperator]:
    """The operators of a network on an example, in the order in which it computes them.

    A convolution, a BatchNorm behind a concatenation, a pooling, a product ... begins an operator. What follows and
    touches each map by itself (BatchNorm, activation, a residual sum behind a convolution) belongs to it, if nothing
    else reads what lies between. Their widths are those of groups of `least` maps or more, see `find_groups`.
    """
    network = example.fix(network).to(DEVICE).eval()
    trace, groups, owners = trace_groups(network, least)
    recorder = _Recorder(network, trace.graph)
    with torch.no_grad():
        recorder.run(*(x.to(DEVICE) for x in example.inputs))
    widths = _Widths(trace, {group.name: group.maps for group in groups}, owners, recorder.values)
    return [
        _operator(network, nodes, recorder.values, widths) for nodes in _parts(trace.graph, network, recorder.values)
    ]


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps, of each node, the shape and type of a tensor and the value of anything else."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        n.meta["value"] = result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["value"] = _Tensor(tuple(result.shape), result.dtype)
        self.values[n] = n.meta["value"]
        return result


@dataclass(frozen=True)
class _Tensor:
    shape: tuple[int, ...]
    dtype: torch.dtype


class _Widths:
    """Widths of the tensors between the nodes."""

    def __init__(
        self, trace: Trace, maps: Mapping[str, int], owners: Mapping[int, str], values: Mapping[fx.Node, Any]
    ) -> None:
        self.trace, self.maps, self.owners, self.values = trace, maps, owners, values

    def of(self, node: fx.Node) -> Width:
        """What leaves a node."""
        shape = self.values[node].shape
        labels: Labels = self.trace.labels[node]
        if not labels or len(shape) not in (2, 4) or shape[1] % len(labels):
            image = self.values[node].dtype == torch.uint8
            return Width(3 if image else shape[1] if len(shape) in (2, 4) else 1)
        span = shape[1] // len(labels)  # of a flattened map
        counts: dict[str, int] = {}
        for label in labels:
            if (name := self.owners.get(self.trace.root(label))) is not None:
                counts[name] = counts.get(name, 0) + 1
        times = {name: span * count // self.maps[name] for name, count in counts.items()}
        fixed = span * (len(labels) - sum(counts.values()))
        return Width(fixed, tuple(times.items()))


def _parts(graph: fx.Graph, root: nn.Module, values: Mapping[fx.Node, Any]) -> Iterable[tuple[fx.Node, ...]]:
    """The nodes of each operator."""
    parts: list[list[fx.Node]] = []
    home: dict[fx.Node, int] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr", "output") or not isinstance(values[node], _Tensor):
            continue
        ends = [x for x in node.all_input_nodes if x in home and parts[home[x]][-1] is x and _alone(x, values)]
        joins = bool(ends) and _follows(root, node, parts[max(home[x] for x in ends)])
        home[node] = max(home[x] for x in ends) if joins else len(parts)
        if not joins:
            parts.append([])
        parts[home[node]].append(node)
    return [tuple(nodes) for nodes in parts]


def _alone(node: fx.Node, values: Mapping[fx.Node, Any]) -> bool:
    """Whether one node alone reads what this one writes; asking for its shape is no reading."""
    return sum(isinstance(values.get(user), _Tensor) or user.op == "output" for user in node.users) == 1


def _follows(root: nn.Module, node: fx.Node, part: list[fx.Node]) -> bool:
    layer = layer_of(root, node)
    if any(_flattens(root, before) for before in part):  # from there on a map is several channels
        return False
    if layer is not None:
        return isinstance(layer, (BatchNorm, nn.Flatten, *BY_MAP_LAYERS))
    return name_of(node).removesuffix("_") in FOLLOWERS or (
        name_of(node) in ("add", "iadd") and isinstance(layer_of(root, part[0]), MIXES)
    )


def _flattens(root: nn.Module, node: fx.Node) -> bool:
    return isinstance(layer_of(root, node), nn.Flatten) or name_of(node) in FLATTENING_FUNCTIONS


def _operator(
    network: nn.Module, nodes: tuple[fx.Node, ...], values: Mapping[fx.Node, Any], widths: _Widths
) -> FusedOperator:
    head, tail = nodes[0], nodes[-1]
    layer = layer_of(network, head)
    entering = [
        x
        for node in nodes
        for x in node.all_input_nodes
        if x not in nodes and x.op != "get_attr" and isinstance(values[x], _Tensor)
    ]
    if name_of(head) == "cat":  # a concatenation of many is measured as one of two
        measured = [entering[0], entering[-1]] if len(set(entering)) > 1 else entering[:1]
    else:
        measured = list(dict.fromkeys(entering))
    builder = OperatorBuilder(nodes, network, tuple((x, values[x].shape, values[x].dtype) for x in measured))
    shape = values[tail].shape
    conv = layer if isinstance(layer, nn.Conv2d) else None
    dense = isinstance(layer, MIXES) and not (conv and depthwise(conv))
    rows, columns = next((s[-2:] for s in (values[head].shape, shape) if len(s) > 2), (1, 1))
    return FusedOperator(
        name=str(head.target) if layer is not None else head.name,
        kind=_kind(network, nodes, [values[x].shape for x in measured]),
        inputs=tuple(widths.of(x) for x in (entering if name_of(head) == "cat" else entering[:1])),
        writes=widths.of(head),
        dense=dense,
        rows=rows,
        columns=columns,
        kernel=math.prod(conv.kernel_size) if conv else int(isinstance(layer, nn.Linear)),
        builder=builder,
        split=conv.groups if conv and dense else 1,
    )


def _kind(root: nn.Module, nodes: tuple[fx.Node, ...], shapes: list[tuple[int, ...]]) -> str:
    words = [word for node in nodes if (word := _word(layer_of(root, node), node))]
    image = name_of(nodes[0]) == "permute"
    sides = [shape[1:3] if image else shape[-2:] for shape in shapes if len(shape) != 2]
    sizes = dict.fromkeys("x".join(map(str, side)) for side in sides)
    return " ".join(words) + " @ " + ",".join(sizes or ["row"])


def _word(layer: nn.Module | None, node: fx.Node) -> str:
    if isinstance(layer, nn.Conv2d):
        return _convolution_word(layer)
    if isinstance(layer, BatchNorm):
        activation = type(getattr(layer, "act", nn.Identity())).__name__
        return "bn" if activation == "Identity" else f"bn {activation}"
    if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
        return f"{type(layer).__name__} {layer.kernel_size}/{layer.stride}"
    if isinstance(layer, POOLING_LAYERS):
        return f"{type(layer).__name__} {layer.extra_repr()}"
    if layer is not None:
        return "" if isinstance(layer, FREE_LAYERS) else type(layer).__name__
    if name_of(node) in POOLING_FUNCTIONS - {"interpolate"}:  # whose size is that of what follows
        return f"{name_of(node)} {node.args[1:]} {dict(node.kwargs)}"
    return "" if name_of(node) in FREE_FUNCTIONS else name_of(node)


def _convolution_word(layer: nn.Conv2d) -> str:
    (rows, columns), form = layer.kernel_size, type(exported_layer(layer))
    words = [f"conv {rows}x{columns}/{layer.stride[0]}"]
    if form is not nn.Conv2d:
        words.append(form.__name__)
    if max(layer.dilation) > 1:
        words.append(f"dilated {layer.dilation[0]}")
    if depthwise(layer):
        words.append("depthwise")
    elif layer.groups > 1:  # its widths stay as they are
        words.append(f"{layer.in_channels}>{layer.out_channels} in {layer.groups}")
    return " ".join(words)
