"""The Fisher information of parameters, and the signal of single weights, for masks without structure."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gaze.pruning.information.example_gradients import ExampleGradients, Wanted, every_parameter


class DiagonalFisher:
    """F_i = 1/N sum_n (dL_n / dtheta_i)^2, the diagonal of the Fisher information: squared per example, then averaged.

    It is the empirical one where L_n is the loss of what was seen, the model's where it is that of draws from what the
    network predicts (Kunstner et al. 2019, arXiv 1905.12558, equations 3 and 4).

    Args:
        network: gets the hooks, see `ExampleGradients`; what its `left_out` names has no information here, or zeros.
        decay: weight that an update's examples keep with each later update; 1 weighs all examples the same.
        wanted: of a layer and the name of its parameter, whether it is looked at.
    """

    def __init__(self, network: nn.Module, decay: float = 1.0, wanted: Wanted = every_parameter) -> None:
        self.gradients = ExampleGradients(network, self._take, wanted)
        self.totals = {
            name: value.detach().new_zeros(value.shape) for name, value in self.gradients.parameters().items()
        }
        self.squares: dict[str, Tensor] = {}
        self.decay, self.examples, self.batch = decay, 0.0, 0

    @property
    def ready(self) -> bool:
        """See `Signal.ready`."""
        return self.examples > 0

    def update(self, divisor: float) -> None:
        """Takes in the last backward pass; see `Signal.update`. One that overflowed is left out."""
        self.gradients.read()
        squares, self.squares = self.squares, {}
        if not squares or not all(torch.isfinite(square).all() for square in squares.values()):
            return  # as the optimiser leaves this step out
        for name, square in squares.items():
            self.totals[name] = self.decay * self.totals[name].to(square) + divisor**2 * square
        self.examples = self.decay * self.examples + self.batch

    def information(self) -> dict[str, Tensor]:
        """F, one tensor a parameter, by its name and in its shape; zeros before the first update."""
        return {name: total / max(self.examples, 1.0) for name, total in self.totals.items()}

    def restart(self) -> None:
        """Forgets what earlier backward passes showed."""
        self.examples = 0.0
        self.totals = {name: torch.zeros_like(total) for name, total in self.totals.items()}

    def detach(self) -> None:
        """Takes the hooks out of the network."""
        self.gradients.detach()

    def _take(self, name: str, gradients: Tensor) -> None:
        self.squares[name] = gradients.square().sum(0)
        self.batch = len(gradients)


class ParameterFisher(DiagonalFisher):
    """Delta_i = F_i theta_i^2 / 2 for the weights of convolutions: Theis et al. 2018 (arXiv 1801.05787), first form.

    The rise of the loss, in its own unit, if weight i of a convolution were set to zero.

    Args:
        network: gets the hooks, see `DiagonalFisher`.
        decay: weight that an update's examples keep with each later update; 1 weighs all examples the same.
    """

    def __init__(self, network: nn.Module, decay: float = 1.0) -> None:
        super().__init__(network, decay, _of_convolution)

    @property
    def layers(self) -> dict[str, nn.Conv2d]:
        """The convolutions by name."""
        return {name: layer for name, layer in self.gradients.layers.items() if isinstance(layer, nn.Conv2d)}

    def values(self) -> dict[str, Tensor]:
        """One tensor a convolution, by its name and in the shape of its weight; zeros before the first update."""
        found, layers = _by_layer(self.information()), self.layers
        return {name: f * layers[name].weight.detach().to(f).square() / 2 for name, f in found.items()}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, to go on from."""
        return {"totals": _by_layer(self.totals), "examples": self.examples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.totals = {f"{name}.weight".lstrip("."): total for name, total in state["totals"].items()}
        self.examples = state["examples"]


def _of_convolution(layer: nn.Module, name: str) -> bool:
    return isinstance(layer, nn.Conv2d) and name == "weight"


def _by_layer(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.rpartition(".")[0]: weight for name, weight in weights.items()}
