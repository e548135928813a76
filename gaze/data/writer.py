"""Writes a store: one stimulus in memory at a time, all or nothing on disk."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from gaze.data.layout import BYTES, FIXATION, FORMAT, TEXT, UNLABELLED, StoreAttributes
from gaze.errors import DataError
from gaze.files import replacing
from gaze.fixations import FIELDS, SPLITS, Stimulus


def write_store(
    path: str | Path, attributes: StoreAttributes, stimuli: Iterable[Stimulus], overwrite: bool = True
) -> int:
    """Writes a store, holding one stimulus at a time; `path` appears, or is replaced, when all is written.

    Returns:
        The number of stimuli written.

    Raises:
        DataError: there was none, or a name came twice.
        OutputError: the file cannot be written, or is there already and `overwrite` is False.
    """
    path = Path(path)
    with replacing(path, overwrite) as scratch, h5py.File(scratch.name, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs.update({key: value for key, value in asdict(attributes).items() if value is not None})
        count = _write_stimuli(file, stimuli)
        if not count:
            raise DataError(f"{path}: nothing to write, no stimulus could be read")
    return count


def _write_stimuli(file: h5py.File, stimuli: Iterable[Stimulus]) -> int:
    columns = {"images": BYTES, "densities": BYTES, "names": TEXT, "splits": TEXT}
    for name, dtype in columns.items():
        file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(256,))
    file.create_dataset("sizes", (0, 2), np.int32, maxshape=(None, 2), chunks=(256, 2))
    file.create_dataset("offsets", data=np.zeros(1, np.int64), maxshape=(None,), chunks=(256,))
    file.create_dataset("fixations", (0,), FIXATION, maxshape=(None,), chunks=(4096,))
    file.create_dataset("heads", (0, 4), np.float32, maxshape=(None, 4), chunks=(256, 4))
    file.create_dataset("head_counts", (0,), np.int32, maxshape=(None,), chunks=(256,))
    tables = dict(file.items())
    seen: set[str] = set()
    for stimulus in stimuli:
        if stimulus.name in seen:
            raise DataError(f"{stimulus.name}: this name came twice")
        seen.add(stimulus.name)
        _append_stimulus(tables, stimulus)
    return len(seen)


def _append_stimulus(tables: dict[str, h5py.Dataset], stimulus: Stimulus) -> None:
    if stimulus.split not in SPLITS:
        raise DataError(f"{stimulus.name}: split must be one of {', '.join(SPLITS)}, got {stimulus.split!r}")
    rows = np.empty(len(stimulus.fixations), FIXATION)
    for name in FIELDS:
        rows[name] = getattr(stimulus.fixations, name)
    _append(tables["fixations"], rows)
    _append(tables["offsets"], [len(tables["fixations"])])
    _append(tables["names"], [stimulus.name])
    _append(tables["splits"], [stimulus.split])
    _append(tables["sizes"], [(stimulus.width, stimulus.height)])
    heads = np.zeros((0, 4), np.float32) if stimulus.heads is None else stimulus.heads
    _append(tables["heads"], heads)
    _append(tables["head_counts"], [UNLABELLED if stimulus.heads is None else len(heads)])
    _append_bytes(tables["images"], np.frombuffer(stimulus.image, np.uint8))
    _append_bytes(tables["densities"], _encode_density(stimulus.density))


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
