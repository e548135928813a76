"""Groups: which feature maps of a network can only be removed together, and which layers that touches.

The network is traced once and every feature map that a convolution or a linear layer writes gets a label. Layers that
treat each map by itself (BatchNorm, activations, pooling, resizing, depthwise convolutions) hand the labels on, a
concatenation lines them up, and a sum or a product of two tensors ties their labels. Maps whose labels are tied are
one: they go together, and with them their share of every layer that writes, normalises or reads them. Maps that the
same layers touch form a group. The dependencies are those of DepGraph (Fang et al. 2023, arXiv 2301.12900), followed
map by map. A linear layer behind a flattening reads all positions of a map, as many consecutive columns for each.

What the tracer does not know is never removed: an operation that is not listed here pins the maps that enter it, and
`find_pinned` names it. A module with the attribute `untraced = True` is not looked into; it keeps what it reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Any

from torch import fx, nn

from gaze.models.widths import MIXES, BatchNorm, depthwise

WRITES, NORMALISES, READS = "writes", "normalises", "reads"

Labels = list[int]

BY_MAP_LAYERS = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.LeakyReLU, nn.ELU,
    nn.Tanh, nn.Dropout, nn.Dropout2d,
)  # fmt: skip
"""Those that treat each number by itself."""
POOLING_LAYERS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample)
"""Those that treat each map by itself."""
BY_MAP_FUNCTIONS = {
    "relu", "relu6", "silu", "gelu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "leaky_relu", "elu", "dropout",
    "float", "to", "contiguous",
}  # fmt: skip
POOLING_FUNCTIONS = {
    "interpolate", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d",
}  # fmt: skip
TYING_FUNCTIONS = {"add", "iadd", "sub", "isub", "mul", "imul", "truediv", "div"}
JOINING_FUNCTIONS = {"cat", "concat", "concatenate"}
FLATTENING_FUNCTIONS = {"flatten", "view", "reshape"}
FACTS = {"shape", "device", "dtype", "ndim"}
"""Attributes of a tensor that hold no maps."""
ASKING_METHODS = {"size", "dim"}
"""Methods that tell no more."""


@dataclass(frozen=True)
class Member:
    """Consecutive channels of a layer, from `offset`: `span` for each map of the group."""

    layer: str
    offset: int
    span: int = 1

    def channels(self, maps: int) -> slice:
        """Of so many maps."""
        return slice(self.offset, self.offset + maps * self.span)


@dataclass(frozen=True)
class Group:
    """Feature maps that the same layers touch; map k is channel `offset + k` of every member (of `span` 1).

    Attributes:
        name: of the first layer that writes the maps and has not given its name to an earlier group.
        maps: how many.
        producers: convolutions and linear layers that write the maps: their output channels. Depthwise ones are among
            them.
        norms: BatchNorms on the way from a producer to a consumer.
        consumers: those that read the maps: their input channels. One that reads them twice is listed twice.
    """

    name: str
    maps: int
    producers: tuple[Member, ...]
    norms: tuple[Member, ...]
    consumers: tuple[Member, ...]


class Layout(Enum):
    """Where the channels of a tensor lie."""

    MAPS = "one a map, along the dimension behind the examples, positions behind"
    SPREAD = "examples x channels, as many consecutive ones for each map: all its positions"
    JOINED = "examples x channels, some of which may be spread"
    ROW = "examples x channels, one a map"
    LAST = "one a map, along the last of some dimensions"


ROWS = {Layout.SPREAD, Layout.JOINED, Layout.ROW}


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
    """The groups of a network, in the order in which it computes them; names are unique.

    Left out are groups of fewer maps than `least` (by default of one, as a layer is never emptied), maps that nothing
    reads, what enters and what leaves the network, and what an operation pins that is not known, see `find_pinned`.
    """
    return trace_groups(network, least)[1]


def find_pinned(network: nn.Module) -> list[Pinned]:
    """The operations that keep maps from leaving, in the order in which the network computes them."""
    return Trace(network).pinned


def told(groups: Sequence[Group], pinned: Sequence[Pinned]) -> str:
    """What was found, in a line or two: how many maps of which groups can leave, and what keeps others."""
    names = ", ".join(f"{group.name} ({group.maps})" for group in groups)
    found = f"pruning: {sum(group.maps for group in groups)} maps in {len(groups)} groups can leave: {names}"
    kept = ", ".join(map(str, pinned))
    return f"{found}\nmaps that stay, as it is not known what is done to them: {kept}" if pinned else found


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


def weighted(network: nn.Module, name: str) -> nn.Conv2d | nn.Linear:
    """The convolution or linear layer of that name: a producer or a consumer."""
    layer = network.get_submodule(name)
    assert isinstance(layer, MIXES)
    return layer


@dataclass(frozen=True)
class _Step:
    """What one layer does to labelled maps; the `span` channels of the layer from i * span on carry `labels[i]`."""

    layer: str
    role: str
    labels: Labels
    span: int = 1


def _group(steps: list[_Step], touched: tuple[int, ...], maps: list[list[int]], taken: set[str]) -> Group:
    assert all(channels == [first + k for first in maps[0]] for k, channels in enumerate(maps)), "nothing reorders maps"
    members: dict[str, list[Member]] = {WRITES: [], NORMALISES: [], READS: []}
    for step, offset in zip(touched, maps[0], strict=True):
        members[steps[step].role].append(Member(steps[step].layer, offset * steps[step].span, steps[step].span))
    writers, norms, readers = (tuple(members[role]) for role in (WRITES, NORMALISES, READS))
    name = next((member.layer for member in writers if member.layer not in taken), None)
    return Group(name or _numbered(writers[0].layer, taken), len(maps), writers, norms, readers)


def _numbered(name: str, taken: set[str]) -> str:
    return next(f"{name}#{number}" for number in count(2) if f"{name}#{number}" not in taken)


class _Tracer(fx.Tracer):
    """Looks into every module but those whose effect on maps is known."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = isinstance(m, (*MIXES, BatchNorm, *BY_MAP_LAYERS, *POOLING_LAYERS)) or _untraced(m)
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
        layouts: how these lie in the tensor.
        steps: what the layers do to labelled maps.
        pinned: the operations that keep maps from leaving.
    """

    def __init__(self, network: nn.Module) -> None:
        self.steps: list[_Step] = []
        self.pinned: list[Pinned] = []
        self.parents = [0]
        layers = dict(network.named_modules())
        self.labels = labels = dict[object, Labels]()
        self.layouts = layouts = dict[object, Layout]()
        self.graph = _Tracer().trace(network)
        for node in self.graph.nodes:
            if node.op == "call_module":
                labels[node] = self._layer(node, layers[str(node.target)])
            elif node.op == "output":
                labels[node] = self._keep(self._entering(node))
            else:
                labels[node] = self._function(node)
            layouts.setdefault(node, next(iter(self._lying(node)), Layout.MAPS))

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

    def _lying(self, node: fx.Node) -> list[Layout]:
        """How the labelled channels of each tensor lie that a node is given."""
        return [self.layouts[given] for given in node.all_input_nodes if self.labels[given]]

    def _layer(self, node: fx.Node, layer: nn.Module) -> Labels:
        entering, name = self._entering(node), str(node.target)
        if _untraced(layer):
            return self._keep(entering)
        if isinstance(layer, (*MIXES, BatchNorm)) and any(step.layer == name for step in self.steps):
            return self._pin_layer(node, layer, entering)  # what a layer that is called twice may lose, both calls must
        if isinstance(layer, MIXES):
            return self._mixing(node, layer, entering)
        if not entering or len(entering) > 1:
            return self._pin_layer(node, layer, entering)
        if isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1):
            return self._flattened(node, entering) or self._pin_layer(node, layer, entering)
        if isinstance(layer, BatchNorm):
            return self._normalising(node, layer, entering[0])
        known = isinstance(layer, BY_MAP_LAYERS) or (
            isinstance(layer, POOLING_LAYERS) and self._lying(node) == [Layout.MAPS]
        )
        return entering[0] if known else self._pin_layer(node, layer, entering)

    def _normalising(self, node: fx.Node, layer: Any, entering: Labels) -> Labels:
        if layer.weight is None and layer.running_mean is None:
            return entering  # it holds nothing of any map
        if (span := self._span(node, layer.num_features)) is None:
            return self._pin_layer(node, layer, [entering])
        self.steps.append(_Step(str(node.target), NORMALISES, entering, span))
        return entering

    def _mixing(self, node: fx.Node, layer: nn.Conv2d | nn.Linear, operands: list[Labels]) -> Labels:
        """A convolution or a linear layer: reads maps and writes others."""
        name, entering = str(node.target), operands[0] if operands else []
        reads, writes = _width(layer)
        span = self._span(node, reads) if entering else 1
        lie = self._lying(node)[0] if entering else None
        if isinstance(layer, nn.Linear):
            self.layouts[node] = Layout.ROW if lie in ROWS else Layout.LAST
        if not node.args or span is None or (lie and (lie == Layout.MAPS) == isinstance(layer, nn.Linear)):
            self._pin_layer(node, layer, operands)  # gates and attribution see what a layer is given by position
            entering = []
        if isinstance(layer, nn.Conv2d) and entering and depthwise(layer):
            self.steps.append(_Step(name, WRITES, entering))
            return entering
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            return self._pin_layer(node, layer, [entering] if entering else [])
        leaving = list(range(len(self.parents), len(self.parents) + writes))
        self.parents += leaving
        self.steps += [_Step(name, READS, entering, span or 1), _Step(name, WRITES, leaving)]
        return leaving

    def _span(self, node: fx.Node, channels: int) -> int | None:
        """Channels for each map, where a layer reads or normalises so many; None where that is not known."""
        labels, layout = self._entering(node)[0], self._lying(node)[0]
        if layout == Layout.SPREAD:
            return None if channels % len(labels) else channels // len(labels)
        return 1 if channels == len(labels) else None

    def _flattened(self, node: fx.Node, entering: list[Labels]) -> Labels:
        """The maps, where their positions become channels; empty where the tensor's dimensions are not known."""
        layout = self._lying(node)[0]
        self.layouts[node] = Layout.SPREAD if layout == Layout.MAPS else layout
        return [] if layout == Layout.LAST else entering[0]

    def _function(self, node: fx.Node) -> Labels:
        name, entering = str(getattr(node.target, "__name__", node.target)), self._entering(node)
        plain = name.removesuffix("_")  # in place
        if not entering or name in ASKING_METHODS or (name == "getattr" and node.args[1] in FACTS):
            return []
        if name in JOINING_FUNCTIONS:
            return self._join_up(name, node)
        if plain in TYING_FUNCTIONS:
            return self._tie(name, node)
        of_maps = self._lying(node) == [Layout.MAPS]
        if len(entering) > 1:
            return self._pin(name, node, entering)
        if plain in BY_MAP_FUNCTIONS or (plain in POOLING_FUNCTIONS and of_maps):
            return entering[0]
        if name == "mean" and of_maps and _over_positions(node):
            self.layouts[node] = Layout.MAPS if _argument(node, 2, "keepdim") else Layout.ROW
            return entering[0]
        if name in FLATTENING_FUNCTIONS and _to_rows(name, node):
            return self._flattened(node, entering) or self._pin(name, node, entering)
        return self._pin(name, node, entering)

    def _join_up(self, name: str, node: fx.Node) -> Labels:
        parts = [self.labels.get(part, []) for part in _argument(node, 0, "tensors")]
        found, dimension = set(self._lying(node)), _dimensions(node)
        if found <= ROWS and dimension in (1, -1):
            self.layouts[node] = Layout.ROW if found == {Layout.ROW} else Layout.JOINED
        elif not (found == {Layout.MAPS} and dimension in (1, -3)) and not (found == {Layout.LAST} and dimension == -1):
            return self._pin(name, node, [part for part in parts if part])
        return [label for part in parts for label in part] if all(parts) else self._pin(name, node, parts)

    def _tie(self, name: str, node: fx.Node) -> Labels:
        operands = [self.labels[operand] for operand in node.all_input_nodes]
        first, *others = operands
        found = set(self._lying(node))
        if any(len(other) != len(first) for other in others) or (len(found) > 1 and not found <= ROWS):
            return self._pin(name, node, operands)
        if len(found) > 1:
            self.layouts[node] = Layout.JOINED
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


def _to_rows(name: str, node: fx.Node) -> bool:
    """Whether `flatten`, `view` or `reshape` leaves examples x channels."""
    if name == "flatten":
        return _argument(node, 1, "start_dim") == 1 and _argument(node, 2, "end_dim") in (None, -1)
    sides = node.args[1:] if len(node.args) > 2 else _argument(node, 1, "shape")
    return isinstance(sides, (tuple, list)) and len(sides) == 2 and _of_examples(sides[0]) and bool(sides[1] == -1)


def _of_examples(side: object) -> bool:
    """Whether a number is the length of a tensor's first dimension: `x.size(0)`, `x.size()[0]` or `x.shape[0]`."""
    if not isinstance(side, fx.Node):
        return False
    if side.target == "size":
        return bool(side.args[1:] == (0,))
    whole = side.args[0] if getattr(side.target, "__name__", "") == "getitem" and side.args[1] == 0 else None
    if not isinstance(whole, fx.Node):
        return False
    is_shape = getattr(whole.target, "__name__", "") == "getattr" and whole.args[1] == "shape"
    return bool(is_shape or (whole.target == "size" and len(whole.args) == 1))


def _width(layer: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """Channels read and written."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels
