"""The signal of single weights, for masks without structure."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap


class ParameterFisher:
    """Delta_i = F_i theta_i^2 / 2 with F_i = 1/N sum_n (dL_n / dtheta_i)^2: Theis et al. 2018 (arXiv 1801.05787).

    The rise of the loss, in its own unit, if weight i of a convolution were set to zero; the paper's first form.
    The gradient of each example is formed once more, layer by layer, so a step costs about half as much again.

    Args:
        network: gets the hooks. It must treat examples by themselves, so BatchNorm must run on its stored statistics.
        decay: weight that an update's examples keep with each later update; 1 weighs all examples the same.
    """

    def __init__(self, network: nn.Module, decay: float = 1.0) -> None:
        self.layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
        self.totals = {name: layer.weight.detach().new_zeros(layer.weight.shape) for name, layer in self.layers.items()}
        self.squares: dict[str, Tensor] = {}
        self.decay, self.examples, self.batch = decay, 0.0, 0
        self.hooks = [layer.register_forward_hook(partial(self._watch, name)) for name, layer in self.layers.items()]

    @property
    def ready(self) -> bool:
        """See `Signal.ready`."""
        return self.examples > 0

    def update(self, divisor: float) -> None:
        """Takes in the last backward pass; see `Signal.update`. One that overflowed is left out."""
        squares, self.squares = self.squares, {}
        if not squares or not all(torch.isfinite(square).all() for square in squares.values()):
            return  # as the optimiser leaves this step out
        for name, square in squares.items():
            self.totals[name] = self.decay * self.totals[name].to(square) + divisor**2 * square
        self.examples = self.decay * self.examples + self.batch

    def values(self) -> dict[str, Tensor]:
        """One tensor a convolution, by its name and in the shape of its weight; zeros before the first update."""
        information = {name: total / max(self.examples, 1.0) for name, total in self.totals.items()}
        return {name: f * self.layers[name].weight.detach().to(f).square() / 2 for name, f in information.items()}

    def restart(self) -> None:
        """Forgets what earlier backward passes showed."""
        self.examples = 0.0
        self.totals = {name: torch.zeros_like(total) for name, total in self.totals.items()}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, to go on from."""
        return {"totals": dict(self.totals), "examples": self.examples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.totals, self.examples = dict(state["totals"]), state["examples"]

    def detach(self) -> None:
        """Takes the hooks out of the network."""
        for hook in self.hooks:
            hook.remove()

    def _watch(self, name: str, layer: nn.Conv2d, entering: tuple[Tensor], leaving: Tensor) -> None:
        if leaving.requires_grad:
            leaving.register_hook(partial(self._collect, name, layer, entering[0].detach()))

    def _collect(self, name: str, layer: nn.Conv2d, entering: Tensor, gradient: Tensor) -> None:
        self.squares[name] = example_gradients(layer, entering, gradient).square().sum(0)
        self.batch = len(entering)


def example_gradients(layer: nn.Conv2d, entering: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of each example's loss with respect to a convolution's weight: examples x the weight's shape.

    In the precision of the weight, which mixed precision leaves alone.

    Args:
        layer: the convolution.
        entering: what it read.
        gradient: of the loss with respect to what it wrote.
    """

    def product(weight: Tensor, x: Tensor, g: Tensor) -> Tensor:
        return (functional_call(_Bare(layer), {"layer.weight": weight}, (x[None],)) * g[None]).sum()

    weight = layer.weight.detach()
    with torch.autocast(weight.device.type, enabled=False):
        return vmap(grad(product), in_dims=(None, 0, 0))(weight, entering.to(weight), gradient.to(weight))


class _Bare(nn.Module):
    """A layer without its hooks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.forward(x)
