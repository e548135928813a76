"""Which split an image belongs to."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from gaze.errors import DataError
from gaze.fixations import SPLITS


def read_splits(path: str | Path, dataset: str) -> dict[str, str]:
    """Reads `{set: {"train": [names], "val": [...], "test": [...]}}`: the split of each name of one set.

    Raises:
        DataError: the file is missing or not of that form, lacks the set, or lists a name twice.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        lists = {split: content[dataset][split] for split in SPLITS}
        unknown = set(content[dataset]) - set(SPLITS)
    except OSError as error:
        raise DataError(f"{path}: cannot read the splits file: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected JSON with {dataset!r}: {{train, val, test: lists of names}}") from error
    if unknown or not all(_is_names(names) for names in lists.values()):
        raise DataError(f"{path}: {dataset!r} must hold three lists of names: train, val, test")
    splits: dict[str, str] = {}
    for split, names in lists.items():
        for name in names:
            if splits.setdefault(name, split) != split:
                raise DataError(f"{path}: {dataset!r} lists {name} in {splits[name]} and in {split}")
    return splits


def _is_names(names: object) -> bool:
    return isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(n, str) for n in names)


def hashed_split(name: str) -> str:
    """Gives a name a split that never changes, by its SHA-256: about 80% train, 10% val, 10% test."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"
