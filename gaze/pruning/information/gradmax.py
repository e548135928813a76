"""GradMax, as published: fan-in zero, and the fan-out in which the fan-in's gradient is steepest."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.grad import conv2d_input, conv2d_weight

from gaze.models.widths import depthwise
from gaze.pruning.information.growth_signal import GrowthSignal, OutputGradients, finite
from gaze.pruning.structure.groups import JOINING_FUNCTIONS, Group, Member, Trace, convolution
from gaze.pruning.structure.growth import Joining

SLOPES: dict[type[nn.Module], float] = {nn.Identity: 1.0, nn.SiLU: 0.5, nn.GELU: 0.5, nn.Hardswish: 0.5}
"""f'(0) of layers with f(0) = 0; that of ReLU is 0 in torch, and nothing would ever flow."""
FUNCTIONS = {"float": 1.0, "to": 1.0, "silu": 0.5, "hardswish": 0.5, **dict.fromkeys(JOINING_FUNCTIONS, 1.0)}


@dataclass(frozen=True)
class Chain:
    """Two convolutions with nothing between them but what maps zero to zero, smoothly.

    Attributes:
        producer, consumer: members of the group that the one writes and the other reads.
        slope: f'(0) of what stands between.
    """

    producer: Member
    consumer: Member
    slope: float


class GradMax(GrowthSignal):
    """Evci et al. 2022 (arXiv 2201.05125): with W_l = 0 a new map changes nothing, and its gradient is largest with
    the top left singular vectors of E[dL/dz_(l+1) h_(l-1)^T] as W_(l+1).

    For convolutions the matrix has a row for each map and place of the second kernel and a column for each of the
    first's, as in the authors' code (`process_conv_aux_gradient`), here with strides and edges as they are. Columns of
    W_(l+1) get the mean norm of those that are there, as theirs do (`mean_norm`).

    Args:
        network: gets the hooks.
        groups: of the network; served are those that `chains` finds.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Group]) -> None:
        self.network, self.groups = network, {group.name: group for group in groups}
        self.chains = chains(network, self.groups.values())
        self.updates = 0
        self.totals: dict[str, Tensor] = {}
        self.entered: dict[str, tuple[Tensor, torch.Size]] = {}
        self.gradients = OutputGradients(network, {chain.consumer.layer for chain in self.chains.values()})
        producers = {chain.producer.layer for chain in self.chains.values()}
        self.hooks = [network.get_submodule(name).register_forward_hook(self._watch(name)) for name in producers]

    @property
    def ready(self) -> bool:
        """See `GrowthSignal.ready`."""
        return self.updates > 0

    @torch.no_grad()
    def update(self, divisor: float) -> None:
        """See `GrowthSignal.update`."""
        gradients = self.gradients.read()
        if not self.chains or not finite(gradients.values()):
            return
        for name, chain in self.chains.items():
            found = self._matrix(chain, gradients.get(chain.consumer.layer))
            if found is not None:
                examples = len(self.entered[chain.producer.layer][0])
                self.totals[name] = self.totals.get(name, torch.zeros_like(found)) + divisor / examples * found
        self.updates += 1

    def values(self) -> dict[str, Tensor]:
        """See `GrowthSignal.values`; as many maps a group as the matrix has singular values."""
        found = {}
        for name, total in self.totals.items():
            singular = torch.linalg.svdvals(total / self.updates)
            found[name] = (self._norm(name) * singular).square().float().cpu()
        return found

    def joining(self, name: str, count: int) -> Joining:
        """See `GrowthSignal.joining`."""
        consumer = self.chains[name].consumer
        left = torch.linalg.svd(self.totals[name], full_matrices=False)[0][:, :count]
        writes, _, *kernel = convolution(self.network, consumer.layer).weight.shape
        columns = self._norm(name) * left.reshape(writes, *kernel, count).permute(0, 3, 1, 2)
        return Joining(count, fan_out={consumer: columns})

    def detach(self) -> None:
        """See `GrowthSignal.detach`."""
        self.gradients.detach()
        for hook in self.hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """See `GrowthSignal.state_dict`."""
        return {"updates": self.updates, "totals": dict(self.totals)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `GrowthSignal.load_state_dict`."""
        self.updates, self.totals = state["updates"], dict(state["totals"])

    def _matrix(self, chain: Chain, gradient: Tensor | None) -> Tensor | None:
        """Sum over examples and places of dL/dz_(l+1) h_(l-1)^T, times f'(0); None where the loss saw nothing of it."""
        if gradient is None or chain.producer.layer not in self.entered:
            return None
        entered, size = self.entered[chain.producer.layer]
        first, second = (convolution(self.network, member.layer) for member in (chain.producer, chain.consumer))
        writes, _, rows, columns = second.weight.shape
        every = writes * rows * columns  # a map for each weight that could read one
        weight = torch.eye(every).to(gradient).reshape(writes, rows, columns, every).permute(0, 3, 1, 2)
        inside = (len(entered), every, *size)
        back = conv2d_input(inside, weight, gradient, second.stride, second.padding, second.dilation)
        shape = (every, *first.weight.shape[1:])
        found = conv2d_weight(entered.to(gradient), shape, back, first.stride, first.padding, first.dilation)
        return chain.slope * found.flatten(1)

    def _norm(self, name: str) -> float:
        """Mean norm of the columns by which the maps of a group are read."""
        consumer, maps = self.chains[name].consumer, self.groups[name].maps
        weight = convolution(self.network, consumer.layer).weight.detach()
        return float(weight[:, consumer.offset : consumer.offset + maps].square().sum((0, 2, 3)).sqrt().mean())

    def _watch(self, name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def watch(_: nn.Module, entering: tuple[Tensor], leaving: Tensor) -> None:
            if torch.is_grad_enabled():
                self.entered[name] = entering[0].detach(), leaving.shape[2:]

        return watch


def chains(network: nn.Module, groups: Iterable[Group]) -> dict[str, Chain]:
    """The groups that one convolution writes and one reads, with nothing else between but `SLOPES` and `FUNCTIONS`."""
    trace, layers = Trace(network), dict(network.named_modules())
    nodes = {str(node.target): node for node in trace.graph.nodes if node.op == "call_module"}
    found = {}
    for group in groups:
        members = (*group.producers, *group.consumers)
        if len(members) == 2 and not group.norms and all(_plain(layers[member.layer]) for member in members):
            slope = _slope(trace, layers, nodes[members[0].layer], nodes[members[1].layer])
            if slope:
                found[group.name] = Chain(*members, slope)
    return found


def _plain(layer: nn.Module) -> bool:
    """Whether a layer is torch's convolution itself, padded by zeros as it says."""
    known = type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return known and not depthwise(layer)  # type: ignore[arg-type]


def _slope(trace: Trace, layers: Mapping[str, nn.Module], node: fx.Node, end: fx.Node) -> float:
    """f'(0) of what stands between two nodes; 0 where that is not known."""
    slope = 1.0
    while True:
        users = [user for user in node.users if trace.labels[user] or user is end]
        if len(users) != 1:
            return 0.0
        node = users[0]
        if node is end:
            return slope
        if node.op == "call_module":
            slope *= SLOPES.get(type(layers[str(node.target)]), 0.0)
        else:
            slope *= FUNCTIONS.get(str(getattr(node.target, "__name__", node.target)).removesuffix("_"), 0.0)
        if not slope:
            return 0.0
