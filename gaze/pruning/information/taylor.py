"""The first-order Taylor signal."""

from torch import Tensor

from gaze.pruning.information.signal import SIGNALS, GradientSignal, normalized


@SIGNALS.register("taylor")
class Taylor(GradientSignal):
    """mean_n |g_nk| scaled to length 1 over each group: Molchanov et al. 2017 (arXiv 1611.06440), section 2.2.

    The first-order change of the loss. The paper takes a mean over positions, which the scaling undoes.
    """

    @staticmethod
    def of_examples(g: Tensor) -> Tensor:
        """The size."""
        return g.abs()

    def values(self) -> dict[str, Tensor]:
        """See `Signal.values`."""
        return normalized(super().values())
