"""Which share of crops would people send back? By windows of photographs of `val` that two readers each have judged.

    python tests/benchmarks/crop_usable.py DATA STORES [--models fast quality PATH ...]

DATA and STORES: see `crop_quality.py`. `usable_windows.csv` has a row for each photograph and ratio: how many windows
were shown, evenly spaced from one end to the other, and the numbers of those that each of the two would use, the best
first. They saw the photograph and all windows of a row beside each other, and sent back those in which a head or text
is cut, the subject is on the edge, people are parted, or the window left the middle without need; at least one of a row
is usable. A crop between two windows counts by how near it is to each.

Prints, for the center crop and each model by the rule of the sides alone and with its output of heads, the share sent
back: in all with the 95% interval over photographs, of each ratio, and of each set. `best` is what the other reader
sends back of the windows that one reader calls best.
"""

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crop_choosers import WINDOWS, Chooser, Photo, Window, by_center, by_prediction, read_photos, remembered
from crop_quality import SETS
from numpy.typing import NDArray

from gaze.geometry import Box
from gaze.predictor import Prediction, Predictor

TABLE = Path(__file__).with_name("usable_windows.csv")
SHAPES = {window.name: window for window in WINDOWS[:4]}


@dataclass(frozen=True)
class Row:
    """The windows of a photograph and a ratio.

    Attributes:
        photo, window: which.
        usable: readers x windows, 1 or 0.
        best: of each reader, counted from 0.
    """

    photo: Photo
    window: Window
    usable: NDArray[np.float64]
    best: tuple[int, ...]

    @classmethod
    def parse(cls, row: dict[str, str], photos: dict[tuple[str, str], Photo]) -> "Row":
        """A line of the table."""
        readers = [[int(number) - 1 for number in row[name]] for name in ("first", "second")]
        usable = np.zeros((len(readers), int(row["windows"])))
        for own, numbers in zip(usable, readers, strict=True):
            own[numbers] = 1
        photo = photos[row["set"], Path(row["image"]).stem]
        return cls(photo, SHAPES[row["ratio"]], usable, tuple(numbers[0] for numbers in readers))

    def sent_back(self, box: Box) -> float:
        """The share of the readers who would send a crop back."""
        size, own = self.photo.size, self.window.size(self.photo.size)
        across = size.width > own.width
        reach = size.width - own.width if across else size.height - own.height
        place = (box.left if across else box.top) / reach * (self.usable.shape[1] - 1)
        return 1 - float(np.mean([np.interp(place, np.arange(len(reader)), reader) for reader in self.usable]))

    def best_sent_back(self) -> float:
        """Likewise, of the window that one reader calls best, by the other."""
        return 1 - float(np.mean([self.usable[1, self.best[0]], self.usable[0, self.best[1]]]))


def line(name: str, rows: list[Row], back: Callable[[Row], float]) -> str:
    """A line of the printed table."""
    found = np.array([back(row) for row in rows])
    photos = np.unique([f"{row.photo.source}/{row.photo.file.name}" for row in rows], return_inverse=True)[1]
    sums, counts = np.bincount(photos, found), np.bincount(photos)
    drawn = np.random.default_rng(0).integers(0, len(counts), (4000, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    shapes, sources = (
        np.array([of(row) for row in rows]) for of in (lambda r: r.window.name, lambda r: r.photo.source)
    )
    parts = [found[shapes == shape].mean() for shape in SHAPES] + [found[sources == source].mean() for source in SETS]
    return f"| {name} | {found.mean():.3f} ({low:.3f} to {high:.3f}) | {' | '.join(f'{part:.2f}' for part in parts)} |"


def choosers(models: list[str]) -> dict[str, Chooser]:
    """The center crop, and each model with and without what it knows of heads."""
    found: dict[str, Chooser] = {"center": by_center}
    for model in models:
        predictor = Predictor(model)
        seen = remembered(lambda photo, own=predictor: own.predict(photo.image))
        name = f"gaze {predictor.card.name} {predictor.card.version}"
        found[f"{name}, the rule alone"] = by_prediction(lambda photo, own=seen: Prediction(own(photo).density))
        if predictor.knows_heads:
            found[f"{name}, its output of heads"] = by_prediction(seen)
    return found


def main() -> None:
    """Reads, chooses and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "stores"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--models", nargs="+", default=["fast", "quality"])
    arguments = parser.parse_args()
    photos = {(p.source, p.file.stem): p for p in read_photos(arguments.stores, arguments.data, SETS, "val")}
    with TABLE.open(newline="") as lines:
        rows = [Row.parse(row, photos) for row in csv.DictReader(lines)]
    print(f"| | sent back | {' | '.join([*SHAPES, *SETS])} |\n|---{'|---:' * (1 + len(SHAPES) + len(SETS))}|")
    for name, chooser in choosers(arguments.models).items():
        print(line(name, rows, lambda row, own=chooser: row.sent_back(own(row.photo, row.window))), flush=True)
    print(line("best", rows, Row.best_sent_back))


if __name__ == "__main__":
    main()
