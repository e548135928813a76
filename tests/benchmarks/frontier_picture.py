"""The picture of `pruning_study.py table`: milliseconds against quality, a panel a base and metric.

    python tests/benchmarks/frontier_picture.py docs/prune.md docs/frontier.png "What it gains, and against what"

draws it again from the tables that stand under a heading of a page, without the quartiles of the time, which no table
has.
"""

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

UNPRUNED = "unpruned"
NAMES = {
    "fisher": "Fisher, measured time",
    "fisher_single": "Fisher, one by one",
    "fisher_linear": "Fisher, one by one, w = 0",
    "fisher_macs": "Fisher, MACs",
    "fisher_uncosted": "Fisher, no cost",
    "taylor": "Taylor",
    "magnitude": "magnitude",
    "random": "random",
    "l0_time": "L0, expected time",
    "l0_linear": "L0, expected time, w = 0",
    "l0_maps": "L0, count of maps",
    "grow": "growing",
    "grow_quadratic": "growing, quadratic time",
    "grow_linear": "growing, w = 0",
    "narrow": "narrow from the start",
}
STYLES = {  # colours of Okabe and Ito, told apart by those who see red and green alike; markers for print
    "fisher": ("#D55E00", "o", "-"),
    "fisher_macs": ("#0072B2", "s", "-"),
    "fisher_uncosted": ("#56B4E9", "D", "-"),
    "taylor": ("#009E73", "^", "--"),
    "magnitude": ("#CC79A7", "v", "--"),
    "random": ("#777777", "x", ":"),
    "fisher_single": ("#E69F00", "P", "--"),
    "l0_time": ("#009E73", "^", "-"),
    "l0_maps": ("#009E73", "v", ":"),
    "grow": ("#CC79A7", "D", "-"),
    "narrow": ("#777777", "X", "--"),
}
NETWORKS = {  # by their names in gaze/conf/model, as the papers and the documentation write them
    "deepgaze2": "DeepGaze II",
    "densegaze": "DenseGaze-121",
    "densegaze169": "DenseGaze-169",
    "fastgaze": "FastGaze",
    "mobilegaze": "MobileGaze",
    "mobileonegaze": "MobileOneGaze",
}
METRICS = {"nss": "NSS", "information_gain": "information gain, bits per fixation"}


def draw(rows: list[dict[str, Any]], split: str) -> bytes:
    """Draws the rows that `frontier.collect` returns and gives back a PNG."""
    bases = list(dict.fromkeys(row["base"] for row in rows))
    figure = Figure(figsize=(11, 4.3 * len(bases) + 0.9), layout="constrained")
    panels = figure.subplots(len(bases), len(METRICS), squeeze=False)
    for base, line in zip(bases, panels, strict=True):
        own = [row for row in rows if row["base"] == base]
        for (metric, title), axes in zip(METRICS.items(), line, strict=True):
            _panel(axes, own, metric)
            axes.set_title(title_of(own), loc="left", fontweight="bold")
            axes.set_ylabel(f"{title}, OSIE {split}")
    handles = {text: handle for axes in panels.flat
               for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
    order = [name for name in (*NAMES.values(), UNPRUNED) if name in handles]
    figure.legend([handles[name] for name in order], order, loc="outside upper center", ncols=4, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def title_of(rows: list[dict[str, Any]]) -> str:
    """The name of the network that the rows of a base are about."""
    name = rows[0].get("network", rows[0]["base"])
    return NETWORKS.get(name, name)


def _panel(axes: Axes, rows: list[dict[str, Any]], metric: str) -> None:
    whole = next(row for row in rows if row["row"] == UNPRUNED)
    for name, (color, marker, dashes) in reversed(STYLES.items()):  # what matters most lies on top
        own = sorted((row for row in rows if row["row"] == name), key=lambda row: -row["budget"])
        if not own:
            continue
        strong = name == "fisher"
        line = [whole, *own]
        axes.plot([r["ms"] for r in line], [r[metric] for r in line], dashes, color=color, lw=2.4 if strong else 1.4)
        axes.errorbar(
            [r["ms"] for r in own], [r[metric] for r in own],
            xerr=[[r["ms"] - r["low"] for r in own], [r["high"] - r["ms"] for r in own]],
            fmt=marker, color=color, ms=7 if strong else 6, lw=1, label=NAMES[name],
        )  # fmt: skip
    axes.plot(whole["ms"], whole[metric], "*", color="black", ms=15, label=UNPRUNED, zorder=5)
    _decorate(axes)


def _decorate(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("ms an image, one thread")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def read_tables(page: str) -> list[dict[str, Any]]:
    """The rows of the tables that `pruning_study.py table` printed, each under the line that names its base."""
    rows, base = [], ""
    numbers = re.compile(r"([\d.]+) ms[^,|]*, (-?[\d.]+), (-?[\d.]+)")
    rows_of = {text: name for name, text in NAMES.items()}
    for line in page.splitlines():
        if found := re.match(rf"\*\*(.+)\*\*, {UNPRUNED}: ", line):
            base = found[1]
        name = UNPRUNED if found else line.removeprefix("| ").split(" | ")[0]
        if found or (base and name in rows_of):
            cells = numbers.findall(line)
            rows += [_row(base, rows_of.get(name, name), -place, cell) for place, cell in enumerate(cells)]
    return rows


def _row(base: str, name: str, budget: int, cell: tuple[str, str, str]) -> dict[str, Any]:
    ms, nss, gain = map(float, cell)
    shown = {"ms": ms, "low": ms, "high": ms, "nss": nss, "information_gain": gain}
    return {"base": base, "row": name, "budget": budget, **shown}


if __name__ == "__main__":
    page, picture, heading = sys.argv[1:]
    under = Path(page).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    Path(picture).write_bytes(draw(read_tables(under), "test"))
