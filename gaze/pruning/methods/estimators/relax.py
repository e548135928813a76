"""RELAX: a small network that learns the loss of relaxed gates is the control variate."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from gaze.pruning.methods.estimators.base import ESTIMATORS, BinaryEstimator, Losses, relaxed, relaxed_given
from gaze.pruning.structure.hard_concrete import HardConcrete

HIDDEN, RATE = 16, 0.01


class Surrogate(nn.Module):
    """c(z): gates relaxed to sigmoid(z / beta), a hidden layer, a number; it is 0 at first."""

    def __init__(self, maps: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.hidden, self.last = skip_init(nn.Linear, maps, HIDDEN), skip_init(nn.Linear, HIDDEN, 1)
        generator = torch.Generator().manual_seed(maps)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.randn(HIDDEN, maps, generator=generator) / maps**0.5)
            for parameter in (self.hidden.bias, self.last.weight, self.last.bias):
                parameter.zero_()

    def forward(self, z: Tensor) -> Tensor:
        """z, samples x maps, to one number a sample."""
        s = torch.sigmoid(z / self.beta).to(self.last.weight) - 0.5
        return self.last(torch.tanh(self.hidden(s)))[:, 0].to(z)  # type: ignore[no-any-return]


@ESTIMATORS.register("relax")
class Relax(BinaryEstimator):
    """Grathwohl et al. 2018 (arXiv 1711.00123), equation 8 and algorithm 2.

    (loss(b) - c(z~)) d log P(b) / d log alpha + d/d log alpha (c(z) - c(z~)), z~ drawn given b. Without bias for any c,
    whose weights follow the gradient of the estimate's square, hence of its variance. c knows nothing of the network,
    which is seen once, as with REINFORCE; the paper's other choice, the relaxed loss itself plus a network, costs what
    REBAR costs.
    """

    def __init__(self, gate: HardConcrete, maps: int) -> None:
        super().__init__(gate, maps)
        self.surrogate = Surrogate(maps, gate.beta)
        self.optimizer = torch.optim.Adam(self.surrogate.parameters(), RATE)

    def gradient(self, losses: Tensor, evaluate: Losses) -> Tensor:
        """See `GateEstimator.gradient`."""
        losses, _ = self.centered(losses)
        u, v = self.noise
        free = self.surrogate(relaxed(self.logits, u))
        given = self.surrogate(relaxed_given(self.logits, self.gates, v))
        slope = torch.autograd.grad((free - given).mean(), self.logits, create_graph=True)[0]
        estimate = ((losses - given)[:, None] * self.score).mean(0) + slope
        self.optimizer.zero_grad()
        if torch.isfinite(estimate).all():
            estimate.square().sum().backward(inputs=list(self.surrogate.parameters()))
            self.optimizer.step()
        return estimate.detach()

    def to(self, device: torch.device) -> None:
        """See `GateEstimator.to`."""
        self.surrogate.to(device)

    def state_dict(self) -> dict[str, Any]:
        """See `GateEstimator.state_dict`."""
        return super().state_dict() | {
            "surrogate": self.surrogate.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `GateEstimator.load_state_dict`."""
        super().load_state_dict(state)
        self.surrogate.load_state_dict(state["surrogate"])
        self.optimizer.load_state_dict(state["optimizer"])
