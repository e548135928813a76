"""The Fisher signal of feature maps."""

from torch import Tensor

from gaze.pruning.information.signal import SIGNALS, GradientSignal


@SIGNALS.register("fisher")
class Fisher(GradientSignal):
    """Delta_k = 1 / (2N) sum_n g_nk^2: the pruning signal of Theis et al. 2018 (arXiv 1801.05787) for feature maps.

    The rise of the loss, in its own unit, to second order around a minimum, with the diagonal of the mask's Hessian
    replaced by that of its Fisher information. g is squared for each example, then averaged.
    """

    @staticmethod
    def of_examples(g: Tensor) -> Tensor:
        """Half the square."""
        return g.square() / 2
