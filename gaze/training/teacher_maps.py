"""What a teacher says of the photographs of a store, computed once and kept beside the store.

`osie.h5` gets `osie.teacher-<key>.npz` for each teacher, with the maps of its training photographs as float16. The key
is a hash of the teacher's file, of the store, and of the size at which the teacher looks: another teacher, or another
store of the same name, has a file of its own. A file that is damaged is made anew.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze.data.store import FixationStore, photograph
from gaze.errors import OutputError
from gaze.files import replacing
from gaze.progress import track
from gaze.training.teachers import Teacher, sha256_of

VERSION = 1
"""Of what a map is: raised where the same teacher would say something else."""

Maps = list[NDArray[np.float16]]

# AttributeError, TypeError: one array alone; the rest: an archive that is cut off, damaged, or of another kind
_DAMAGED = (
    OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, MemoryError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def teacher_maps(
    teachers: Sequence[Teacher], store: FixationStore, tell: Callable[[str], None], progress: bool
) -> list[Maps]:
    """The maps of a store's training photographs, read where they are kept, else computed and kept.

    Args:
        teachers: who is asked.
        store: a prepared set.
        tell: is handed a line on what was read or written.
        progress: tell how far it is.

    Returns:
        For each teacher, for each of `store.indices("train")`: the mean of the density and the mirror image's, mirrored
        back, in the cells that the teacher sees; the largest value is 1.
    """
    if not len(store.indices("train")):
        return [[] for _ in teachers]
    digest = sha256_of(store.path)
    return [_kept_or_made(teacher, store, maps_key(teacher, digest), tell, progress) for teacher in teachers]


def maps_key(teacher: Teacher, store_sha256: str) -> str:
    """The hash, 64 hexadecimal digits, of all that the maps follow from."""
    parts = [VERSION, teacher.sha256, store_sha256, teacher.rule.longer_side, teacher.rule.multiple]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def maps_path(store: FixationStore, key: str) -> Path:
    """Where the maps of a key are kept: beside the store."""
    return store.path.with_name(f"{store.path.stem}.teacher-{key[:12]}.npz")


def _kept_or_made(
    teacher: Teacher, store: FixationStore, key: str, tell: Callable[[str], None], progress: bool
) -> Maps:
    path = maps_path(store, key)
    kept = _read(path, key, store, tell) if path.is_file() else None
    if kept is not None:
        tell(f"teacher: {path}: what {teacher.name} says of {store.path} is read from there")
        return kept
    label = f"teacher {teacher.name} on {store.attributes.name}"
    maps = [_mirrored(teacher, store, i) for i in track(store.indices("train"), label, unit="image", shown=progress)]
    try:
        _write(path, key, maps)
        tell(f"teacher: {path}: what {teacher.name} says of {store.path} is kept there")
    except OutputError as error:
        tell(f"teacher: {error}; what {teacher.name} says of {store.path} is not kept")
    return maps


def _mirrored(teacher: Teacher, store: FixationStore, index: int) -> NDArray[np.float16]:
    image = photograph(store[int(index)])
    mean = teacher.density(image) + teacher.density(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    return (mean / mean.max()).astype(np.float16)


def _write(path: Path, key: str, maps: Maps) -> None:
    shapes = np.array([each.shape for each in maps], np.int32)
    with replacing(path) as file:
        np.savez(file, key=np.array(key), shapes=shapes, values=np.concatenate([each.ravel() for each in maps]))


def _read(path: Path, key: str, store: FixationStore, tell: Callable[[str], None]) -> Maps | None:
    """The maps of a file; None where it is damaged, or of another key."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as tables:
            found, shapes, values = str(tables["key"]), tables["shapes"], tables["values"]
        return _checked(found == key, shapes, values, len(store.indices("train")))
    except _DAMAGED:
        tell(f"teacher: {path}: damaged, or another file; made anew")
        return None


def _checked(same: bool, shapes: NDArray, values: NDArray, count: int) -> Maps:
    """The maps one by one; raises ValueError where they are not those that are looked for."""
    if not same or shapes.shape != (count, 2) or shapes.min() < 1 or values.dtype != np.float16:
        raise ValueError("other maps")
    ends = np.cumsum(shapes.astype(np.int64).prod(1))
    if values.shape != (ends[-1],) or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("other values")
    maps = [part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes, strict=True)]
    if any(each.max() != 1 for each in maps):
        raise ValueError("a map without a peak")
    return maps
