"""What is added to the training loss that is not data: the seam for elastic weight consolidation, L0 and their like."""

from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from torch import Tensor


@runtime_checkable
class Penalty(Protocol):
    """A callback of the trainer that adds a term to the loss; a method named `penalty` makes it one."""

    def penalty(self, module: pl.LightningModule) -> Tensor:
        """The term, a scalar in bits per fixation that a gradient flows through; `module.network` is what trains.

        It is asked for once a batch, after the batch went forward.
        """


def total_penalty(module: pl.LightningModule) -> Tensor | None:
    """The sum over the callbacks of the module's trainer; None where none of them is a `Penalty`."""
    trainer: Any = module.trainer  # Lightning declares no `callbacks`
    terms = [callback.penalty(module) for callback in trainer.callbacks if isinstance(callback, Penalty)]
    return sum(terms[1:], terms[0]) if terms else None
