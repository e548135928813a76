"""The hard concrete distribution: gates that are 0 or 1 with some probability, and differentiable in it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HardConcrete:
    """A concrete variable on (0, 1), stretched to (gamma, zeta) and clipped to [0, 1].

    Louizos, Welling and Kingma 2018 (arXiv 1712.01312), section 2.2. All methods work elementwise.

    Attributes:
        beta: temperature, above 0.
        gamma: lower end, below 0.
        zeta: upper end, above 1.

    Example:
        >>> HardConcrete(2 / 3, -0.1, 1.1).gate(torch.tensor([-3.0, 0.0, 3.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """

    beta: float
    gamma: float
    zeta: float

    def sample(self, log_alpha: Tensor, uniform: Tensor) -> Tensor:
        """z in [0, 1], equations 10 and 11; `uniform` is from U(0, 1), and is broadcast against `log_alpha`."""
        s = torch.sigmoid((logit(uniform) + log_alpha) / self.beta)
        return self._stretched(s)

    def open_logit(self, log_alpha: Tensor) -> Tensor:
        """log(pi / (1 - pi)) of pi = P(z != 0); it is `log_alpha` and a constant."""
        return log_alpha - self.beta * self.closing

    def open_probability(self, log_alpha: Tensor) -> Tensor:
        """pi = P(z != 0) = sigmoid(log alpha - beta log(-gamma / zeta)), of equation 12."""
        return torch.sigmoid(self.open_logit(log_alpha))

    def gate(self, log_alpha: Tensor) -> Tensor:
        """The gate at test time, min(1, max(0, sigmoid(log alpha) (zeta - gamma) + gamma)): equation 13."""
        return self._stretched(torch.sigmoid(log_alpha))

    @property
    def closing(self) -> float:
        """The highest log alpha whose gate at test time is 0."""
        return math.log(-self.gamma / self.zeta)

    def _stretched(self, s: Tensor) -> Tensor:
        return (s * (self.zeta - self.gamma) + self.gamma).clamp(0, 1)


def logit(uniform: Tensor) -> Tensor:
    """log u - log(1 - u), finite at the ends too."""
    return torch.logit(uniform, torch.finfo(uniform.dtype).eps)
