"""Stimuli of several stores as training examples: the image a network sees, and where people looked in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from gaze.card import InputRule
from gaze.data.augment import AugmentConfig, random_box, random_color, resized_window
from gaze.data.densities import normalise
from gaze.data.heads import mirrored, padded, window_heads
from gaze.data.layout import UNLABELLED
from gaze.data.store import FixationStore, photograph
from gaze.data.taught import Taught
from gaze.errors import DataError
from gaze.fixations import Fixations, Stimulus
from gaze.geometry import Box, Size
from gaze.predictor import network_size

_Example = tuple[NDArray, NDArray, NDArray[np.float32]]
"""Image, target and heads."""


@dataclass(frozen=True)
class Draw:
    """One example to be drawn.

    Attributes:
        index: of the stimulus.
        seed: of its augmentation; None: as it is.
        counted: False where it only gives a process of a validation something to do, and another counts it.
    """

    index: int
    seed: tuple[int, ...] | None = None
    counted: bool = True


class GazeDataset(Dataset):
    """One split of several stores.

    An example is a dict: `image` uint8 h x w x 3 RGB at the size the network sees; `target` float32
    h/stride x w/stride, the share of the fixations in each cell, or the density where a set has no points
    (sum 1); `heads` float32 M x 5, `gaze.data.heads.HEAD` for each labelled one and NaN up to as many as an image has
    at most; `labelled` bool, whether they are labelled at all; `store` the position of its set; `counted` bool. It
    depends on its `Draw` alone, whatever the worker and the order.

    Args:
        stores: the prepared data sets.
        split: "train", "val" or "test".
        rule: the size at which the network sees an image.
        stride: pixels of that size per cell of the target.
        augment: how draws with a seed are varied.

    Attributes:
        taught: what a teacher says of each stimulus, to be mixed into the targets; None leaves them people's.

    Raises:
        DataError: the split is empty.
    """

    def __init__(
        self,
        stores: Sequence[FixationStore],
        split: str,
        rule: InputRule,
        stride: int,
        augment: AugmentConfig,
    ) -> None:
        self.stores, self.stride, self.augment = list(stores), stride, augment
        self.taught: Taught | None = None
        self.entries = [(s, int(i)) for s, store in enumerate(stores) for i in store.indices(split)]
        if not self.entries:
            raise DataError(f"{', '.join(str(store.path) for store in stores)}: no stimulus in the split {split}")
        self.sizes = [_network_size(stores[s], i, rule) for s, i in self.entries]
        self.most_heads = max(1, *(int(stores[s].head_counts[i]) for s, i in self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        store, index = self.entries[draw.index]
        stimulus, size = self.stores[store][index], self.sizes[draw.index]
        cells = Size(size.width // self.stride, size.height // self.stride)
        if draw.seed is None:
            image, target, heads = self._example(draw.index, stimulus, stimulus_box(stimulus), cells)
        else:
            image, target, heads = self._varied(draw.index, stimulus, cells, np.random.default_rng(draw.seed))
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image)),
            "target": torch.from_numpy(np.ascontiguousarray(target)),
            "heads": torch.from_numpy(padded(heads, self.most_heads)),
            "labelled": torch.tensor(stimulus.heads is not None),
            "store": torch.tensor(store),
            "counted": torch.tensor(draw.counted),
        }

    @property
    def labelled(self) -> bool:
        """Whether somebody labelled the heads of any entry."""
        return any(self.stores[store].head_counts[index] != UNLABELLED for store, index in self.entries)

    def fixations(self, index: int) -> int:
        """How many fixations there are on the photograph of an entry; 1 where there is a density alone."""
        store, position = self.entries[index]
        return max(1, len(self.stores[store].fixations(position)))

    def _varied(self, index: int, stimulus: Stimulus, cells: Size, rng: np.random.Generator) -> _Example:
        box = random_box(Size(stimulus.width, stimulus.height), self.augment, rng)
        if target_map(stimulus, box, cells) is None:  # nobody looked there
            box = stimulus_box(stimulus)
        image, target, heads = self._example(index, stimulus, box, cells)
        image = random_color(image, self.augment.color, rng)
        if rng.random() < self.augment.flip:
            return image[:, ::-1], target[:, ::-1], mirrored(heads)
        return image, target, heads

    def _example(self, index: int, stimulus: Stimulus, box: Box, cells: Size) -> _Example:
        target = target_map(stimulus, box, cells)
        if target is None:
            raise DataError(f"{stimulus.name}: has neither fixations nor a density")
        if self.taught is not None:
            target = self.taught.mix(index, Size(stimulus.width, stimulus.height), box, target)
        image = resized_window(photograph(stimulus), box, self.sizes[index])
        return image, target, window_heads(stimulus.heads, box)


def stimulus_box(stimulus: Stimulus) -> Box:
    """The whole stimulus."""
    return Box(0, 0, stimulus.width, stimulus.height)


def target_map(stimulus: Stimulus, box: Box, cells: Size) -> NDArray[np.float32] | None:
    """Share of the gaze inside the window `box` that lies in each of `cells`; None where nobody looked."""
    if stimulus.density is not None:
        window = resized_window(stimulus.density, box, cells)
        return normalise(window) if window.sum() > 0 else None
    counts = _cell_counts(stimulus.fixations, box, cells)
    return normalise(counts) if counts.any() else None


def _cell_counts(fixations: Fixations, box: Box, cells: Size) -> NDArray[np.float64]:
    column = np.floor((fixations.x + 0.5 - box.left) / box.width * cells.width).astype(int)
    row = np.floor((fixations.y + 0.5 - box.top) / box.height * cells.height).astype(int)
    inside = (column >= 0) & (column < cells.width) & (row >= 0) & (row < cells.height)
    flat = row[inside] * cells.width + column[inside]
    return np.bincount(flat, minlength=cells.width * cells.height).reshape(cells.height, cells.width).astype(float)


class BucketBatches(Sampler[list[Draw]]):
    """Batches of stimuli that share a size, shuffled anew each epoch.

    Every process has as many, as each step of one waits for the others. Where the batches cannot be shared evenly the
    first come again, cyclically, as with torch's `DistributedSampler`: in training as any other, in validation not
    counted.

    Args:
        dataset: what to draw from.
        batch_size: of every batch but the last of a size.
        weights: how often each store's stimuli come in an epoch: 1 once, 2 twice, 0.5 half of them.
        seed: with `epoch` it fixes every draw, so that a resumed run draws what it would have drawn.
        epoch: counts from 0; None takes every stimulus once, in order, not augmented (validation).
        rank: of this process among `world`.
        world: number of processes.
    """

    def __init__(
        self, dataset: GazeDataset, batch_size: int, weights: Sequence[float], seed: int,
        epoch: int | None, rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng((seed, 0 if epoch is None else epoch + 1))
        indices = range(len(dataset)) if epoch is None else _weighted(dataset, weights, rng)
        buckets: dict[Size, list[Draw]] = {}
        for position, index in enumerate(indices):
            draw = Draw(int(index), None if epoch is None else (seed, epoch, position))
            buckets.setdefault(dataset.sizes[index], []).append(draw)
        batches = [draws[i : i + batch_size] for draws in buckets.values() for i in range(0, len(draws), batch_size)]
        if epoch is not None:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        again = list(islice(cycle(batches), -len(batches) % world))
        if epoch is None:
            again = [[replace(draw, counted=False) for draw in batch] for batch in again]
        self.batches = (batches + again)[rank::world]

    def __iter__(self) -> Iterator[list[Draw]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _weighted(dataset: GazeDataset, weights: Sequence[float], rng: np.random.Generator) -> NDArray[np.int64]:
    drawn = []
    for store, weight in enumerate(weights):
        members = np.array([k for k, (s, _) in enumerate(dataset.entries) if s == store])
        whole, part = divmod(round(weight * len(members)), len(members)) if len(members) else (0, 0)
        drawn += [members] * whole + [rng.permutation(members)[:part]]
    return rng.permutation(np.concatenate(drawn)).astype(np.int64)


def _network_size(store: FixationStore, index: int, rule: InputRule) -> Size:
    width, height = store.sizes[index]
    return network_size(Size(int(width), int(height)), rule.longer_side, rule.multiple)
