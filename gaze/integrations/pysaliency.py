"""gaze's models and stores as objects of pysaliency, and data sets of pysaliency's as stores.

pysaliency counts positions from the corner of the first pixel and cuts off what is behind the point; gaze counts from
its center and rounds. Half a pixel is added on the way there and taken off on the way back, so both count the same
pixels. pysaliency counts durations in seconds, gaze in milliseconds.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

try:
    import pysaliency
    from pysaliency.datasets import StimuliStimulus, get_image_hash
    from pysaliency.precomputed_models import get_stimuli_filenames
    from pysaliency.utils import LazyList, get_minimal_unique_filenames

    from gaze.data.store import FixationStore, photograph
    from gaze.evaluation.bench import Bench
except ModuleNotFoundError as error:
    from gaze.extras import lacking

    raise lacking(__name__, error, "pysaliency") from None

from gaze.data.splits import hashed_split
from gaze.errors import DataError, one_line
from gaze.fixations import UNKNOWN, Fixations, Stimulus
from gaze.geometry import Size
from gaze.images import as_rgb
from gaze.images.orientation import orientation_of
from gaze.predictor import Predictor

CORNER = 0.5
"""From the corner of a pixel to its center."""

_log = logging.getLogger(__name__)


class GazeModel(pysaliency.Model):
    """A model of gaze: a log density for every stimulus, float32 at its size, natural logarithm, normalised.

    Its answers are those of `gaze.Predictor.log_density`. A stimulus is H x W x 3 uint8 RGB in sRGB, upright; a grey
    one and one with transparent parts are taken too, these over white.

    Args:
        model: the name of a shipped model or an `.onnx` file with its card; None takes the default one.
        threads: of ONNX Runtime within one image.
        cache_location: a folder for what was predicted, see `pysaliency.Model`; None keeps it in memory.
        caching: whether what was predicted is kept at all.
        memory_cache_size: how many log densities are kept in memory; None keeps all.

    Raises:
        ConfigError: `model` is neither a shipped model's name nor a file.
        ModelError: the model cannot be loaded.
    """

    def __init__(
        self, model: str | Path | None = "quality", threads: int = 1, cache_location: str | None = None,
        caching: bool = True, memory_cache_size: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(cache_location=cache_location, caching=caching, memory_cache_size=memory_cache_size)
        self.predictor = Predictor(model, threads)

    def _log_density(self, stimulus: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.predictor.log_density(_rgb(stimulus))


class CenterBiasModel(pysaliency.Model):
    """Where people look whatever the image shows, as `gaze.evaluate` fits it on the splits train and val of a store.

    The baseline of its information gain.

    Args:
        store: the prepared data set.

    Raises:
        DataError: its train or val split holds no gaze.
    """

    def __init__(self, store: FixationStore) -> None:
        super().__init__(caching=False)
        self.center_bias = Bench(store).center_bias

    def _log_density(self, stimulus: NDArray) -> NDArray[np.float32]:
        return self.center_bias.log_density(Size(stimulus.shape[1], stimulus.shape[0]))


class StoreStimuli(pysaliency.Stimuli):
    """Photographs of a store, upright RGB in sRGB; each is decoded when it is asked for, one at a time in memory.

    Args:
        store: the prepared data set.
        indices: of the photographs in it.

    Attributes:
        attributes: beside those of `pysaliency.Stimuli`, `filenames`, the names in the store, by which
            `pysaliency.HDF5Model` finds what `gaze.evaluate export=` wrote, and `splits`.
    """

    def __init__(self, store: FixationStore, indices: NDArray[np.int64]) -> None:
        self.store, self.indices = store, [int(index) for index in indices]
        self.stimuli = LazyList(lambda n: photograph(store[self.indices[n]]), len(self.indices), cache=False)
        self.sizes = [(int(height), int(width)) for width, height in store.sizes[self.indices]]
        self.shapes = [(*size, 3) for size in self.sizes]
        self.stimulus_ids = LazyList(lambda n: get_image_hash(self.stimuli[n]), len(self.indices))
        self.stimulus_objects = [StimuliStimulus(self, n) for n in range(len(self.indices))]
        self.attributes = {
            "filenames": [store.names[index] for index in self.indices],
            "splits": [str(store.splits[index]) for index in self.indices],
        }
        self.__attributes__ = list(self.attributes)

    def __getitem__(self, index: Any) -> Any:
        """One stimulus; for a slice, a list or a mask those that it picks."""
        if isinstance(index, slice | list | np.ndarray):
            return StoreStimuli(self.store, np.array(self.indices)[index])
        return self.stimulus_objects[index]


def to_pysaliency(
    store: FixationStore, split: str | None = None, raw: bool = False
) -> tuple[StoreStimuli, pysaliency.Fixations]:
    """Photographs of a store and the fixations on them, as pysaliency's own data sets come.

    Args:
        store: the prepared data set.
        split: "train", "val" or "test"; None takes all.
        raw: keeps the first fixation of each viewing whatever the set's rule; without it, what `gaze.evaluate` scores.

    Returns:
        The stimuli, and `pysaliency.FixationTrains` with `duration` in seconds (NaN where the set does not tell) and
        `order`, which counts from 0 within a viewing and stands for the time `t` as well: stores hold no times. Where
        the set does not tell the order, `pysaliency.Fixations` without a history.

    Raises:
        DataError: there is no such split, or no fixation in it; densities alone are not fixations.
    """
    indices = np.flatnonzero(store.seen()) if split is None else store.indices(split)
    parts = [store.fixations(int(index), raw) for index in indices]
    fixations = Fixations.join(parts)
    if not len(fixations):
        where = "it" if split is None else f"the split {split}"
        raise DataError(f"{store.path}: expected fixations for pysaliency, there are none in {where}")
    stimulus = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return StoreStimuli(store, indices), _with_history(fixations, stimulus)


def from_pysaliency(
    stimuli: pysaliency.Stimuli, fixations: pysaliency.Fixations, splits: Mapping[str, str] | None = None
) -> Iterator[Stimulus]:
    """A data set of pysaliency's as `gaze.data.writer.write_store` takes it, one stimulus in memory at a time.

    Names are those of the files without the folders that all share, or numbers. Files are kept as they are; what is an
    array, or lies on its side by its EXIF, becomes a PNG of what pysaliency shows. Fixations beside their image and
    images with none are left out, which the log tells at the end. `duration` and `order` are read where the fixations
    have them; else the order is the number of fixations before, if any has some before it. Times are not kept.

    Args:
        stimuli: of the data set.
        fixations: on them.
        splits: "train", "val" or "test" for each name; None takes the stimuli's own attribute `splits`, else one by the
            hash of each name.

    Raises:
        DataError: `splits` lacks a name, an image cannot be read, or a fixation is on a stimulus that is not there.
    """
    names = _names(stimuli)
    if len(fixations.n) and not 0 <= fixations.n.min() <= fixations.n.max() < len(names):
        came = f"{fixations.n.min()} to {fixations.n.max()}"
        raise DataError(f"fixations: expected stimuli 0 to {len(names) - 1}, got {came}")
    split_of = _split_of(names, stimuli, splits)
    unseen, beside = [], 0
    for n, name in enumerate(names):
        height, width = stimuli.sizes[n]
        own = _of_stimulus(fixations, n)
        kept = own.select(own.inside(width, height))
        beside += len(own) - len(kept)
        if len(kept):
            yield _stimulus(stimuli, n, name, split_of[name], kept)
        else:
            unseen.append(name)
    if beside:
        _log.warning("left out, as they are not on their image: %d fixations", beside)
    if unseen:
        _log.warning("left out, as there is no fixation on them: %s", ", ".join(unseen))


def _rgb(stimulus: NDArray) -> NDArray[np.uint8]:
    """A stimulus as gaze takes it; raises ImageError where it is none."""
    grey_or_transparent = stimulus.dtype == np.uint8 and stimulus.size and stimulus.shape[2:] in ((), (1,), (2,), (4,))
    if stimulus.ndim in (2, 3) and grey_or_transparent:
        return as_rgb(Image.fromarray(stimulus[..., 0] if stimulus.shape[2:] == (1,) else stimulus))
    return as_rgb(stimulus)


def _with_history(fixations: Fixations, stimulus: NDArray[np.int64]) -> pysaliency.Fixations:
    x, y = (axis.astype(np.float64) + CORNER for axis in (fixations.x, fixations.y))
    seconds = fixations.duration.astype(np.float64) / 1000
    if (fixations.order == UNKNOWN).any():
        none = np.full((len(x), 1), np.nan)
        attributes = {"duration": seconds, "order": fixations.order}
        return pysaliency.Fixations(
            x, y, np.zeros(len(x)), none, none.copy(), none.copy(), stimulus, fixations.subject, attributes
        )
    goes_on = (np.diff(stimulus) == 0) & (np.diff(fixations.subject) == 0) & (np.diff(fixations.order) > 0)
    starts = np.flatnonzero(np.append(True, ~goes_on))
    order = fixations.order.astype(np.float64)
    xs, ys, orders, durations = (np.split(values, starts[1:]) for values in (x, y, order, seconds))
    return pysaliency.FixationTrains.from_fixation_trains(
        xs, ys, orders, stimulus[starts], fixations.subject[starts],
        scanpath_fixation_attributes={"durations": durations, "order": orders},
        scanpath_attribute_mapping={"durations": "duration"},  # as in pysaliency's MIT1003
    )  # fmt: skip


def _of_stimulus(fixations: pysaliency.Fixations, n: int) -> Fixations:
    own = np.flatnonzero(fixations.n == n)
    known = fixations.__attributes__
    order: Any = UNKNOWN
    if "order" in known:
        order = fixations.order[own].astype(np.int32)
    elif fixations.lengths.any():
        order = fixations.lengths[own]
    duration = fixations.duration[own] * 1000 if "duration" in known else np.nan
    return Fixations.of(
        fixations.x[own] - CORNER, fixations.y[own] - CORNER, fixations.subjects[own].astype(np.int32), order, duration
    )


def _names(stimuli: pysaliency.Stimuli) -> list[str]:
    if isinstance(stimuli, StoreStimuli):
        return stimuli.attributes["filenames"]
    if isinstance(stimuli, pysaliency.FileStimuli) or "filenames" in stimuli.attributes:
        return get_minimal_unique_filenames([str(path) for path in get_stimuli_filenames(stimuli)])
    return [f"{n:0{len(str(len(stimuli)))}}.png" for n in range(len(stimuli))]


def _split_of(names: list[str], stimuli: pysaliency.Stimuli, splits: Mapping[str, str] | None) -> Mapping[str, str]:
    if splits is None and "splits" in stimuli.attributes:
        return dict(zip(names, map(str, stimuli.attributes["splits"]), strict=True))
    if splits is None:
        return {name: hashed_split(name) for name in names}
    if missing := [name for name in names if name not in splits]:
        raise DataError(f"splits: expected train, val or test for each stimulus, got none for {missing[0]}")
    return splits


def _stimulus(stimuli: pysaliency.Stimuli, n: int, name: str, split: str, fixations: Fixations) -> Stimulus:
    if isinstance(stimuli, StoreStimuli):
        return replace(stimuli.store[stimuli.indices[n]], split=split, fixations=fixations)
    height, width = (int(side) for side in stimuli.sizes[n])
    stimulus = Stimulus(name, _encoded(stimuli, n, name), width, height, split, fixations)
    photograph(stimulus)  # can be read, and has that size
    return stimulus


def _encoded(stimuli: pysaliency.Stimuli, n: int, name: str) -> bytes:
    """The file of a stimulus, if it shows what pysaliency does, else a PNG that does."""
    if isinstance(stimuli, pysaliency.FileStimuli):
        try:
            content = Path(stimuli.filenames[n]).read_bytes()
            with Image.open(BytesIO(content)) as image:
                if orientation_of(image) == 1:
                    return content
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror or one_line(error)})") from error
    return cv2.imencode(".png", _rgb(stimuli[n].stimulus_data)[..., ::-1])[1].tobytes()
