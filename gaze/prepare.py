"""`python -m gaze.prepare data=osie data.root=... out=data/osie.h5`: a data set as released -> one store."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from gaze.config import verb
from gaze.data.config import DataSetConfig
from gaze.data.densities import normalise
from gaze.data.readers import READERS, Entry
from gaze.data.splits import hashed_split, read_splits
from gaze.data.store import StoreAttributes, write_store
from gaze.errors import ConfigError, DataError, GazeError
from gaze.fixations import Fixations, Stimulus
from gaze.geometry import Size
from gaze.images import decode


@dataclass
class DataConfig:
    """Where the data set lies.

    Attributes:
        root: the folder as released.
        splits: JSON `{set: {train: [names], val: [...], test: [...]}}`; null for the set's own split,
            or else one by the hash of each name.
    """

    root: str
    splits: str | None


@dataclass
class PrepareConfig:
    """What `gaze.prepare` needs; `out` null means the `store` of the set."""

    data: DataConfig
    out: str | None
    sets: dict[str, DataSetConfig]


@dataclass
class Report:
    """Counts what was kept and what was left out, and says each omission at once, by name."""

    images: Counter = field(default_factory=Counter)
    fixations: Counter = field(default_factory=Counter)

    def say(self, name: str, reason: str) -> None:
        """Prints one line without disturbing the progress bar."""
        tqdm.write(f"{name}: {reason}", file=sys.stderr)

    def summary(self) -> str:
        """One line for the end."""
        left = self.images["bad"] + self.images["unlisted"] + self.images["missing"]
        return (
            f"{self.images['kept']} images ({self.images['train']} train, {self.images['val']} val, "
            f"{self.images['test']} test), {self.fixations['kept']} fixations; left out: {left} images "
            f"({self.images['bad']} bad, {self.images['unlisted']} in no split, "
            f"{self.images['missing']} missing), "
            f"{self.fixations['outside']} fixations outside their image"
        )


def prepare(config: PrepareConfig) -> Report:
    """Reads one data set and writes its store.

    Raises:
        ConfigError: not exactly one set, an unknown reader or an impossible sigma.
        DataError: the folder is not that set, not one image could be read, or the store cannot be written.
    """
    dataset = _only_set(config)
    read = READERS.get(dataset.reader, f"sets.{dataset.name}.reader")
    entries = read(Path(config.data.root).expanduser())
    splits = read_splits(config.data.splits, dataset.name) if config.data.splits else None
    attributes = StoreAttributes(
        dataset.name,
        dataset.license,
        dataset.source,
        dataset.sigma(),
        dataset.pixels_per_degree,
        dataset.drop_first,
    )
    report = Report()
    _report_missing(entries, splits, report)
    out = config.out or dataset.store
    try:
        write_store(out, attributes, read_stimuli(tqdm(entries, dataset.name, unit="image"), splits, report))
    finally:
        print(f"{dataset.name}: {report.summary()}")
    print(f"{out}: written")
    return report


def read_stimuli(entries: Iterable[Entry], splits: dict[str, str] | None, report: Report) -> Iterator[Stimulus]:
    """Reads one stimulus after the other, leaving out and reporting what is bad."""
    for entry in entries:
        split = splits.get(entry.name) if splits is not None else entry.split or hashed_split(entry.name)
        if split is None:
            report.images["unlisted"] += 1
            report.say(entry.name, "left out: in no split of data.splits")
            continue
        try:
            stimulus = _read_stimulus(entry, split, report)
        except (GazeError, OSError, ValueError) as error:
            report.images["bad"] += 1
            report.say(entry.name, f"left out: {error}")
            continue
        report.images.update(("kept", split))
        report.fixations["kept"] += len(stimulus.fixations)
        yield stimulus


def _read_stimulus(entry: Entry, split: str, report: Report) -> Stimulus:
    image = entry.image.read_bytes()
    height, width = decode(image).shape[:2]
    gaze = entry.gaze(Size(width, height))
    if not isinstance(gaze, Fixations):
        return Stimulus(entry.name, image, width, height, split, Fixations.of([], []), normalise(gaze))
    inside = gaze.inside(width, height)
    outside = len(gaze) - int(inside.sum())
    if outside:
        report.fixations["outside"] += outside
        report.say(entry.name, f"{outside} of {len(gaze)} fixations lie outside the image and are left out")
    if not inside.any():
        raise DataError("no fixation inside the image")
    return Stimulus(entry.name, image, width, height, split, gaze.select(inside))


def _report_missing(entries: list[Entry], splits: dict[str, str] | None, report: Report) -> None:
    for name in sorted(set(splits or ()) - {entry.name for entry in entries}):
        report.images["missing"] += 1
        report.say(name, "named in data.splits, but no such image")


def _only_set(config: PrepareConfig) -> DataSetConfig:
    if len(config.sets) != 1:
        raise ConfigError(f"data: prepare takes one set at a time, got {', '.join(config.sets) or 'none'}")
    return next(iter(config.sets.values()))


main = verb("prepare", PrepareConfig)(prepare)

if __name__ == "__main__":
    main()
