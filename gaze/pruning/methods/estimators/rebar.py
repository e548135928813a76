"""REBAR: the loss of relaxed gates is a control variate for the loss of binary ones."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gaze.pruning.methods.estimators.base import ESTIMATORS, BinaryEstimator, Losses, relaxed, relaxed_given
from gaze.pruning.structure.hard_concrete import HardConcrete

RATE = 0.01


@ESTIMATORS.register("rebar")
class Rebar(BinaryEstimator):
    """Tucker et al. 2017 (arXiv 1703.07370), equation 4, with s = sigmoid(z / beta) in place of b.

    (loss(b) - eta loss(s~)) d log P(b) / d log alpha + eta d/d log alpha (loss(s) - loss(s~)), s~ drawn given b.
    Without bias for any eta, which follows the gradient of the estimate's square, hence of its variance (their
    section 3.2). The temperature is that of the gates and stays: its gradient would need second derivatives of the
    network. Two forward and two backward passes more than the others.
    """

    def __init__(self, gate: HardConcrete, maps: int) -> None:
        super().__init__(gate, maps)
        self.eta = torch.ones((), requires_grad=True)
        self.optimizer = torch.optim.Adam([self.eta], RATE)

    def gradient(self, losses: Tensor, evaluate: Losses) -> Tensor:
        """See `GateEstimator.gradient`."""
        u, v = self.noise
        losses, baseline = self.centered(losses)
        _, slope = self._slope(relaxed(self.logits, u), evaluate)
        given, slope_given = self._slope(relaxed_given(self.logits, self.gates, v), evaluate)
        plain = (losses[:, None] * self.score).mean(0)
        variate = slope - slope_given - ((given - baseline)[:, None] * self.score).mean(0)
        estimate = plain + self.eta.to(plain) * variate
        self.optimizer.zero_grad()
        if torch.isfinite(estimate).all():
            self.eta.grad = (2 * (estimate.detach() * variate).sum()).to(self.eta)
            self.optimizer.step()
        return estimate.detach()

    def to(self, device: torch.device) -> None:
        """See `GateEstimator.to`."""
        self.eta.data = self.eta.data.to(device)

    def state_dict(self) -> dict[str, Any]:
        """See `GateEstimator.state_dict`."""
        return super().state_dict() | {"eta": self.eta.detach().clone(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `GateEstimator.load_state_dict`."""
        super().load_state_dict(state)
        self.eta.data.copy_(state["eta"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _slope(self, z: Tensor, evaluate: Losses) -> tuple[Tensor, Tensor]:
        """Losses of relaxed gates, and the gradient of their mean."""
        losses = evaluate(torch.sigmoid(z / self.gate.beta))
        return losses.detach(), torch.autograd.grad(losses.mean(), self.logits)[0]
