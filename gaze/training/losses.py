"""What a gaze network is trained to maximise: the likelihood of where people looked, in bits."""

import math

from torch import Tensor


def information_gain(log_density: Tensor, target: Tensor, log_baseline: Tensor | None = None) -> Tensor:
    """Information gain over a baseline in bits per fixation: Kuemmerer, Wallis, Bethge 2015, equation 1.

    Sum over cells of target * (log_density - log_baseline) / ln 2. Where the target is the share of fixations in
    each cell, this is their mean log likelihood; where it is a density, the negative cross-entropy.

    Args:
        log_density: B x h x w, natural log, exp sums to 1 over each map.
        target: B x h x w, sums to 1 over each map.
        log_baseline: B x h x w or h x w, natural log; None takes the uniform density.

    Returns:
        B values, higher is better.
    """
    baseline = -math.log(target[0].numel()) if log_baseline is None else log_baseline
    return (target * (log_density - baseline)).sum((1, 2)) / math.log(2)
