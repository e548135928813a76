"""Groups: which feature maps of a network can only be removed together, and which layers that touches.

The network is traced once and every feature map that a convolution writes gets a label. Layers that treat each map by
itself (BatchNorm, activations, pooling, resizing, depthwise convolutions) hand the labels on, a concatenation lines
them up, and a sum or a product of two tensors ties their labels. Maps whose labels are tied are one: they go
together, and with them their share of every layer that writes, normalises or reads them. Maps that the same layers
touch form a group. The dependencies are those of DepGraph (Fang et al. 2023, arXiv 2301.12900), followed map by map.

What the tracer does not know is never removed: an operation that is not listed here pins the maps that enter it.
"""

from dataclasses import dataclass

from torch import fx, nn

from gaze.models.finalizer import Finalizer
from gaze.models.network import GazeNetwork
from gaze.models.widths import BatchNorm

WRITES, NORMALISES, READS = "writes", "normalises", "reads"

Labels = list[int]

BY_MAP_LAYERS = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid,
    nn.MaxPool2d, nn.AvgPool2d,
)  # fmt: skip
BY_MAP_FUNCTIONS = {"relu", "silu", "sigmoid", "hardswish", "hardsigmoid", "interpolate", "float", "to"}
TYING_FUNCTIONS = {"add", "iadd", "sub", "mul", "imul", "truediv"}


@dataclass(frozen=True)
class Member:
    """Consecutive channels of a layer, from `offset`; as many as the group has maps."""

    layer: str
    offset: int


@dataclass(frozen=True)
class Group:
    """Feature maps that the same layers touch; map k is channel `offset + k` of every member.

    Attributes:
        name: of the first layer that writes the maps.
        maps: how many.
        producers: convolutions that write the maps: their output channels. Depthwise ones are among them.
        norms: BatchNorms on the way from a producer to a consumer.
        consumers: convolutions that read the maps: their input channels. One that reads them twice is listed twice.
    """

    name: str
    maps: int
    producers: tuple[Member, ...]
    norms: tuple[Member, ...]
    consumers: tuple[Member, ...]


def find_groups(network: GazeNetwork) -> list[Group]:
    """The groups of backbone and readout, in the order in which the network computes them.

    Left out are groups of one map (a layer is never emptied), maps that nothing reads, the image and the last map of
    the readout.
    """
    return trace_groups(network)[1]


def trace_groups(network: GazeNetwork) -> tuple["Trace", list[Group], dict[int, str]]:
    """The traced network, its groups, and the name of the group of each removable map, by the map's `Trace.root`."""
    trace = Trace(network)
    together: dict[tuple[int, ...], dict[int, list[int]]] = {}
    for root, uses in trace.uses().items():
        together.setdefault(tuple(step for step, _ in uses), {})[root] = [channel for _, channel in uses]
    found = [(_group(trace.steps, steps, list(maps.values())), maps) for steps, maps in together.items()]
    kept = [(group, maps) for group, maps in found if group.maps > 1 and group.consumers]
    return trace, [group for group, _ in kept], {root: group.name for group, maps in kept for root in maps}


def convolution(network: nn.Module, name: str) -> nn.Conv2d:
    """The convolution of that name: a producer or a consumer."""
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    return layer


@dataclass(frozen=True)
class _Step:
    """What one layer does to labelled maps; channel i of the layer carries `labels[i]`."""

    layer: str
    role: str
    labels: Labels


def _group(steps: list[_Step], touched: tuple[int, ...], maps: list[list[int]]) -> Group:
    assert all(channels == [first + k for first in maps[0]] for k, channels in enumerate(maps)), "nothing reorders maps"
    members: dict[str, list[Member]] = {WRITES: [], NORMALISES: [], READS: []}
    for step, offset in zip(touched, maps[0], strict=True):
        members[steps[step].role].append(Member(steps[step].layer, offset))
    return Group(steps[touched[0]].layer, len(maps), *(tuple(members[role]) for role in (WRITES, NORMALISES, READS)))


class _Tracer(fx.Tracer):
    """Looks into every module but those whose effect on maps is known."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, (nn.Conv2d, BatchNorm, Finalizer, *BY_MAP_LAYERS))
        return known or super().is_leaf_module(m, module_qualified_name)


class Trace:
    """The steps of a network, over labels that are tied to each other (a union-find forest).

    Label 0 is tied to every map that must stay. A tensor without labels has no channels that could be removed.

    Attributes:
        graph: what the network computes, node by node.
        labels: of the maps that leave each node.
        steps: what the layers do to labelled maps.
    """

    def __init__(self, network: GazeNetwork) -> None:
        self.steps: list[_Step] = []
        self.parents = [0]
        layers = dict(network.named_modules())
        self.labels = labels = dict[object, Labels]()
        self.graph = _Tracer().trace(network)
        for node in self.graph.nodes:
            if node.op == "call_module":
                labels[node] = self._layer(str(node.target), layers[str(node.target)], labels[node.args[0]])
            else:
                labels[node] = self._function(node, labels)

    def uses(self) -> dict[int, list[tuple[int, int]]]:
        """For each removable map, by its root: the steps that touch it, each with the channel that the map is there."""
        found: dict[int, list[tuple[int, int]]] = {}
        for index, step in enumerate(self.steps):
            for channel, label in enumerate(step.labels):
                found.setdefault(self.root(label), []).append((index, channel))
        found.pop(self.root(0), None)
        return found

    def root(self, label: int) -> int:
        """The label that stands for all that are tied to this one."""
        while self.parents[label] != label:
            label = self.parents[label]
        return label

    def _layer(self, name: str, layer: nn.Module, entering: Labels) -> Labels:
        if isinstance(layer, nn.Conv2d):
            return self._convolution(name, layer, entering)
        if isinstance(layer, BatchNorm):
            self.steps.append(_Step(name, NORMALISES, entering))
        elif not isinstance(layer, BY_MAP_LAYERS):
            return self._pin([entering])
        return entering

    def _convolution(self, name: str, layer: nn.Conv2d, entering: Labels) -> Labels:
        if entering and layer.groups == layer.in_channels == layer.out_channels:  # depthwise
            self.steps.append(_Step(name, WRITES, entering))
            return entering
        if layer.groups > 1:
            return self._pin([entering])
        leaving = list(range(len(self.parents), len(self.parents) + layer.out_channels))
        self.parents += leaving
        self.steps += [_Step(name, READS, entering), _Step(name, WRITES, leaving)]
        return leaving

    def _function(self, node: fx.Node, labels: dict[object, Labels]) -> Labels:
        name = str(getattr(node.target, "__name__", node.target))
        if name == "cat" and _dimensions(node) == 1:
            parts = [labels[part] for part in node.args[0]]  # type: ignore[union-attr]
            return [label for part in parts for label in part] if all(parts) else self._pin(parts)
        if name in BY_MAP_FUNCTIONS or (name == "mean" and _dimensions(node) == (2, 3)):
            return labels[node.args[0]]
        if name in TYING_FUNCTIONS:
            return self._tie([labels[operand] for operand in node.args if isinstance(operand, fx.Node)])
        if name == "getattr":  # a shape
            return []
        return self._pin([labels[entering] for entering in node.all_input_nodes])

    def _tie(self, operands: list[Labels]) -> Labels:
        first, *others = operands
        if any(len(other) != len(first) for other in others):
            return self._pin(operands)
        for other in others:
            for pair in zip(first, other, strict=True):
                self._join(*pair)
        return first

    def _pin(self, operands: list[Labels]) -> Labels:
        for label in (label for operand in operands for label in operand):
            self._join(0, label)
        return []

    def _join(self, a: int, b: int) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self.parents[high] = low


def _dimensions(node: fx.Node) -> object:
    """The dimensions that `torch.cat` or `Tensor.mean` was asked for."""
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
