"""Which share of crops would people send back? By windows of photographs of `val` that two readers each have judged.

    python tests/benchmarks/crop_usable.py DATA STORES [--models fast quality PATH ...]

DATA and STORES: see `crop_quality.py`. `gaze/data/usable_windows.csv` tells of each photograph and ratio which windows
two readers would use, see `gaze.data.usable_windows`. A crop between two windows counts by how near it is to each.

Prints, for the center crop and each model by the rule of the sides alone, with its output of heads, and with that of
preference, too, the share sent back: in all with the 95% interval over photographs, of each ratio, and of each set.
`best` is what the other reader sends back of the windows that one reader calls best.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from crop_choosers import WINDOWS, Chooser, Photo, Window, by_center, by_prediction, read_photos, remembered
from crop_quality import SETS

from gaze.data.usable_windows import UsableWindows, read_usable_windows
from gaze.geometry import Box
from gaze.predictor import Prediction, Predictor

SHAPES = {window.name: window for window in WINDOWS[:4]}


@dataclass(frozen=True)
class Row:
    """The windows of a photograph and a ratio."""

    photo: Photo
    window: Window
    windows: UsableWindows

    def sent_back(self, box: Box) -> float:
        """The share of the readers who would send a crop back."""
        size, own = self.photo.size, self.window.size(self.photo.size)
        across = size.width > own.width
        reach = size.width - own.width if across else size.height - own.height
        return float(self.windows.sent_back(np.array((box.left if across else box.top) / reach)))

    def best_sent_back(self) -> float:
        """Likewise, of the window that one reader calls best, by the other."""
        usable, (first, second) = self.windows.usable, self.windows.best
        return 1 - float(np.mean([usable[1, first], usable[0, second]]))


def read_rows(stores: Path, data: Path) -> list[Row]:
    """Those of photographs of `val`."""
    photos = {(p.source, p.file.name): p for p in read_photos(stores, data, SETS, "val")}
    told = [(row, photos.get((row.source, row.image))) for row in read_usable_windows()]
    return [Row(photo, SHAPES[str(row.ratio)], row) for row, photo in told if photo is not None]


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
            found[f"{name}, its output of heads"] = by_prediction(
                lambda photo, own=seen: replace(own(photo), preference=None)
            )
        if predictor.knows_preference:
            found[f"{name}, and of preference"] = by_prediction(seen)
    return found


def main() -> None:
    """Reads, chooses and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "stores"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--models", nargs="+", default=["fast", "quality"])
    arguments = parser.parse_args()
    rows = read_rows(arguments.stores, arguments.data)
    print(f"| | sent back | {' | '.join([*SHAPES, *SETS])} |\n|---{'|---:' * (1 + len(SHAPES) + len(SETS))}|")
    for name, chooser in choosers(arguments.models).items():
        print(line(name, rows, lambda row, own=chooser: row.sent_back(own(row.photo, row.window))), flush=True)
    print(line("best", rows, Row.best_sent_back))


if __name__ == "__main__":
    main()
