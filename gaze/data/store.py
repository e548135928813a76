"""One HDF5 file per data set: written once as a stream, read at random by many workers.

Layout, format version 1, for N images and K fixations:
    attributes of the file   format "gaze-store", format_version, and the fields of `StoreAttributes`
    images                   N x variable length uint8, the original encoded files
    names, splits            N x text
    sizes                    N x 2 int32, width and height of the upright image
    offsets                  N + 1 int64; the fixations of image i are offsets[i] to offsets[i + 1]
    fixations                K x (x, y, subject, order, duration) as in `records.Fixations`, order 0 included
    densities                N x variable length uint8: a 16-bit grey PNG proportional to the density, empty
                             where there are points
"""

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from gaze.data.densities import normalise
from gaze.data.records import FIELDS, SPLITS, Fixations, Stimulus
from gaze.errors import DataError

FORMAT = "gaze-store"
FORMAT_VERSION = 1
_BYTES = h5py.vlen_dtype(np.uint8)
_TEXT = h5py.string_dtype()
_FIXATION = np.dtype([(name, values.dtype) for name, values in vars(Fixations.of([], [])).items()])
_TABLES = ("images", "densities", "fixations")


@dataclass(frozen=True)
class StoreAttributes:
    """What a store says of its data set.

    Attributes:
        name: of the data set.
        license: under which the set was released.
        source: who published it and where.
        sigma_pixels: Gaussian of its densities in pixels of the stimulus.
        pixels_per_degree: pixels of the stimulus in one degree of visual angle, None where not stated.
        drop_first: whether order 0 of a viewing is left out of targets and metrics.
        format_version: of the file.
    """

    name: str
    license: str
    source: str
    sigma_pixels: float
    pixels_per_degree: float | None
    drop_first: bool
    format_version: int = FORMAT_VERSION


def write_store(path: str | Path, attributes: StoreAttributes, stimuli: Iterable[Stimulus]) -> int:
    """Writes a store, holding one stimulus at a time; `path` appears, or is replaced, when all is written.

    Returns:
        The number of stimuli written.

    Raises:
        DataError: there was none, a name came twice, or the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["format"] = FORMAT
            file.attrs.update({key: value for key, value in asdict(attributes).items() if value is not None})
            count = _write_stimuli(file, stimuli)
            if not count:
                raise DataError(f"{path}: nothing to write, no stimulus could be read")
    except OSError as error:
        raise DataError(f"{path}: cannot write the store: {error}") from error
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[str]:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _write_stimuli(file: h5py.File, stimuli: Iterable[Stimulus]) -> int:
    columns = {"images": _BYTES, "densities": _BYTES, "names": _TEXT, "splits": _TEXT}
    for name, dtype in columns.items():
        file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(256,))
    file.create_dataset("sizes", (0, 2), np.int32, maxshape=(None, 2), chunks=(256, 2))
    file.create_dataset("offsets", data=np.zeros(1, np.int64), maxshape=(None,), chunks=(256,))
    file.create_dataset("fixations", (0,), _FIXATION, maxshape=(None,), chunks=(4096,))
    seen: set[str] = set()
    for stimulus in stimuli:
        if stimulus.name in seen:
            raise DataError(f"{stimulus.name}: this name came twice")
        seen.add(stimulus.name)
        _append_stimulus(file, stimulus)
    return len(seen)


def _append_stimulus(file: h5py.File, stimulus: Stimulus) -> None:
    if stimulus.split not in SPLITS:
        raise DataError(f"{stimulus.name}: split must be one of {', '.join(SPLITS)}, got {stimulus.split!r}")
    rows = np.empty(len(stimulus.fixations), _FIXATION)
    for name in FIELDS:
        rows[name] = getattr(stimulus.fixations, name)
    _append(file["fixations"], rows)
    _append(file["offsets"], [len(file["fixations"])])
    _append(file["names"], [stimulus.name])
    _append(file["splits"], [stimulus.split])
    _append(file["sizes"], [(stimulus.width, stimulus.height)])
    _append_bytes(file["images"], np.frombuffer(stimulus.image, np.uint8))
    _append_bytes(file["densities"], _encode_density(stimulus.density))


def _append(dataset: h5py.Dataset, values: Any) -> None:
    start = len(dataset)
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _append_bytes(dataset: h5py.Dataset, values: NDArray[np.uint8]) -> None:
    dataset.resize(len(dataset) + 1, axis=0)
    dataset[len(dataset) - 1] = values


def _encode_density(density: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    if density is None:
        return np.zeros(0, np.uint8)
    levels = np.rint(density / density.max() * 65535).astype(np.uint16)
    return cv2.imencode(".png", levels)[1].ravel()


def _decode_density(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    return normalise(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)))


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
        """The positions of one split's stimuli, ascending.

        Raises:
            DataError: there is no such split.
        """
        if split not in SPLITS:
            raise DataError(f"{self.path}: split must be one of {', '.join(SPLITS)}, got {split!r}")
        return np.flatnonzero(self.splits == split)

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
    )


def _check_lengths(file: h5py.File, count: int) -> None:
    lengths = {name: len(file[name]) for name in ("images", "densities", "splits", "sizes", "offsets")}
    lengths["offsets"] -= 1
    total = int(file["offsets"][-1])
    if set(lengths.values()) != {count} or len(file["fixations"]) != total:
        raise ValueError("its tables have different lengths")
