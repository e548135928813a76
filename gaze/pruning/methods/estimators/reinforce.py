"""REINFORCE: a draw is made more likely the lower its loss is against what losses were before."""

from torch import Tensor

from gaze.pruning.methods.estimators.base import ESTIMATORS, BinaryEstimator, Losses


@ESTIMATORS.register("reinforce")
class Reinforce(BinaryEstimator):
    """(loss(b) - baseline) d log P(b) / d log alpha: Williams 1992, equation 4; variational optimisation's gradient."""

    def gradient(self, losses: Tensor, evaluate: Losses) -> Tensor:
        """See `GateEstimator.gradient`."""
        return (self.centered(losses)[0][:, None] * self.score).mean(0)
