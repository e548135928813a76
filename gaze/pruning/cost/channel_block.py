"""Channel blocks: how many feature maps an engine computes together, and how widths fill them."""

import numpy as np
import torch
from torch import nn

from gaze.pruning.cost.engines import Engine

BLOCKS = (1, 2, 4, 8, 16, 32)


def alignment(width: int, block: int) -> int:
    """0 for whole blocks, 1 for whole halves of one, 2 otherwise."""
    return 0 if width % block == 0 else 1 if block > 1 and width % (block // 2) == 0 else 2


def filled(width: int, block: int) -> int:
    """The next multiple of the block."""
    return -(-width // block) * block


def measure_block(engine: Engine) -> int:
    """Maps that the engine computes together: the step width that best explains a convolution's time over its output.

    Of each candidate g, t = a + b ceil(c / g) is fitted to the times at c = 33 to 64; the smallest error wins.
    """
    widths = range(33, 65)
    times = np.array(
        [engine.operator_time(_Probe(width), [torch.randn(1, 64, 30, 40)], 8.0, 16).low for width in widths]
    )

    def error(block: int) -> float:
        design = np.array([[1.0, filled(width, block)] for width in widths])
        return float(np.square(design @ np.linalg.lstsq(design, times, rcond=None)[0] - times).sum())

    return min(BLOCKS, key=error)


class _Probe(nn.Conv2d):
    alone = True

    def __init__(self, writes: int) -> None:
        super().__init__(64, writes, 1)
