"""The Fisher-Rao norm of a network: of its weights, and of the masks on its feature maps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from gaze.pruning.information.attribution import Attribution
from gaze.pruning.information.example_gradients import ExampleGradients
from gaze.pruning.structure.groups import Group


@dataclass(frozen=True)
class HalfNorm:
    """Half the squared norm: the rise of the loss that the Fisher information estimates where all of theta goes.

    Attributes:
        full: E_n (sum_i theta_i dl_n/dtheta_i)^2 / 2.
        diagonal: sum_i F_i theta_i^2 / 2, without what two parameters do together.
    """

    full: float
    diagonal: float


@dataclass(frozen=True)
class HalfNorms:
    """Of a network and of its parts.

    Attributes:
        total: of all together; its diagonal is the sum over the parts, its full form is not.
        parts: of each layer or group of maps by itself.
        left_out: parameters that are not counted, by name, see `ExampleGradients.left_out`.
    """

    total: HalfNorm
    parts: dict[str, HalfNorm]
    left_out: list[str] = field(default_factory=list)


class FisherRao:
    """theta' F theta with F = E_n[dl_n dl_n']: Liang et al. 2017 (arXiv 1711.01530), definition 2.

    l_n is what the backward pass was of, for each example; the unit is the square of that of l. The Fisher information
    is the empirical one or the model's as `DiagonalFisher` says. For map masks theta is the vector of ones that
    multiplies the maps, so that theta_i dl_n/dtheta_i is `Attribution`'s g. All examples weigh the same.

    Args:
        network: gets the hooks. It must treat examples by themselves, see `ExampleGradients`.
        groups: of the network; none of them leaves the maps out.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Group] = ()) -> None:
        self.groups = list(groups)
        self.attribution = Attribution(network, self.groups)
        self.gradients = ExampleGradients(network, self._take)
        self.parameters = {name: parameter.detach() for name, parameter in self.gradients.parameters().items()}
        self.sums: dict[str, Tensor] = {}
        self.squares: dict[str, Tensor] = {}
        self.found: list[tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]] = []

    def update(self, divisor: float) -> None:
        """Takes in the last backward pass; see `Signal.update`."""
        self.gradients.read()
        g = self.attribution.read(self.groups, divisor) if self.groups else {}
        sums = {name: divisor * value for name, value in self.sums.items()}
        squares = {name: divisor**2 * value for name, value in self.squares.items()}
        self.found.append((sums, squares, g))
        self.sums, self.squares = {}, {}

    def weights(self) -> HalfNorms:
        """Of all parameters; the parts are the layers that hold them.

        Raises:
            ValueError: no backward pass was taken in.
        """
        norms = half_norms(*(_joined([pass_[i] for pass_ in self.found]) for i in (0, 1)))
        return replace(norms, left_out=self.gradients.left_out())

    def maps(self) -> HalfNorms:
        """Of the masks on all maps; the parts are the groups.

        Raises:
            ValueError: no backward pass was taken in.
        """
        g = _joined([pass_[2] for pass_ in self.found])
        return half_norms({k: v.sum(1) for k, v in g.items()}, {k: v.square().sum(1) for k, v in g.items()})

    def detach(self) -> None:
        """Takes the hooks out of the network."""
        self.attribution.detach()
        self.gradients.detach()

    def _take(self, name: str, gradients: Tensor) -> None:
        products = (gradients * self.parameters[name]).reshape(len(gradients), -1).double()
        layer = name.rpartition(".")[0]
        self.sums[layer] = self.sums.get(layer, 0) + products.sum(1)
        self.squares[layer] = self.squares.get(layer, 0) + products.square().sum(1)


def half_norms(sums: Mapping[str, Tensor], squares: Mapping[str, Tensor]) -> HalfNorms:
    """The norms from theta_i dl_n/dtheta_i.

    Args:
        sums: of each part, over its parameters: one number an example.
        squares: of each part, the sum of their squares: one number an example.

    Raises:
        ValueError: there is no example.
    """
    if not sums or not len(next(iter(sums.values()))):
        raise ValueError("expected examples to average over, got none")
    parts = {name: _half(sums[name], squares[name]) for name in sums}
    whole = [torch.stack([values.double() for values in kind.values()]).sum(0) for kind in (sums, squares)]
    return HalfNorms(_half(*whole), parts)


def _half(sums: Tensor, squares: Tensor) -> HalfNorm:
    return HalfNorm(float(sums.double().square().mean()) / 2, float(squares.double().mean()) / 2)


def _joined(passes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Examples of several passes, one behind the other; a part that a pass did not reach counts as zero there."""
    names = list(dict.fromkeys(name for found in passes for name in found))
    zeros = [torch.zeros_like(next(iter(found.values()))) for found in passes]
    return {
        name: torch.cat([found.get(name, zero) for found, zero in zip(passes, zeros, strict=True)]) for name in names
    }
