"""Draws time against information gain of many networks: what was trained, and which of it ships.

    python tests/benchmarks/models_frontier.py PEERS STORES PICTURE TITLE=MODEL ...

PEERS and MODEL as in `peers_table.py`; STORES holds `osie.h5`, `eyecrowd.h5` and `scene500.h5`. Time: the network alone
as a share of Twitter's, all in turn in one run, ONNX Runtime on one thread. Information gain: the mean of the three
sets' `val`, bits per fixation over the center bias. The shipped models are stars. PICTURE is a PNG; the table of its
points is printed.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from frontier import Judge
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from peers_table import PHOTOS, TWITTER, load_peers, ours, timed, twitter

from gaze.weights import SHIPPED

SETS = ("osie", "eyecrowd", "scene500")
PLACES = ((13, 0), (-13, 0), (0, 13), (0, -13))
"""Where a point may have its number, in points of the page."""


def measured(peers: Path, stores: Path, models: dict[str, str]) -> list[dict[str, Any]]:
    """A row of each model: its title, the median share of Twitter's time, and the mean information gain."""
    judges = [Judge(stores / f"{name}.h5", "val") for name in SETS]
    images = [image for _, image in judges[0].images[:PHOTOS]]
    contestants = [replace(ours(model), name=title) for title, model in models.items()]
    times = timed([twitter(load_peers(peers), images[0]), *contestants], images)
    return [
        {
            "title": contestant.name,
            "share": float(np.median(times[contestant.name] / times[TWITTER])),
            "gain": float(np.mean([judge(contestant.predict, True)["information_gain"] for judge in judges])),
            "ships": models[contestant.name] in SHIPPED,
        }
        for contestant in contestants
    ]


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """A numbered point each, named beside the panel, time on a logarithmic axis."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for number, row in enumerate(rows, 1):
        marker, color, size = ("*", "#D55E00", 17) if row["ships"] else ("o", "#0072B2", 7)
        axes.plot(row["share"], row["gain"], marker, color=color, ms=size, label=f"{number}  {row['title']}")
    figure.legend(loc="outside right upper", frameon=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"1/{1 / value:.0f}" if value < 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1, y=0.1)
    axes.set_xlabel("time, share of Twitter's network")
    axes.set_ylabel("information gain, bits per fixation, val, mean of three sets")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()  # which settles where points are
    points = axes.transData.transform([(row["share"], row["gain"]) for row in rows]) * 72 / figure.dpi
    for number, place in enumerate(free_places(points), 1):
        row = rows[number - 1]
        how = {"textcoords": "offset points", "ha": "center", "va": "center"}
        axes.annotate(str(number), (row["share"], row["gain"]), place, **how)
    figure.savefig(picture, format="png", dpi=110)


def free_places(points: np.ndarray) -> list[tuple[int, int]]:
    """For each point, one after the other, that of the `PLACES` which is furthest from other points and numbers."""
    taken, found = list(points), []
    for point in points:
        others = [each for each in taken if each is not point]
        best = max(PLACES, key=lambda place: min(float(np.hypot(*(point + place - other))) for other in others))
        found.append(best)
        taken.append(point + best)
    return found


def main(peers: Path, stores: Path, picture: Path, models: dict[str, str]) -> None:
    """Measures, prints and draws."""
    rows = sorted(measured(peers, stores, models), key=lambda row: row["share"])
    print("| network | of Twitter's time | mean IG, val |\n|---|---:|---:|")
    for row in rows:
        title = f"**{row['title']}**" if row["ships"] else row["title"]
        share = f"1/{1 / row['share']:.1f}" if row["share"] < 1 else f"{row['share']:.1f}"
        print(f"| {title} | {share} | {row['gain']:.3f} |")
    draw(rows, picture)


if __name__ == "__main__":
    if len(sys.argv) < 5 or any("=" not in pair for pair in sys.argv[4:]):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:4]), dict(pair.split("=", 1) for pair in sys.argv[4:]))
