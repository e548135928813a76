"""The LightningDataModule: prepared stores in, batches of one size out."""

from collections.abc import Collection, Mapping

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from gaze.baselines import GRID, fit_center_bias
from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.config import LoaderConfig
from gaze.data.dataset import BucketBatches, GazeDataset, stimulus_box, target_map
from gaze.data.store import FixationStore
from gaze.errors import ConfigError
from gaze.geometry import Size


class GazeDataModule(pl.LightningDataModule):
    """Train and validation batches from several stores.

    Every epoch's draws follow from the seed and the epoch alone, on any number of workers; processes of a
    multi-GPU run share each epoch's batches.

    Args:
        stores: the prepared set of each name.
        rule: the size at which the network sees an image.
        stride: pixels of that size per cell of the target.
        loader: how examples are drawn.
        augment: how training examples are varied.
        seed: of shuffling and augmentation.

    Attributes:
        names: of the sets.
        people: those of them that hold people's gaze and not a network's densities.
    """

    def __init__(
        self, stores: Mapping[str, FixationStore], rule: InputRule, stride: int,
        loader: LoaderConfig, augment: AugmentConfig, seed: int,
    ) -> None:  # fmt: skip
        super().__init__()
        weights = loader.weights or {}
        unknown = sorted(set(weights) - set(stores))
        if unknown:
            raise ConfigError(f"loader.weights.{unknown[0]}: no such set; expected one of {', '.join(stores)}")
        self.names = list(stores)
        self.people = [name for name, store in stores.items() if store.attributes.teacher is None]
        self.weights = [weights.get(name, 1.0) for name in stores]
        self.loader, self.seed = loader, seed
        self.train_set = GazeDataset(list(stores.values()), "train", rule, stride, augment)
        self.val_set = GazeDataset(list(stores.values()), "val", rule, stride, augment)
        if not len(BucketBatches(self.train_set, loader.batch_size, self.weights, seed, 0)):
            raise ConfigError("loader.weights: no photograph is drawn in an epoch; give one of the sets more weight")

    def train_dataloader(self) -> DataLoader:
        """Batches of the trainer's current epoch (reloaded every epoch)."""
        return self._loader(self.train_set, self.trainer.current_epoch if self.trainer else 0)

    def val_dataloader(self) -> DataLoader:
        """Every validation image, as it is, counted once."""
        return self._loader(self.val_set, None)

    def _loader(self, dataset: GazeDataset, epoch: int | None) -> DataLoader:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        batches = BucketBatches(dataset, self.loader.batch_size, self.weights, self.seed, epoch, rank, world)
        return DataLoader(dataset, batch_sampler=batches, num_workers=self.loader.workers)

    def center_biases(self) -> list[NDArray[np.float32]]:
        """Log centre bias of each store, GRID x GRID in relative coordinates, fitted on its train split.

        A store without validation images, which is compared with none, has the mean of the others'.
        """
        judged = {store for store, _ in self.val_set.entries}
        train, val = (_histograms(dataset, judged) for dataset in (self.train_set, self.val_set))
        fitted = {store: fit_center_bias(train[store], val[store]).grid for store in judged}
        mean: NDArray[np.float32] = np.log(np.mean([np.exp(grid) for grid in fitted.values()], 0))
        return [fitted.get(store, mean) for store in range(len(train))]


def _histograms(dataset: GazeDataset, wanted: Collection[int]) -> list[NDArray[np.float64]]:
    totals = [np.zeros((GRID, GRID)) for _ in dataset.stores]
    for store, index in dataset.entries:
        if store not in wanted:
            continue
        stimulus = dataset.stores[store][index]
        share = target_map(stimulus, stimulus_box(stimulus), Size(GRID, GRID))
        if share is not None:
            totals[store] += share * max(len(stimulus.fixations), 1)
    return totals
