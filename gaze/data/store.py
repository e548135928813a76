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
from gaze.data.layout import FORMAT, FORMAT_VERSION, StoreAttributes
from gaze.data.writer import write_store
from gaze.errors import DataError
from gaze.fixations import FIELDS, SPLITS, Fixations, Stimulus

__all__ = ["FixationStore", "StoreAttributes", "write_store"]

_log = logging.getLogger(__name__)
_TABLES = ("images", "densities", "fixations")


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
                self.names: list[str] = list(file["names"].asstr()[:])
                self.splits: NDArray[np.str_] = np.array(file["splits"].asstr()[:], dtype=str)
                self.sizes: NDArray[np.int32] = file["sizes"][:]
                self._offsets: NDArray[np.int64] = file["offsets"][:]
                _check_lengths(file, len(self.names))
        except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.path}: not a store, or a damaged one ({reason})") from error
        _opened.add(self)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Stimulus:
        """Reads one stimulus; its fixations obey `attributes.drop_first`."""
        index = self._checked(index)
        image, density = self._read("images", index), self._read("densities", index)
        width, height = (int(value) for value in self.sizes[index])
        return Stimulus(
            name=self.names[index],
            image=image.tobytes(),
            width=width,
            height=height,
            split=str(self.splits[index]),
            fixations=self.fixations(index),
            density=_decode_density(density) if density.size else None,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_tables": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _opened.add(self)

    def fixations(self, index: int, raw: bool = False) -> Fixations:
        """Reads the fixations of one stimulus, not its image; `raw` keeps order 0 whatever the set's rule."""
        index = self._checked(index)
        rows = self._read("fixations", slice(self._offsets[index], self._offsets[index + 1]))
        fixations = Fixations(*(np.ascontiguousarray(rows[name]) for name in FIELDS))
        return fixations.without_first() if self.attributes.drop_first and not raw else fixations

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
        other stimulus; one that is there all the same is named in the log, once.
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
        good = fixations.inside(*self.sizes[image].T)
        if self.attributes.drop_first:
            good &= fixations.order != 0
        seen = np.bincount(image[good], minlength=len(self)) > 0
        for index in np.flatnonzero(~seen):
            seen[index] = self._read("densities", index).size > 0
        return seen

    def close(self) -> None:
        """Closes the file; the next reading opens it again."""
        if self._file is not None:
            self._file.close()
            self._file, self._tables = None, {}

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: stimulus {index} of {len(self)}")
        return int(index) % len(self)

    def _read(self, dataset: str, where: Any) -> Any:
        try:
            if self._file is None:
                self._file = h5py.File(self.path, "r", locking=False)
                self._tables = {name: self._file[name] for name in _TABLES}
            return self._tables[dataset][where]
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{self.path}: cannot read {dataset}: {str(error).splitlines()[0]}") from error


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
    return StoreAttributes(
        name=str(values["name"]),
        license=str(values["license"]),
        source=str(values["source"]),
        sigma_pixels=float(values["sigma_pixels"]),
        pixels_per_degree=None if ppd is None else float(ppd),
        drop_first=bool(values["drop_first"]),
        format_version=version,
        teacher=None if values["teacher"] is None else str(values["teacher"]),
    )


def _check_lengths(file: h5py.File, count: int) -> None:
    lengths = {name: len(file[name]) for name in ("images", "densities", "splits", "sizes", "offsets")}
    lengths["offsets"] -= 1
    total = int(file["offsets"][-1])
    if set(lengths.values()) != {count} or len(file["fixations"]) != total:
        raise ValueError("its tables have different lengths")


def _decode_density(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    return normalise(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)))
