"""What all estimators share: gates are drawn, a loss is seen, and log alpha has a gradient."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gaze.pruning.structure.hard_concrete import HardConcrete, logit
from gaze.registry import Registry

MEMORY = 0.9
"""Share of the baseline that an update keeps."""

Losses = Callable[[Tensor], Tensor]
"""Gates, samples x maps, to the loss of each sample."""


class GateEstimator(ABC):
    """An estimate of d/d log alpha of E[loss(b)] over gates b, 0 or 1, open with pi = P(z != 0) of a hard concrete z.

    Args:
        gate: the distribution.
        maps: how many gates there are.
    """

    def __init__(self, gate: HardConcrete, maps: int) -> None:
        self.gate = gate

    @abstractmethod
    def draw(self, log_alpha: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """Gates for the forward pass, samples x maps; where they hang on `log_alpha`, the backward pass brings more.

        Args:
            log_alpha: one number a map.
            samples: how many draws; the loss is the mean over them.
            generator: of the random numbers, on the CPU.
        """

    def gradient(self, losses: Tensor, evaluate: Losses) -> Tensor | None:
        """What is to be added to the gradient of log alpha that the backward pass brings; None: nothing.

        Args:
            losses: of the gates that were drawn last, one a sample, without a graph.
            evaluate: the loss of other gates, on the same examples.
        """
        return None

    def to(self, device: torch.device) -> None:  # noqa: B027
        """Moves what it learns to where log alpha is; before `load_state_dict`."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, to go on from."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Goes on from a `state_dict`."""


class BinaryEstimator(GateEstimator):
    """Draws gates that are 0 or 1: b = 1 where z = log(pi / (1 - pi)) + log u - log(1 - u) is above 0.

    Attributes:
        logits: log(pi / (1 - pi)) at the last draw, a leaf.
        noise: u and, for what is drawn once b is known, v: both from U(0, 1), samples x maps.
        gates: b.
        baseline: moving average of earlier losses, which does not depend on the draw; the first draw sets it.
    """

    baseline: float | None = None

    def draw(self, log_alpha: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """See `GateEstimator.draw`; nothing hangs on `log_alpha`."""
        self.logits = self.gate.open_logit(log_alpha.detach()).requires_grad_()
        self.noise = uniform(2, samples, self.logits, generator)
        self.gates = (relaxed(self.logits, self.noise[0]) > 0).to(self.logits).detach()
        return self.gates

    @property
    def score(self) -> Tensor:
        """d/d log alpha of log P(b): b - pi."""
        return self.gates - torch.sigmoid(self.logits.detach())

    def centered(self, losses: Tensor) -> tuple[Tensor, float]:
        """Losses less the baseline, and that; it goes on to the next draw."""
        mean = float(losses.mean())
        before = mean if self.baseline is None else self.baseline
        if math.isfinite(mean):
            self.baseline = MEMORY * before + (1 - MEMORY) * mean
        return losses - before, before

    def state_dict(self) -> dict[str, Any]:
        """See `GateEstimator.state_dict`."""
        return {"baseline": self.baseline}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `GateEstimator.load_state_dict`."""
        self.baseline = state["baseline"]


def uniform(count: int, samples: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers from U(0, 1), count x samples x maps, where and as `like` is."""
    return torch.rand(count, samples, len(like), generator=generator, dtype=like.dtype).to(like.device)


def relaxed(logits: Tensor, noise: Tensor) -> Tensor:
    """z = log(pi / (1 - pi)) + log u - log(1 - u), which is above 0 with probability pi."""
    return logits + logit(noise)


def relaxed_given(logits: Tensor, gates: Tensor, noise: Tensor) -> Tensor:
    """z given b, from fresh noise v: Tucker et al. 2017 (arXiv 1703.07370), section 3 and appendix."""
    opened = torch.sigmoid(logits)
    return relaxed(logits, gates * ((1 - opened) + noise * opened) + (1 - gates) * noise * (1 - opened))


ESTIMATORS: Registry[type[GateEstimator]] = Registry("gaze.pruning.methods.estimators", "estimator")
"""The estimators by their names in `pruner.l0.estimator`."""
