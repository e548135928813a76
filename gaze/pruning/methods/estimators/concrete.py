"""The concrete relaxation: gates between 0 and 1, through which the gradient flows."""

import torch
from torch import Tensor

from gaze.pruning.methods.estimators.base import ESTIMATORS, GateEstimator, uniform


@ESTIMATORS.register("concrete")
class Concrete(GateEstimator):
    """Draws z itself: Louizos et al. 2018 (arXiv 1712.01312), equations 10 and 11.

    The estimate of E[loss(b)] has a bias, as z is between 0 and 1 at times; that of E[loss(z)] has none.
    """

    def draw(self, log_alpha: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """See `GateEstimator.draw`."""
        return self.gate.sample(log_alpha, uniform(1, samples, log_alpha, generator)[0])
