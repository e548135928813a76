"""Which maps leave, by their gates."""

import torch
from torch import Tensor


def leaving(gates: Tensor, log_alpha: Tensor, multiple: int) -> list[int]:
    """Maps of a group whose gate is 0, but those that fill the width up to a multiple.

    Of the closed maps those with the highest log alpha stay, as zeros, up to the next multiple of `multiple`; one at
    least where all are closed.

    Args:
        gates: at test time, one a map.
        log_alpha: the same.
        multiple: of which the width that is left is one, or all that there was.

    Returns:
        Their indices, rising.
    """
    closed = (gates == 0).nonzero()[:, 0]
    still = len(gates) - len(closed)
    kept = min(len(gates), max(1, -(-still // multiple)) * multiple)
    order = torch.argsort(log_alpha[closed], descending=True, stable=True)
    return sorted(closed[order[kept - still :]].tolist())
