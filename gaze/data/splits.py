"""Which split an image belongs to."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from gaze.errors import DataError
from gaze.fixations import SPLITS

SHIPPED = Path(__file__).with_name("splits.json")
"""The lists of the sets that the shipped models were trained and judged by."""

UNLISTED = "train"
"""Split of a photograph that a shipped list lacks: whatever it is, nothing that was trained on comes into test."""


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


@cache
def shipped_splits(dataset: str) -> dict[str, str]:
    """The split of each name in the lists that ship with gaze; empty for a set that has none there."""
    return read_splits(SHIPPED, dataset) if dataset in json.loads(SHIPPED.read_text(encoding="utf-8")) else {}


def split_otherwise(dataset: str, names: Iterable[str], splits: Iterable[str]) -> list[str]:
    """Those of `names` whose split is another than by the lists that ship; none for a set without lists there."""
    shipped = shipped_splits(dataset)
    pairs = zip(names, splits, strict=True)
    return [name for name, split in pairs if shipped.get(name, UNLISTED) != split] if shipped else []


def _is_names(names: object) -> bool:
    return isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(n, str) for n in names)


def hashed_split(name: str) -> str:
    """Gives a name a split that never changes, by its SHA-256: about 80% train, 10% val, 10% test."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"
