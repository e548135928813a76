"""`python -m gaze.prepare data=osie data.root=... out=data/osie.h5`: a data set as released -> one store."""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.prepare")

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gaze.config import verb
from gaze.data.config import DataSetConfig
from gaze.data.densities import normalise
from gaze.data.readers import READERS, Entry
from gaze.data.splits import UNLISTED, hashed_split, read_splits, shipped_splits
from gaze.data.store import StoreAttributes, write_store
from gaze.errors import ConfigError, DataError, GazeError, check_settings, expect, expect_one_of
from gaze.files import check_free
from gaze.fixations import Fixations, Stimulus
from gaze.geometry import Size
from gaze.images import decode
from gaze.progress import say, track
from gaze.streams import print_result


@dataclass
class DataConfig:
    """Where the data set lies.

    Attributes:
        root: the folder as released.
        splits: JSON `{set: {train: [names], val: [...], test: [...]}}`; null for the lists that ship with gaze, else
            the set's own split, else one by the hash of each name.
    """

    root: str
    splits: str | None

    def check(self) -> None:
        """Raises ConfigError where a path is empty."""
        expect(bool(self.root), "data.root", "a folder", self.root)
        expect(self.splits != "", "data.splits", "a JSON file or null", self.splits)


@dataclass
class PrepareConfig:
    """All of `gaze/conf/prepare.yaml`.

    Attributes:
        data: where the set lies.
        out: the store to write; null writes the `store` of the set.
        overwrite: whether a store that is there already is replaced.
        sets: the one set, by name.
    """

    data: DataConfig
    out: str | None
    overwrite: bool
    sets: dict[str, DataSetConfig]

    def check(self) -> None:
        """Raises ConfigError where there is not one set with a reader."""
        if len(self.sets) != 1:
            raise ConfigError(f"data: prepare takes one set at a time, got {', '.join(self.sets) or 'none'}")
        expect_one_of(f"sets.{self.dataset.name}.reader", self.dataset.reader, READERS)
        expect(self.out != "", "out", "the store to write or null", self.out)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        return {} if self.out is None else {"sets.*.store": f"out={self.out} names the store"}

    @property
    def dataset(self) -> DataSetConfig:
        """The one set."""
        return next(iter(self.sets.values()))


@dataclass(frozen=True)
class Rule:
    """By what a set's images are kept.

    Attributes:
        split_of: the split of an image, None where it has none and is left out.
        drop_first: whether an image needs fixations other than the first of a viewing.
        width: pixels that every image has, None where they may differ.
    """

    split_of: Callable[[Entry], str | None]
    drop_first: bool
    width: int | None


@dataclass
class Omissions:
    """Counts what was kept and what was left out, and says each omission at once, by name."""

    images: Counter = field(default_factory=Counter)
    fixations: Counter = field(default_factory=Counter)

    def say(self, name: str, reason: str) -> None:
        """Prints one line without disturbing the progress bar."""
        say(f"{name}: {reason}")

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


def prepare(config: PrepareConfig) -> Omissions:
    """Reads one data set and writes its store.

    Raises:
        ConfigError: not exactly one set, an unknown reader, an impossible sigma, or the store is there already.
        DataError: the folder is not that set, or not one image could be read.
        OutputError: the store cannot be written.
    """
    check_settings(config)
    dataset = config.dataset
    out = Path(config.out or dataset.store)
    check_free([out], config.overwrite)
    read = READERS.get(dataset.reader, f"sets.{dataset.name}.reader")
    entries, report = read(Path(config.data.root).expanduser()), Omissions()
    split_of = _split_rule(config.data, dataset.name, entries, report)
    width = _first_width(entries) if dataset.sigma_width is not None else None
    attributes = StoreAttributes(
        dataset.name,
        dataset.license,
        dataset.source,
        dataset.sigma(width),
        dataset.pixels_per_degree,
        dataset.drop_first,
    )
    rule = Rule(split_of, dataset.drop_first, width)
    try:
        stimuli = read_stimuli(track(entries, dataset.name, unit="image"), rule, report)
        write_store(out, attributes, stimuli, config.overwrite)
    finally:
        print_result(f"{dataset.name}: {report.summary()}")
    print_result(f"{out}: written")
    return report


def read_stimuli(entries: Iterable[Entry], rule: Rule, report: Omissions) -> Iterator[Stimulus]:
    """Reads one stimulus after the other, leaving out and reporting what is bad."""
    for entry in entries:
        split = rule.split_of(entry)
        if split is None:
            report.images["unlisted"] += 1
            report.say(entry.name, "left out: in no split of data.splits")
            continue
        try:
            stimulus = _read_stimulus(entry, split, rule, report)
        except (GazeError, OSError, ValueError) as error:
            report.images["bad"] += 1
            report.say(entry.name, f"left out: {error}")
            continue
        report.images.update(("kept", split))
        report.fixations["kept"] += len(stimulus.fixations)
        yield stimulus


def _read_stimulus(entry: Entry, split: str, rule: Rule, report: Omissions) -> Stimulus:
    image = entry.image.read_bytes()
    height, width = decode(image).shape[:2]
    if rule.width not in (None, width):
        raise DataError(f"{width} pixels wide, the first image of the set {rule.width}; its sigma holds for one width")
    gaze = entry.gaze(Size(width, height))
    if not isinstance(gaze, Fixations):
        return Stimulus(entry.name, image, width, height, split, Fixations.of([], []), normalise(gaze), entry.heads)
    inside = gaze.inside(width, height)
    outside = len(gaze) - int(inside.sum())
    if outside:
        report.fixations["outside"] += outside
        report.say(entry.name, f"{outside} of {len(gaze)} fixations lie outside the image and are left out")
    kept = gaze.select(inside)
    if not len(kept):
        raise DataError("no fixation inside the image")
    if rule.drop_first and not len(kept.without_first()):
        raise DataError("only first fixations of viewings inside the image, which this set leaves out")
    return Stimulus(entry.name, image, width, height, split, kept, heads=entry.heads)


def _split_rule(
    config: DataConfig, dataset: str, entries: list[Entry], report: Omissions
) -> Callable[[Entry], str | None]:
    """How an image gets its split; what the lists name and is not there is reported."""
    if config.splits:
        given = read_splits(config.splits, dataset)
        for name in _missing(given, entries, report):
            report.say(name, "named in data.splits, but no such image")
        return lambda entry: given.get(entry.name)
    shipped = shipped_splits(dataset)
    if not shipped:
        return lambda entry: entry.split or hashed_split(entry.name)
    missing = _missing(shipped, entries, report)
    if len(missing) == len(shipped):
        raise DataError(
            f"data.root={config.root}: none of its images is named as one of {dataset}'s, such as {missing[0]}; "
            "for photographs of your own take data=folder, for other names give data.splits"
        )
    if missing:
        report.say(dataset, f"{len(missing)} of its {len(shipped)} images are not there, the first {missing[0]}")
    return partial(_shipped_split, shipped, report)


def _missing(splits: dict[str, str], entries: list[Entry], report: Omissions) -> list[str]:
    missing = sorted(splits.keys() - {entry.name for entry in entries})
    report.images["missing"] += len(missing)
    return missing


def _shipped_split(shipped: dict[str, str], report: Omissions, entry: Entry) -> str:
    if entry.name not in shipped:
        report.say(entry.name, f"in none of the set's lists: in {UNLISTED}, so that nothing trained on is in test")
    return shipped.get(entry.name, UNLISTED)


def _first_width(entries: list[Entry]) -> int | None:
    """Width in pixels of the first image that can be read."""
    for entry in entries:
        try:
            return decode(entry.image.read_bytes()).shape[1]
        except (GazeError, OSError):
            continue
    return None


main = verb("prepare", PrepareConfig)(prepare)

if __name__ == "__main__":
    main()
