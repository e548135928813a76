"""What does a higher price of gaze at the cut spare, and what does it cost? The frontier of `Framing.cut_weight`.

Heads are left out here, also where the model tells where they are: `crop_heads.py` is about these.

    python tests/benchmarks/crop_frontier.py DATA STORES OUT.png [--split val|test] [--models fast quality PATH ...]

DATA, STORES and the measures: see `crop_quality.py`. Run `npm install` in `tests/benchmarks/node` first. Prints a table
and draws OUT.png: kept gaze, less the center crop's, against photographs with a cut head (EyeCrowd) and against gaze at
the cut; means over the ratios of `SHAPES`, of each the mean over the sets. Crops of the whole photograph are left out.
The table's `at an edge` is the share of crops that touch an edge of the photograph which they could have left.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from crop_choosers import WINDOWS, Chooser, Photo, by_center, by_density, by_node, read_photos, remembered
from crop_measures import AT_CUT, CUT_HEADS, MEASURES, measured
from crop_quality import CENTER, SETS
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gaze.framing.policy import Framing
from gaze.geometry import Box, Size
from gaze.predictor import Predictor

SHAPES = WINDOWS[:4]
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
SHARP = "sharp `attention`"
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")  # of Okabe and Ito
Means = dict[str, NDArray[np.float64]]
"""Of each way to choose, ratios x `MEASURES` and whether a crop is at an edge."""


def by_weights(model: str) -> dict[str, Chooser]:
    """The choosers of a model, by `key`."""
    predictor = Predictor(model)
    density = remembered(lambda photo: predictor.density(photo.image))
    return {key(model, weight): by_density(density, replace(Framing(), cut_weight=weight)) for weight in WEIGHTS}


def key(model: str, weight: float) -> str:
    """How a weight of a model is called in the table."""
    return f"{model}, {weight:g}"


def means(photos: list[Photo], choosers: dict[str, Chooser]) -> Means:
    """Of each set the mean over photographs, and of these the mean, where a measure has values."""
    found: dict[tuple[str, int, str], list[tuple[float, ...]]] = defaultdict(list)
    for photo in photos:
        for place, window in enumerate(SHAPES):
            if window.size(photo.size) != photo.size:
                for name, chooser in choosers.items():
                    box = chooser(photo, window)
                    found[name, place, photo.source].append((*measured(photo, box), at_an_edge(box, photo.size)))
    by_set = {where: np.mean(values, axis=0) for where, values in found.items()}
    return {
        name: np.array([np.nanmean([by_set[name, place, source] for source in SETS], axis=0) for place in range(4)])
        for name in choosers
    }


def at_an_edge(box: Box, size: Size) -> float:
    """Whether a box lies at an end of the way that it could go."""
    ways = ((box.left, size.width - box.width), (box.top, size.height - box.height))
    return float(any(way and start in (0, way) for start, way in ways))


def markdown(found: Means) -> str:
    """A row for each way: kept gaze over the center's, gaze at the cut, cut heads of each ratio, crops at an edge."""
    names = [f"cut heads, {window.name}" for window in SHAPES]
    columns = ["kept, over the center", "at the cut", *names, "at an edge"]
    lines = [f"| | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    for name, values in found.items():
        gain, near = (values - found[CENTER]).mean(axis=0)[0], values.mean(axis=0)[1]
        heads = " | ".join(f"{share:.2f}" for share in values[:, 2])
        lines.append(f"| {name} | {gain:+.3f} | {near:.3f} | {heads} | {values[:, 3].mean():.2f} |")
    return "\n".join(lines)


def draw(found: Means, models: list[str], split: str) -> Figure:
    """Two panels: kept gaze over the center's against each thing that is to be spared."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    titles = {
        CUT_HEADS: f"photographs with a cut head, EyeCrowd {split}",
        AT_CUT: f"gaze at the cut, three sets, {split}",
    }
    for axes, (measure, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        place = MEASURES.index(measure)
        points = {name: (v.mean(axis=0)[place], (v - found[CENTER]).mean(axis=0)[0]) for name, v in found.items()}
        for model, color in zip(models, COLORS, strict=False):
            _line(axes, [points[key(model, weight)] for weight in WEIGHTS], model, color)
        for name, marker in ((CENTER, "s"), (SHARP, "x")):
            axes.plot(*points[name], marker, color="#555555", ms=8, label=name.replace("`", ""), ls="none")
        axes.set_xlabel(title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("kept gaze, less the center crop's, three sets")
    figure.axes[0].legend(frameon=False)
    return figure


def _line(axes: Axes, points: list[tuple[float, float]], model: str, color: str) -> None:
    axes.plot(
        *zip(*points, strict=True),
        "o-",
        color=color,
        ms=4,
        label=f"{model}, cut_weight {WEIGHTS[0]:g} to {WEIGHTS[-1]:g}",
    )
    for weight, point in zip(WEIGHTS, points, strict=True):
        default = weight == Framing().cut_weight
        if default:
            axes.plot(*point, "*", color=color, ms=15)
        if default or weight in (0, 0.5, 2, 4):
            axes.annotate(f"{weight:g}", point, (4, -11), textcoords="offset points", fontsize=8, color=color)


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "stores", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--models", nargs="+", default=["fast", "quality"])
    args = parser.parse_args()
    photos = list(read_photos(args.stores, args.data, SETS, args.split))
    peers = by_node([(photo.file.resolve(), photo.size) for photo in photos])
    choosers: dict[str, Chooser] = {CENTER: by_center, SHARP: peers[SHARP]}
    for model in args.models:
        choosers |= by_weights(model)
    found = means(photos, choosers)
    print(markdown(found))
    draw(found, args.models, args.split).savefig(args.out, dpi=100)


if __name__ == "__main__":
    main()
