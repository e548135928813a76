"""Knowledge distillation: the network also learns from the density that others predict."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaze.data.dataset import GazeDataset
from gaze.data.taught import Taught
from gaze.progress import say
from gaze.training.heads_loss import said_of_heads
from gaze.training.teacher_maps import Maps, teacher_maps
from gaze.training.teachers import Teacher, mean_densities, mean_density


class Distillation(pl.Callback):
    """Frozen networks whose mean density is mixed into the targets: Hinton et al. 2015 (arXiv 1503.02531), section 2.

    The loss is linear in its target, so the weighted sum of the loss on people's gaze and the cross-entropy with the
    teachers' density is the loss on the weighted sum of the two. A teacher looks at every training photograph once,
    before the training starts: the whole of it, at its own input size, where it is a better teacher than at the
    student's. What it says is kept beside the store, see `gaze.training.teacher_maps`.

    Live teachers look at each varied example instead, as the student sees it: Beyer et al. 2022 (arXiv 2106.05237),
    section 3.1, "consistent" teaching. Then a network's densities that a store holds count for nothing. The first of
    them that says where heads are teaches that too: all of it where nobody labelled any, else by the same weight.

    Args:
        teachers: one, or an ensemble of which the mean is taken.
        weight: 0 to 1, share of the teachers' density.
        progress: tell how far it is.
        live: whether the teachers are asked about each varied example.
    """

    def __init__(self, teachers: Sequence[Teacher], weight: float, progress: bool, live: bool = False) -> None:
        self.teachers, self.weight, self.progress, self.live = list(teachers), weight, progress, live

    @property
    def teaches_heads(self) -> bool:
        """Whether it tells where heads are."""
        return self.live and any(teacher.knows_heads for teacher in self.teachers)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the photographs that the trainer's `GazeDataModule` trains on."""
        for teacher in self.teachers:
            teacher.to(pl_module.device)
        attached: Any = trainer  # Lightning declares no `datamodule`
        dataset: GazeDataset = attached.datamodule.train_set
        if self.live:
            weights = [self.weight if store.attributes.teacher is None else 1.0 for store in dataset.stores]
            self.weights = torch.tensor(weights, device=pl_module.device)
            return
        first = trainer.is_global_zero
        densities = self.densities(dataset, say if first else lambda line: None, self.progress and first)
        dataset.taught = Taught(densities, self.weight)
        for teacher in self.teachers:
            teacher.to(torch.device("cpu"))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Mixes into the targets of a batch what live teachers say of its images."""
        if not self.live:
            return
        target = batch["target"]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            said = [teacher.look(batch["image"]) for teacher in self.teachers]
            taught = mean_densities([density for density, _ in said], target.shape[1:])
        batch["target"] = torch.lerp(target, taught.to(target), self.weights[batch["store"]][:, None, None])
        if (heads := next((heads for _, heads in said if heads is not None), None)) is not None:
            batch["taught_heads"] = said_of_heads(heads.to(target))
            batch["heads_weight"] = torch.where(batch["labelled"], self.weight, 1.0)

    def densities(
        self, dataset: GazeDataset, tell: Callable[[str], None] = say, progress: bool = False
    ) -> list[NDArray[np.float16] | None]:
        """Of each entry the mean of what the teachers say; the largest value is 1.

        None of those that a network's densities are there for already.
        """
        found: list[NDArray[np.float16] | None] = []
        for number, store in enumerate(dataset.stores):
            if store.attributes.teacher is not None:
                found += [None] * sum(entry[0] == number for entry in dataset.entries)
            else:
                found += _means(teacher_maps(self.teachers, store, tell, progress))
        return found


def _means(maps: Sequence[Maps]) -> Maps:
    """Of each photograph the mean of several teachers' maps; a single teacher's are taken as they are."""
    return list(maps[0]) if len(maps) == 1 else [_mean(each) for each in zip(*maps, strict=True)]


def _mean(maps: Sequence[NDArray[np.float16]]) -> NDArray[np.float16]:
    density = mean_density(maps)
    return (density / density.max()).astype(np.float16)
