"""The widths that rows of `pruning_study.py` left on one network, a panel a row.

    python tests/benchmarks/widths_picture.py OUT/NAME PICTURE.png ROW[,ROW...]... [--budget 0.5] [--seed 1]

OUT/NAME is the folder of a base. Bars have the widths of the first row of a panel, points those of the others, such as
the same row with w = 0; the lag-1 autocorrelation of the kept share tells of each row whether thick and thin layers
alternate (`gaze.pruning.alternation`).
"""

import argparse
import json
from pathlib import Path
from typing import Any

from frontier_picture import NAMES
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gaze.pruning.alternation import alternation
from gaze.pruning.pictures import ACCENT, AFTER, BEFORE, INK, short_names

Widths = dict[str, int]
POINTS = ((ACCENT, "o"), ("#1b1b1b", "x"))


def read(folder: Path) -> tuple[Widths, Widths]:
    """Maps of each group before and after, of a link."""
    facts = json.loads((folder / "pruning.json").read_text(encoding="utf-8"))
    return facts["before"], facts["after"]


def panel(axis: Axes, links: dict[str, tuple[Widths, Widths]]) -> None:
    """Bars of the first link, points of the others."""
    shown: list[Any] = []
    for place, (row, (before, after)) in enumerate(links.items()):
        heights, found = [after.get(name, 0) for name in before], alternation(before, after)
        label = f"{NAMES[row]}: {sum(heights):,} maps, lag 1 {found.statistic:+.2f}, p = {found.p:.2g}"
        if place:
            color, marker = POINTS[place - 1]
            shown += axis.plot(heights, marker, color=color, markersize=5, label=label)
        else:
            axis.bar(range(len(before)), list(before.values()), color=BEFORE, width=0.8)
            shown.append(axis.bar(range(len(before)), heights, color=AFTER, width=0.8, label=label))
    axis.set_ylabel("maps", color=INK, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=8.5, borderaxespad=0.2)


def draw(panels: list[dict[str, tuple[Widths, Widths]]], path: Path) -> None:
    """Draws the panels one below the other, over the same layers."""
    before = next(iter(panels[0].values()))[0]
    figure = Figure(figsize=(1.6 + 0.3 * len(before), 1.5 + 2.5 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, links in zip(axes, panels, strict=True):
        panel(axis, links)
    axes[-1].set_xticks(range(len(before)), short_names(list(before)), rotation=90, fontsize=7)
    axes[-1].set_xlim(-0.7, len(before) - 0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("rows", nargs="+", type=lambda text: text.split(","), metavar="ROW[,ROW...]")
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if strange := [row for rows in options.rows for row in rows if row not in NAMES]:
        parser.error(f"expected rows of {', '.join(NAMES)}, got {strange[0]}")
    if crowded := [rows for rows in options.rows if len(rows) > 1 + len(POINTS)]:
        parser.error(f"expected at most {1 + len(POINTS)} rows in a panel, got {','.join(crowded[0])}")
    place = f"{options.seed}/{options.budget:.2f}"
    draw([{row: read(options.folder / row / place) for row in rows} for rows in options.rows], options.picture)


if __name__ == "__main__":
    main()
