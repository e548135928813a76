"""A prepared data set on disk, read at random by many workers. `gaze.data.layout` describes the file."""

import logging
import os
import weakref
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from gaze.data.densities import normalise
from gaze.data.layout import FORMAT, FORMAT_VERSION, HEAD_TABLES, TABLES, UNLABELLED, StoreAttributes
from gaze.data.writer import write_store
from gaze.errors import ConfigError, DataError, ImageError, expect_number
from gaze.fixations import FIELDS, SPLITS, Fixations, Stimulus
from gaze.images import decode

__all__ = ["FixationStore", "StoreAttributes", "photograph", "write_store"]

_log = logging.getLogger(__name__)

# ConfigError: an attribute out of its range; MemoryError: a length that is none; OverflowError, IndexError: likewise
_HDF5_ERRORS = (
    OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError, OverflowError, IndexError,
    ConfigError,
)  # fmt: skip


class FixationStore:
    """A prepared data set, open for reading.

    It may be made before DataLoader workers start, by fork or by spawn: every process opens its own file when
    it first reads, and no file is open across a fork.

    Attributes:
        path: of the file.
        attributes: what the store says of its data set.
        names: of the stimuli, in the order of the file.
        splits: "train", "val" or "test" for each.
        sizes: N x 2 int array, width and height in pixels.
        head_counts: N int array, how many heads are labelled on each; -1 where nobody labelled any.

    Raises:
        DataError: the file is missing, damaged, not a store, or of another format version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such store; make it with python -m gaze.prepare")
        self._file: h5py.File | None = None
        self._tables: dict[str, h5py.Dataset] = {}
        self._seen: NDArray[np.bool_] | None = None
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                self.attributes = _read_attributes(file, self.path)
                tables = _open_tables(file)
                _check_lengths(tables, self.path.stat().st_size)
                self.names: list[str] = list(tables["names"].asstr()[:])
                self.splits: NDArray[np.str_] = np.array(tables["splits"].asstr()[:], dtype=str)
                self.sizes: NDArray[np.int32] = tables["sizes"][:]
                self._offsets: NDArray[np.int64] = tables["offsets"][:]
                self._check_values(len(tables["fixations"]))
                self.head_counts: NDArray[np.int32] = _head_counts(tables, len(self.names))
        except _HDF5_ERRORS as error:
            raise DataError(f"{self.path}: not a store, or a damaged one ({_reason(error)})") from error
        _opened.add(self)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Stimulus:
        """Reads one stimulus; its fixations obey `attributes.drop_first`."""
        index = self._checked(index)
        width, height = (int(value) for value in self.sizes[index])
        return Stimulus(
            name=self.names[index],
            image=self._read("images", index).tobytes(),
            width=width,
            height=height,
            split=str(self.splits[index]),
            fixations=self.fixations(index),
            density=self._density(index),
            heads=self.heads(index),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_tables": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _opened.add(self)

    def fixations(self, index: int, raw: bool = False) -> Fixations:
        """Reads the fixations on one stimulus, not its image; `raw` keeps order 0 whatever the set's rule.

        `gaze.prepare` stores none that lies outside or is not a number; one that is there all the same is left out.
        """
        index = self._checked(index)
        rows = self._read("fixations", slice(self._offsets[index], self._offsets[index + 1]))
        fixations = Fixations(*(np.ascontiguousarray(rows[name]) for name in FIELDS))
        inside = fixations.inside(*self.sizes[index])
        fixations = fixations if inside.all() else fixations.select(inside)
        return fixations.without_first() if self.attributes.drop_first and not raw else fixations

    def heads(self, index: int) -> NDArray[np.float32] | None:
        """Left, top, right and bottom of each labelled head of one stimulus, M x 4; None where nobody labelled any."""
        index = self._checked(index)
        count = int(self.head_counts[index])
        if count == UNLABELLED:
            return None
        start = int(self.head_counts[:index].clip(0).sum())
        return self._read("heads", slice(start, start + count))

    def indices(self, split: str) -> NDArray[np.int64]:
        """The positions of one split's stimuli, ascending, without those that `seen` says nobody looked at.

        Raises:
            DataError: there is no such split.
        """
        if split not in SPLITS:
            raise DataError(f"{self.path}: split must be one of {', '.join(SPLITS)}, got {split!r}")
        return np.flatnonzero((self.splits == split) & self.seen())

    def seen(self) -> NDArray[np.bool_]:
        """Tells for each stimulus whether there is gaze on it.

        That is a density, or a fixation on the image that obeys `attributes.drop_first`. `gaze.prepare` stores no
        other stimulus, and no fixation beside its image; those that are there all the same are told of in the log,
        once.
        """
        if self._seen is None:
            self._seen = self._looked_at()
            unseen = [self.names[index] for index in np.flatnonzero(~self._seen)]
            if unseen:
                _log.warning("%s: left out, as there is no gaze on them: %s", self.path, ", ".join(unseen))
        return self._seen

    def _looked_at(self) -> NDArray[np.bool_]:
        if self.attributes.teacher is not None:  # a density for each
            return np.ones(len(self), bool)
        rows = self._read("fixations", slice(None))
        image = np.repeat(np.arange(len(self)), np.diff(self._offsets))
        fixations = Fixations(*(rows[name] for name in FIELDS))
        inside = fixations.inside(*self.sizes[image].T)
        good = inside & (fixations.order != 0) if self.attributes.drop_first else inside
        seen = np.bincount(image[good], minlength=len(self)) > 0
        if beside := int(np.sum(~inside & seen[image])):
            _log.warning("%s: left out, as they are not on their image: %d fixations", self.path, beside)
        for index in np.flatnonzero(~seen):
            seen[index] = self._read("densities", index).size > 0
        return seen

    def close(self) -> None:
        """Closes the file; the next reading opens it again."""
        if self._file is not None:
            self._file.close()
            self._file, self._tables = None, {}

    def _density(self, index: int) -> NDArray[np.float32] | None:
        encoded, (width, height) = self._read("densities", index), self.sizes[index]
        if not encoded.size:
            return None
        density = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        if density is None or density.shape != (height, width) or not density.any():
            raise DataError(
                f"{self.path}: {self.names[index]}: its density is damaged; expected a grey PNG of {width} x {height}"
            )
        return normalise(density)

    def _check_values(self, fixations: int) -> None:
        """Raises ValueError where what is read at once cannot be."""
        strange = sorted(set(self.splits.tolist()) - set(SPLITS))
        if strange:
            raise ValueError(f"a split is one of {', '.join(SPLITS)}, got {strange[0]!r}")
        if len(set(self.names)) < len(self.names):
            raise ValueError("a name stands in it twice")
        if (self.sizes < 1).any():
            raise ValueError(f"sizes are above 0, got {self.sizes.min()}")
        if self._offsets[0] != 0 or self._offsets[-1] != fixations or (np.diff(self._offsets) < 0).any():
            raise ValueError("its tables have different lengths: the offsets do not lead through the fixations")

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: stimulus {index} of {len(self)}")
        return int(index) % len(self)

    def _read(self, dataset: str, where: Any) -> Any:
        try:
            if self._file is None:
                self._file = h5py.File(self.path, "r", locking=False)
                self._tables = _open_tables(self._file)
            return self._tables[dataset][where]
        except _HDF5_ERRORS as error:
            raise DataError(f"{self.path}: cannot read {dataset}: {_reason(error)}") from error


def photograph(stimulus: Stimulus) -> NDArray[np.uint8]:
    """The upright photograph of a stimulus, height x width x 3 RGB.

    Raises:
        DataError: it cannot be decoded, or has not the size that its store says.
    """
    try:
        image = decode(stimulus.image)
    except ImageError as error:
        raise DataError(f"{stimulus.name}: {error}") from error
    height, width = image.shape[:2]
    if (width, height) != (stimulus.width, stimulus.height):
        expected = f"{stimulus.width} x {stimulus.height}"
        raise DataError(f"{stimulus.name}: {width} x {height} pixels, expected {expected}, as its store says")
    return image


_opened: "weakref.WeakSet[FixationStore]" = weakref.WeakSet()


def _close_all() -> None:
    for store in list(_opened):
        store.close()


# HDF5 caches and file descriptors must not be shared between processes.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_all)


def _read_attributes(file: h5py.File, path: Path) -> StoreAttributes:
    if file.attrs.get("format") != FORMAT:
        raise DataError(f"{path}: an HDF5 file, but not a store of gaze")
    version = int(file.attrs["format_version"])
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: store of format version {version}, this gaze reads {FORMAT_VERSION}: prepare it again"
        )
    values = {field.name: file.attrs.get(field.name) for field in fields(StoreAttributes)}
    ppd = values["pixels_per_degree"]
    attributes = StoreAttributes(
        name=str(values["name"]),
        license=str(values["license"]),
        source=str(values["source"]),
        sigma_pixels=float(values["sigma_pixels"]),
        pixels_per_degree=None if ppd is None else float(ppd),
        drop_first=bool(values["drop_first"]),
        format_version=version,
        teacher=None if values["teacher"] is None else str(values["teacher"]),
    )
    for name in ("sigma_pixels", "pixels_per_degree"):
        expect_number(name, getattr(attributes, name), above=0)
    return attributes


def _open_tables(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The tables of a store by name: whatever the file asks for, no other file is opened.

    Raises:
        ValueError: one is missing, is a link, lies in other files or is of another type.
    """
    there = any(file.id.links.exists(name.encode()) for name in HEAD_TABLES)
    expected = TABLES | HEAD_TABLES if there else TABLES
    return {name: _open_table(file, name, dtype) for name, dtype in expected.items()}


def _head_counts(tables: dict[str, h5py.Dataset], count: int) -> NDArray[np.int32]:
    """How many heads are labelled on each of `count` stimuli.

    Raises:
        ValueError: the counts are not those of the table `heads`.
    """
    if "heads" not in tables:
        return np.full(count, UNLABELLED, np.int32)
    counts: NDArray[np.int32] = tables["head_counts"][:]
    if (counts < UNLABELLED).any() or counts.clip(0).sum(dtype=np.int64) != len(tables["heads"]):
        raise ValueError("its tables have different lengths: the counts do not lead through the heads")
    return counts


def _open_table(file: h5py.File, name: str, dtype: np.dtype) -> h5py.Dataset:
    # a name is followed only once it is known to lead nowhere else: `in` and `get` follow it
    if not file.id.links.exists(name.encode()):
        raise ValueError(f"it has no table {name}")
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link, expected a table")
    table = file[name]
    if not isinstance(table, h5py.Dataset):
        raise ValueError(f"{name} is a group, expected a table")
    if table.external or table.is_virtual:
        raise ValueError(f"{name} lies in other files, expected all in one")
    if _kind(table.dtype) != _kind(dtype):
        raise ValueError(f"{name} holds values of another type")
    return table


def _kind(dtype: np.dtype) -> tuple:
    """What tells types apart: NumPy holds texts and arrays of any length alike as objects."""
    return dtype, h5py.check_vlen_dtype(dtype), h5py.check_string_dtype(dtype) is not None


def _check_lengths(tables: dict[str, h5py.Dataset], most: int) -> None:
    """Raises ValueError where tables do not fit together, or are longer than a file of `most` bytes can hold."""
    count = len(tables["names"])
    shapes = {name: table.shape for name, table in tables.items() if name not in ("fixations", "heads")}
    expected = {**dict.fromkeys(shapes, (count,)), "sizes": (count, 2), "offsets": (count + 1,)}
    boxes = tables["heads"].shape[1:] == (4,) if "heads" in tables else True
    if shapes != expected or tables["fixations"].ndim != 1 or not boxes:
        raise ValueError("its tables have different lengths")
    if max(len(table) for table in tables.values()) > most:
        raise ValueError("its tables are longer than the file")


def _reason(error: Exception) -> str:
    """The first line of what HDF5 said; the error's type where it said nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]
