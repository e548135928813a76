"""Knowledge distillation: the network also learns from the density that another one predicts."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from gaze.card import InputRule
from gaze.data.dataset import GazeDataset
from gaze.data.taught import Taught
from gaze.models.network import GazeNetwork
from gaze.progress import track


class Teacher(pl.Callback):
    """A frozen network whose densities are mixed into the targets: Hinton et al. 2015 (arXiv 1503.02531), section 2.

    The loss is linear in its target, so the weighted sum of the loss on people's gaze and the cross-entropy with the
    teacher's density is the loss on the weighted sum of the two. The teacher looks at every training photograph once,
    before the training starts: the whole of it, at its own input size, where it is a better teacher than at the
    student's.

    Args:
        network: the teacher.
        weight: 0 to 1, share of the teacher's density.
        progress: tell how far it is.
    """

    def __init__(self, network: GazeNetwork, weight: float, progress: bool) -> None:
        self.network, self.weight, self.progress = network.eval().requires_grad_(False), weight, progress

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the photographs that the trainer's `GazeDataModule` trains on."""
        self.network.to(pl_module.device)
        attached: Any = trainer  # Lightning declares no `datamodule`
        dataset: GazeDataset = attached.datamodule.train_set
        dataset.taught = Taught(self.densities(dataset, self.progress and trainer.is_global_zero), self.weight)
        self.network.cpu()

    @torch.inference_mode()
    def densities(self, dataset: GazeDataset, progress: bool = False) -> list[NDArray[np.float16] | None]:
        """Of each stimulus the mean of its density and its mirror image's, mirrored back; the largest value is 1.

        None of those that a network's densities are there for already.
        """
        rule = InputRule(self.network.config.input.longer_side, self.network.config.input.multiple)
        seen: list[NDArray[np.float16] | None] = []
        for index in track(range(len(dataset)), "teacher", unit="image", shown=progress):
            if dataset.stores[dataset.entries[index][0]].attributes.teacher is not None:
                seen.append(None)
                continue
            image = dataset.photo(index, rule).to(next(self.network.parameters()).device)
            straight, mirrored = self.network(torch.stack([image, image.flip(1)])).exp()
            mean = straight + mirrored.flip(1)
            seen.append((mean / mean.max()).half().cpu().numpy())
        return seen
