"""Groups: which feature maps of a network can only be removed together, and which layers that touches.

The network is traced once and every feature map that a convolution writes gets a label. Layers that treat each map by
itself (BatchNorm, activations, pooling, resizing, depthwise convolutions) hand the labels on, a concatenation lines
them up, and a sum or a product of two tensors ties their labels. Maps whose labels are tied are one: they go
together, and with them their share of every layer that writes, normalises or reads them. Maps that the same layers
touch form a group. The dependencies are those of DepGraph (Fang et al. 2023, arXiv 2301.12900), followed map by map.

What the tracer does not know is never removed: an operation that is not listed here pins the maps that enter it, and
`find_pinned` names it. A module with the attribute `untraced = True` is not looked into; it keeps what it reads.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

from torch import fx, nn

from gaze.models.widths import BatchNorm, depthwise

WRITES, NORMALISES, READS = "writes", "normalises", "reads"

Labels = list[int]

BY_MAP_LAYERS = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid,
    nn.MaxPool2d, nn.AvgPool2d,
)  # fmt: skip
BY_MAP_FUNCTIONS = {"relu", "silu", "sigmoid", "hardswish", "hardsigmoid", "interpolate", "float", "to"}
TYING_FUNCTIONS = {"add", "iadd", "sub", "isub", "mul", "imul", "truediv", "div"}
JOINING_FUNCTIONS = {"cat", "concat", "concatenate"}
FACTS = {"shape", "device", "dtype", "ndim"}
"""Attributes of a tensor that hold no maps."""


@dataclass(frozen=True)
class Member:
    """Consecutive channels of a layer, from `offset`; as many as the group has maps."""

    layer: str
    offset: int


@dataclass(frozen=True)
class Group:
    """Feature maps that the same layers touch; map k is channel `offset + k` of every member.

    Attributes:
        name: of the first layer that writes the maps and has not given its name to an earlier group.
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


@dataclass(frozen=True)
class Pinned:
    """An operation that keeps maps from leaving, as it is not known what it does to them.

    Attributes:
        operation: the function's name or the module's class.
        where: the module's path, or the name of the call in the traced graph.
        maps: that enter it.
    """

    operation: str
    where: str
    maps: int

    def __str__(self) -> str:
        return f"{self.operation} ({self.where}, {self.maps} maps)"


def find_groups(network: nn.Module, least: int = 2) -> list[Group]:
    """The groups of backbone and readout, in the order in which the network computes them; names are unique.

    Left out are groups of fewer maps than `least` (by default of one, as a layer is never emptied), maps that nothing
    reads, the image, the last map of the readout, and what an operation pins that is not known, see `find_pinned`.
    """
    return trace_groups(network, least)[1]


def find_pinned(network: nn.Module) -> list[Pinned]:
    """The operations that keep maps from leaving, in the order in which the network computes them."""
    return Trace(network).pinned


def trace_groups(network: nn.Module, least: int = 2) -> tuple["Trace", list[Group], dict[int, str]]:
    """The traced network, its groups, and the name of the group of each of their maps, by the map's `Trace.root`."""
    trace = Trace(network)
    together: dict[tuple[int, ...], dict[int, list[int]]] = {}
    for root, uses in trace.uses().items():
        together.setdefault(tuple(step for step, _ in uses), {})[root] = [channel for _, channel in uses]
    taken: set[str] = set()
    kept = []
    for steps, maps in together.items():
        group = _group(trace.steps, steps, list(maps.values()), taken)
        taken.add(group.name)  # that of a single map too, so that no name changes hands when a group has shrunk to it
        if group.maps >= least and group.consumers:
            kept.append((group, maps))
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


def _group(steps: list[_Step], touched: tuple[int, ...], maps: list[list[int]], taken: set[str]) -> Group:
    assert all(channels == [first + k for first in maps[0]] for k, channels in enumerate(maps)), "nothing reorders maps"
    members: dict[str, list[Member]] = {WRITES: [], NORMALISES: [], READS: []}
    for step, offset in zip(touched, maps[0], strict=True):
        members[steps[step].role].append(Member(steps[step].layer, offset))
    writers, norms, readers = (tuple(members[role]) for role in (WRITES, NORMALISES, READS))
    name = next((member.layer for member in writers if member.layer not in taken), None)
    return Group(name or _numbered(writers[0].layer, taken), len(maps), writers, norms, readers)


def _numbered(name: str, taken: set[str]) -> str:
    return next(f"{name}#{number}" for number in count(2) if f"{name}#{number}" not in taken)


class _Tracer(fx.Tracer):
    """Looks into every module but those whose effect on maps is known."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, (nn.Conv2d, BatchNorm, *BY_MAP_LAYERS)) or _untraced(m)
        return known or super().is_leaf_module(m, module_qualified_name)


def _untraced(layer: nn.Module) -> bool:
    """Whether a module says of itself, by an attribute, that it keeps all maps that enter it."""
    return bool(getattr(layer, "untraced", False))


class Trace:
    """The steps of a network, over labels that are tied to each other (a union-find forest).

    Label 0 is tied to every map that must stay. A tensor without labels has no channels that could be removed.

    Attributes:
        graph: what the network computes, node by node.
        labels: of the maps that leave each node.
        steps: what the layers do to labelled maps.
        pinned: the operations that keep maps from leaving.
    """

    def __init__(self, network: nn.Module) -> None:
        self.steps: list[_Step] = []
        self.pinned: list[Pinned] = []
        self.parents = [0]
        layers = dict(network.named_modules())
        self.labels = labels = dict[object, Labels]()
        self.graph = _Tracer().trace(network)
        for node in self.graph.nodes:
            if node.op == "call_module":
                labels[node] = self._layer(node, layers[str(node.target)])
            elif node.op == "output":
                labels[node] = self._keep(self._entering(node))
            else:
                labels[node] = self._function(node)

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

    def _entering(self, node: fx.Node) -> list[Labels]:
        """The labels of all tensors that a node is given, by position or by keyword; those without maps left out."""
        return [self.labels[given] for given in node.all_input_nodes if self.labels[given]]

    def _layer(self, node: fx.Node, layer: nn.Module) -> Labels:
        entering, name = self._entering(node), str(node.target)
        if _untraced(layer):
            return self._keep(entering)
        if isinstance(layer, (nn.Conv2d, BatchNorm)) and any(step.layer == name for step in self.steps):
            return self._pin_layer(node, layer, entering)  # what a layer that is called twice may lose, both calls must
        if isinstance(layer, nn.Conv2d):
            return self._convolution(node, layer, entering)
        if len(entering) > 1 or not isinstance(layer, (BatchNorm, *BY_MAP_LAYERS)):
            return self._pin_layer(node, layer, entering)
        if isinstance(layer, BatchNorm) and entering:
            self.steps.append(_Step(name, NORMALISES, entering[0]))
        return entering[0] if entering else []

    def _convolution(self, node: fx.Node, layer: nn.Conv2d, operands: list[Labels]) -> Labels:
        name, entering = str(node.target), operands[0] if operands else []
        if not node.args:  # gates and attribution see what a layer is given by position
            self._pin_layer(node, layer, operands)
            entering = []
        if entering and depthwise(layer):
            self.steps.append(_Step(name, WRITES, entering))
            return entering
        if layer.groups > 1:
            return self._pin_layer(node, layer, [entering] if entering else [])
        leaving = list(range(len(self.parents), len(self.parents) + layer.out_channels))
        self.parents += leaving
        self.steps += [_Step(name, READS, entering), _Step(name, WRITES, leaving)]
        return leaving

    def _function(self, node: fx.Node) -> Labels:
        name, entering = str(getattr(node.target, "__name__", node.target)), self._entering(node)
        plain = name.removesuffix("_")  # in place
        if not entering or (name == "getattr" and node.args[1] in FACTS):
            return []
        if name in JOINING_FUNCTIONS and _dimensions(node) in (1, -3):
            parts = [self.labels.get(part, []) for part in _argument(node, 0, "tensors")]
            return [label for part in parts for label in part] if all(parts) else self._pin(name, node, parts)
        if len(entering) == 1 and (plain in BY_MAP_FUNCTIONS or (name == "mean" and _over_positions(node))):
            return entering[0]
        if plain in TYING_FUNCTIONS:
            return self._tie(name, node)
        return self._pin(name, node, entering)

    def _tie(self, name: str, node: fx.Node) -> Labels:
        operands = [self.labels[operand] for operand in node.all_input_nodes]
        first, *others = operands
        if any(len(other) != len(first) for other in others):
            return self._pin(name, node, operands)
        for other in others:
            for pair in zip(first, other, strict=True):
                self._join(*pair)
        return first

    def _pin_layer(self, node: fx.Node, layer: nn.Module, operands: list[Labels]) -> Labels:
        """Pins what enters a layer, and what it wrote, normalised or read when it was called before."""
        name = str(node.target)
        before = [step.labels for step in self.steps if step.layer == name]
        return self._pin(type(layer).__name__, node, [*operands, *before])

    def _pin(self, operation: str, node: fx.Node, operands: list[Labels]) -> Labels:
        maps = len({self.root(label) for operand in operands for label in operand} - {self.root(0)})
        if maps and max(map(len, operands)) > 1:  # a layer's only map would stay anyway
            self.pinned.append(Pinned(operation, str(node.target if node.op == "call_module" else node.name), maps))
        return self._keep(operands)

    def _keep(self, operands: list[Labels]) -> Labels:
        for label in (label for operand in operands for label in operand):
            self._join(0, label)
        return []

    def _join(self, a: int, b: int) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self.parents[high] = low


def _argument(node: fx.Node, position: int, keyword: str) -> Any:
    """An argument of a call, given by position or by keyword; None where it is not given."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(keyword)


def _dimensions(node: fx.Node) -> object:
    """The dimensions that `torch.cat` or `Tensor.mean` was asked for; `torch.cat` joins the first where none is."""
    return _argument(node, 1, "dim")


def _over_positions(node: fx.Node) -> bool:
    """Whether a mean is taken over rows and columns."""
    dimensions = _dimensions(node)
    return isinstance(dimensions, (tuple, list)) and {d % 4 for d in dimensions if isinstance(d, int)} == {2, 3}
