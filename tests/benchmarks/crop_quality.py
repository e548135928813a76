"""What do crops keep of what people looked at, and what do their sides run through?

    python tests/benchmarks/crop_quality.py DATA STORES PEERS OUT [--split val|test] [--models fast quality PATH ...]

DATA holds `osie`, `eyecrowd` (with the authors' `faces.csv`) and `scene500` as released, STORES what `gaze.prepare` or
`model_table.py` made of them, PEERS `peers.py` (see `peers_table.py`). Run `npm install` in `tests/benchmarks/node`
first. OUT receives `crops.md`, `crops.json` and contact sheets.

`crop_measures.py` says what is measured: kept gaze, gaze at the cut, and photographs with a cut head; each as the mean
over photographs with the 95% bootstrap interval over them. A crop is the largest window of a ratio; `half 1:1` has half
the sides of the largest square, 300x300 of 800x600. Of the people, half the observers' blurred fixations choose and the
other half's are counted, both ways, over `SPLITS` splits; the oracle is the window that holds most of the very
fixations that are counted. `over the center` is the difference to the central crop of the same photograph, the mean of
all windows. A crop of the whole photograph counts too: 3 in 5 of scene500 are square, so its others have tables.
"""

import argparse
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from crop_choosers import (
    PLAIN,
    WINDOWS,
    Chooser,
    Photo,
    blurred,
    by_center,
    by_gaze,
    by_its_own_fixations,
    by_networks,
    by_node,
    read_photos,
)
from crop_measures import MEASURES, measured
from crop_sheet import Sheet
from numpy.typing import NDArray
from peers_table import load_peers

from gaze.framing.choice import choose

SETS = ("osie", "eyecrowd", "scene500")
SPLITS = 5
NOT_SQUARE = "scene500, not square"
MEAN, GAIN = "mean", "over the center"
CENTER, PEOPLE, ORACLE = "center", "half the observers", "oracle"


Found = dict[str, dict[str, list[NDArray[np.float64]]]]
"""Of each set and way to choose, windows x `MEASURES` for each photograph."""


def measures_of_people(photo: Photo) -> NDArray[np.float64]:
    """For each window, the `MEASURES` of half the observers' crop by the other half's fixations."""
    random = np.random.default_rng(0)
    observers, found = np.unique(photo.fixations.subject), []
    for _ in range(SPLITS):
        half = np.isin(photo.fixations.subject, random.permutation(observers)[: len(observers) // 2])
        for chosen in (half, ~half):
            density = blurred(photo, chosen)
            boxes = [choose(density, photo.size, w.ratio, w.framed(PLAIN))[0].box for w in WINDOWS]
            found.append([measured(photo, box, ~chosen) for box in boxes])
    return np.mean(found, axis=0)


def interval(values: NDArray[np.float64], rounds: int = 4000) -> tuple[float, float, float]:
    """Mean and the bootstrap 95% interval of it."""
    drawn = np.random.default_rng(0).integers(0, len(values), (rounds, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return float(values.mean()), float(low), float(high)


def measure(photos: Iterable[Photo], choosers: dict[str, Chooser], sheet: Sheet) -> Found:
    """The `MEASURES` of each window of each photograph."""
    found: Found = {source: {} for source in (*SETS, NOT_SQUARE)}
    for photo in photos:
        boxes = {name: [chooser(photo, window) for window in WINDOWS] for name, chooser in choosers.items()}
        sheet.add(photo, boxes)
        rows = {name: np.array([measured(photo, box) for box in chosen]) for name, chosen in boxes.items()}
        rows[PEOPLE] = measures_of_people(photo)
        rows[ORACLE] = np.array([measured(photo, by_its_own_fixations(photo, window)) for window in WINDOWS])
        for name, row in rows.items():
            found[photo.source].setdefault(name, []).append(row)
            if photo.source == "scene500" and photo.size.width != photo.size.height:
                found[NOT_SQUARE].setdefault(name, []).append(row)
    return found


def summary(found: Found) -> list[dict[str, Any]]:
    """A row for each set (and all of them), way to choose and measure: mean, low and high of each window and of all."""
    joined = {name: [row for source in SETS for row in found[source][name]] for name in found[SETS[0]]}
    rows = []
    for source, ways in (found | {"all": joined}).items():
        for name, values in ways.items():
            for k, measure in enumerate(MEASURES):
                own, center = np.array(values)[..., k], np.array(ways[CENTER])[..., k]
                if (labelled := ~np.isnan(own[:, 0])).any():
                    row: dict[str, Any] = {"set": source, "photos": int(labelled.sum()), "name": name}
                    row |= {"measure": measure, MEAN: interval(own[labelled].mean(axis=1))}
                    row |= {w.name: interval(column) for w, column in zip(WINDOWS, own[labelled].T, strict=True)}
                    rows.append(row | {GAIN: interval((own - center)[labelled].mean(axis=1))})
    return rows


def markdown(rows: list[dict[str, Any]], split: str) -> str:
    """A table for each set, and for all, and measure."""
    lines = []
    for source, measure in dict.fromkeys((row["set"], row["measure"]) for row in rows):
        own = [row for row in rows if (row["set"], row["measure"]) == (source, measure)]
        lines += [f"{measure}: {source}, {split}, {own[0]['photos']} photographs", ""]
        columns = [*(window.name for window in WINDOWS), MEAN, GAIN]
        lines += [f"| crop | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
        for row in own:
            cells = [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in (row[name] for name in columns)]
            lines.append(f"| {row['name']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "stores", "peers", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--models", nargs="+", default=["fast", "quality"])
    args = parser.parse_args()
    photos = partial(read_photos, args.stores, args.data, SETS, args.split)
    choosers: dict[str, Chooser] = {CENTER: by_center}
    choosers |= by_node([(photo.file.resolve(), photo.size) for photo in photos()])
    choosers |= by_networks(load_peers(args.peers))
    ours = [by_gaze(model) for model in args.models]
    for found in ours:
        choosers |= found
    sheet = Sheet({CENTER: "white", "sharp `attention`": "red", next(iter(ours[0])): "lime"})
    found = measure(photos(), choosers, sheet)
    rows = summary(found)
    text = markdown(rows, args.split)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "crops.md").write_text(text)
    (args.out / "crops.json").write_text(json.dumps(rows, indent=1) + "\n")
    sheet.save(args.out)


if __name__ == "__main__":
    main()
