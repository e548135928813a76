"""How much of what people looked at do crops keep?

    python tests/benchmarks/crop_quality.py DATA STORES PEERS OUT [--split val|test] [--models fast quality PATH ...]

DATA holds `osie`, `eyecrowd` and `scene500` as released, STORES what `model_table.py` made of them, PEERS `peers.py`
(see `peers_table.py`). Run `npm install` in `tests/benchmarks/node` first. OUT receives `crops.md`, `crops.json` and
contact sheets.

The measure: the share of a photograph's fixations that lie inside the crop, the mean over photographs, with the 95%
bootstrap interval over photographs. First fixations are left out, as the stores do. A crop is the largest window of a
ratio; `half 1:1` has half the sides of the largest square, 300x300 of 800x600. Of the people, half the observers'
blurred fixations choose and the other half's are counted, both ways, over `SPLITS` splits; the oracle is the window
that holds most of the very fixations that are counted. `over the center` is the difference to the central crop of the
same photograph, the mean of all windows. A crop of the whole photograph counts too: 3 in 5 of scene500 are square.
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
from crop_sheet import Sheet
from numpy.typing import NDArray
from peers_table import load_peers

from gaze.framing.choice import choose
from gaze.geometry import Box

SETS = ("osie", "eyecrowd", "scene500")
SPLITS = 5
GAIN = "over the center"
CENTER, PEOPLE, ORACLE = "center", "half the observers", "oracle"


def share(photo: Photo, box: Box, counted: NDArray[np.bool_] | slice = slice(None)) -> float:
    """Of the fixations `counted`, how many lie on a pixel of the box."""
    x, y = photo.fixations.x[counted] + 0.5, photo.fixations.y[counted] + 0.5
    return float(np.mean((x >= box.left) & (x < box.right) & (y >= box.top) & (y < box.bottom)))


def shares_of_people(photo: Photo) -> list[float]:
    """For each window, what half the observers' crop keeps of the other half's fixations."""
    random = np.random.default_rng(0)
    observers, found = np.unique(photo.fixations.subject), []
    for _ in range(SPLITS):
        half = np.isin(photo.fixations.subject, random.permutation(observers)[: len(observers) // 2])
        for chosen in (half, ~half):
            density = blurred(photo, chosen)
            boxes = [choose(density, photo.size, w.ratio, w.framed(PLAIN))[0].box for w in WINDOWS]
            found.append([share(photo, box, ~chosen) for box in boxes])
    return np.mean(found, axis=0).tolist()


def interval(values: NDArray[np.float64], rounds: int = 4000) -> tuple[float, float, float]:
    """Mean and the bootstrap 95% interval of it."""
    drawn = np.random.default_rng(0).integers(0, len(values), (rounds, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return float(values.mean()), float(low), float(high)


def measure(photos: Iterable[Photo], choosers: dict[str, Chooser], sheet: Sheet) -> dict[str, dict[str, list]]:
    """For each set and way to choose, a list of what each window keeps for each photograph."""
    found: dict[str, dict[str, list]] = {source: {} for source in SETS}
    for photo in photos:
        boxes = {name: [chooser(photo, window) for window in WINDOWS] for name, chooser in choosers.items()}
        sheet.add(photo, boxes)
        rows = {name: [share(photo, box) for box in chosen] for name, chosen in boxes.items()}
        rows[PEOPLE] = shares_of_people(photo)
        rows[ORACLE] = [share(photo, by_its_own_fixations(photo, window)) for window in WINDOWS]
        for name, row in rows.items():
            found[photo.source].setdefault(name, []).append(row)
    return found


def summary(found: dict[str, dict[str, list]]) -> list[dict[str, Any]]:
    """A row for each set (and all of them) and way to choose: mean, low and high of each window and of the gain."""
    joined = {name: [row for source in SETS for row in found[source][name]] for name in found[SETS[0]]}
    rows = []
    for source, ways in (found | {"all": joined}).items():
        for name, kept in ways.items():
            row: dict[str, Any] = {"set": source, "photos": len(kept), "name": name}
            row |= {w.name: interval(column) for w, column in zip(WINDOWS, np.array(kept).T, strict=True)}
            rows.append(row | {GAIN: interval((np.array(kept) - np.array(ways[CENTER])).mean(axis=1))})
    return rows


def markdown(rows: list[dict[str, Any]], split: str) -> str:
    """A table for each set, and one for all."""
    lines = []
    for source in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == source]
        lines += [f"{source}, {split}: {own[0]['photos']} photographs", ""]
        columns = [*(window.name for window in WINDOWS), GAIN]
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
