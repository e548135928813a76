"""Pictures of a run: what each layer kept, what the time cost, how well it was foretold, and the Fisher-Rao norm."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from gaze.files import write_atomic
from gaze.pruning.alternation import alternation, kept_shares
from gaze.pruning.methods.removal_log import Removal

BEFORE, AFTER, ACCENT, INK, RULE = "#cdd6e0", "#24567d", "#d1602b", "#333333", "#e6e6e6"
PER_ROW = 52
"""Bars that stand side by side with readable names."""
SMOOTHING = 40
"""The loss is smoothed over one part in this many of all removals."""


def draw_widths(before: Mapping[str, int], after: Mapping[str, int], path: Path) -> None:
    """Draws the maps of each layer before and after as bars, and the share kept; the caption says if they alternate.

    Args:
        before: maps of each group, in the order in which the network computes them; at least one.
        after: maps that each group has then; one that is missing kept none.
        path: of the PNG; replaced if it is there.
    """
    rows = -(-len(before) // PER_ROW)
    chunks = np.array_split(np.arange(len(before)), rows)
    figure = Figure(figsize=(max(7.0, 1.6 + 0.25 * len(chunks[0])), 1.0 + 4.1 * rows), layout="constrained")
    axes = figure.subplots(2 * rows, 1, squeeze=False, height_ratios=[5, 2] * rows)[:, 0]
    names, old = short_names(list(before)), np.array(list(before.values()))
    new, shares = np.array([after.get(name, 0) for name in before]), kept_shares(before, after)
    for bars, line, chunk in zip(axes[::2], axes[1::2], chunks, strict=True):
        _bars(bars, old[chunk], new[chunk], max(int(old.max()), int(new.max())))
        _shares(line, shares[chunk], [names[i] for i in chunk], len(chunks[0]))
    axes[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=9, borderaxespad=0.2)
    change = "growing" if new.sum() > old.sum() else "pruning"
    _headline(figure, f"Maps per layer: {old.sum():,} before {change}, {new.sum():,} after")
    figure.align_ylabels(axes)
    verdict = alternation(before, after).verdict.replace(" = ", "\u00a0=\u00a0")  # stays on one line
    figure.supxlabel(textwrap.fill(verdict, int(13 * figure.get_figwidth())), fontsize=10, color=INK, x=0.01, ha="left")
    _save(figure, path)


def draw_time_loss(removals: Sequence[Removal], path: Path, budget: float | None = None) -> None:
    """Draws loss and information gain over the milliseconds per image, from slow to fast: a point a removal.

    Args:
        removals: the rows of a run's log, in order; those of one step are one removal.
        path: of the PNG; replaced if it is there.
        budget: milliseconds per image that the run is to reach.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    rows, removals = removals, list({row.step: row for row in removals}.values())  # the last row of each removal
    with_loss = [r for r in removals if r.loss is not None]
    _time_line(top, with_loss, [float(r.loss or 0) for r in with_loss], "training loss (bits)")
    with_gain = [r for r in removals if r.information_gain is not None]
    _time_line(
        bottom, with_gain, [float(r.information_gain or 0) for r in with_gain], "information gain (bits/fixation)"
    )
    for axis in (top, bottom):
        if budget is not None and removals:
            axis.axvline(budget, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=f"budget, {budget:.3g} ms")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=8.5)
    _time_axis(bottom, [time for r in removals for time in (r.predicted_ms, r.measured_ms, budget) if time is not None])
    _headline(figure, _run_in_words(rows))
    _save(figure, path)


def draw_predicted(removals: Sequence[Removal], path: Path) -> None:
    """Draws predicted over measured milliseconds per image; the headline has the median relative error.

    Args:
        removals: of a run; those without a measurement are left out.
        path: of the PNG; replaced if it is there.
    """
    pairs = [(r.measured_ms, r.predicted_ms) for r in removals if r.measured_ms is not None]
    figure = Figure(figsize=(5.6, 5.6), layout="constrained")
    axis = figure.subplots()
    _frame(axis)
    axis.set_aspect("equal")
    if not pairs:
        _nothing(axis, "no time was measured")
        _headline(figure, "Predicted and measured time")
        return _save(figure, path)
    measured, predicted = np.array(pairs, float).T
    low, high = 0.95 * min(measured.min(), predicted.min()), 1.05 * max(measured.max(), predicted.max())
    axis.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label="equal")
    axis.scatter(measured, predicted, s=26, color=AFTER, alpha=0.75, linewidths=0, label="after a removal")
    axis.set(xlim=(low, high), ylim=(low, high))
    axis.set_xlabel("measured (ms per image)", color=INK, fontsize=9)
    axis.set_ylabel("predicted (ms per image)", color=INK, fontsize=9)
    axis.grid(color=RULE, linewidth=0.8)
    axis.legend(frameon=False, fontsize=8.5, loc="upper left")
    error = np.median(np.abs(predicted / measured - 1))
    _headline(figure, f"Predicted and measured time: median error {error:.1%}, n = {len(pairs)}", 11)
    _save(figure, path)


@dataclass(frozen=True)
class NormCurves:
    """The Fisher-Rao norm along a run.

    Attributes:
        norms: bits per fixation by update, of each kind by its name, such as `weights_model_diagonal`.
        gains: information gain on the validation photographs in bits per fixation, by update.
    """

    norms: Mapping[str, Mapping[int, float]]
    gains: Mapping[int, float]


def draw_norms(runs: Mapping[str, NormCurves], path: Path) -> None:
    """Draws norm and information gain over the updates, one above the other; runs stand side by side.

    Args:
        runs: by name; at least one. An empty curve is left out.
        path: of the PNG; replaced if it is there.
    """
    figure = Figure(figsize=(1.5 + 6 * len(runs), 6.5), layout="constrained")
    panes = figure.subplots(2, len(runs), squeeze=False, sharex="col", sharey="row", height_ratios=[3, 2])
    for column, (name, run) in zip(panes.T, runs.items(), strict=True):
        top, bottom = column
        for axis in column:
            _frame(axis)
        top.set_title(name, fontsize=10, color=INK, loc="left")
        for kind, curve in run.norms.items():
            _norm_line(top, kind, curve)
        bottom.plot(list(run.gains), list(run.gains.values()), color=INK, linewidth=1.4, marker=".")
        bottom.set_xlabel("updates", color=INK, fontsize=9)
    panes[0, 0].set_yscale("log")
    panes[0, 0].set_ylabel("half the squared norm (bits/fixation)", color=INK, fontsize=9)
    panes[1, 0].set_ylabel("information gain (bits/fixation)", color=INK, fontsize=9)
    panes[0, -1].legend(frameon=False, fontsize=7.5, ncols=2)
    _headline(figure, "Fisher-Rao norm and information gain")
    _save(figure, path)


def _norm_line(axis: Axes, kind: str, curve: Mapping[int, float]) -> None:
    """Color tells weights from maps, shade the Fisher information, dashes the diagonal."""
    theta, fisher, *diagonal = kind.split("_")
    color = {"weights": AFTER, "maps": ACCENT}.get(theta, INK)
    dashes, alpha = ("dashed" if diagonal else "solid"), (1.0 if fisher == "model" else 0.5)
    label = f"{theta}, {fisher} Fisher{', diagonal' * bool(diagonal)}"
    axis.plot(list(curve), list(curve.values()), color=color, alpha=alpha, linestyle=dashes, linewidth=1.5, marker=".",
              markersize=4, label=label)  # fmt: skip


def short_names(names: Sequence[str]) -> list[str]:
    """Layer names without what says nothing: `backbone.features.` and timm's repetition `features_`."""
    return [name.removeprefix("backbone.").removeprefix("features.").removeprefix("features_") for name in names]


def _bars(axis: Axes, before: NDArray[np.int_], after: NDArray[np.int_], widest: int) -> None:
    """The scale is logarithmic, so that a share is the same distance in a wide and in a narrow layer."""
    _frame(axis)
    places, grown = np.arange(len(before)), after > before
    axis.bar(places[grown], after[grown], 0.82, color=AFTER)  # the shorter bar stands before the other
    axis.bar(places, before, 0.82, color=BEFORE, label="before")
    axis.bar(places, np.where(grown, 0, after), 0.82, color=AFTER, label="after")
    for place, (old, new) in enumerate(zip(before.tolist(), after.tolist(), strict=True)):
        low, high, inside, over = (new, old, "white", "#8a97a5") if new <= old else (old, new, "#8a97a5", AFTER)
        axis.text(place, high * 1.08, str(high), ha="center", va="bottom", fontsize=6, color=over)
        axis.text(place, max(low, 1) * 0.93, str(low), ha="center", va="top", fontsize=6, color=inside)
    axis.set_yscale("log", base=2)
    axis.set_ylim(0.6, widest * 2)
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_ylabel("maps, log scale", color=INK, fontsize=9)
    axis.tick_params(axis="x", bottom=False, labelbottom=False)


def _shares(axis: Axes, shares: NDArray[np.float64], names: Sequence[str], places: int) -> None:
    _frame(axis)
    axis.plot(shares, color=ACCENT, linewidth=1.2, marker="o", markersize=3.5, clip_on=False)
    axis.set_ylim(0, max(1.0, float(shares.max())))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set_ylabel("kept" if shares.max() <= 1 else "of before", color=INK, fontsize=9)
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=6.5)
    for pane in (axis, axis.figure.axes[axis.figure.axes.index(axis) - 1]):
        pane.set_xlim(-0.7, places - 0.3)


def _time_line(axis: Axes, removals: Sequence[Removal], heights: Sequence[float], label: str) -> None:
    """A line over the predicted time, points over the measured one.

    It is broken where a measurement moved the predictions back, so that it never runs back on itself.
    """
    _frame(axis)
    axis.set_ylabel(label, color=INK, fontsize=9)
    if not removals:
        return _nothing(axis, "none recorded")
    values, predicted = np.array(heights), np.array([r.predicted_ms for r in removals])
    smooth = _running_median(values, 2 * (len(values) // SMOOTHING // 2) + 1)
    if len(values) >= 2 * SMOOTHING:
        axis.plot(predicted, values, ".", color=BEFORE, markersize=3, zorder=1, label="each removal")
        axis.set_ylim(*_without_outliers(values))
    marker = "." if len(values) < SMOOTHING else ""
    back = np.flatnonzero(np.diff(predicted) > 0) + 1
    line = np.insert(predicted, back, np.nan), np.insert(smooth, back, np.nan)
    axis.plot(*line, color=AFTER, linewidth=1.6, marker=marker, label="over the predicted time")
    timed = [(r.measured_ms, height) for r, height in zip(removals, smooth, strict=True) if r.measured_ms is not None]
    if timed:
        measured, at = np.array(timed).T
        axis.scatter(measured, at, s=24, color=ACCENT, linewidths=0, zorder=3, label="over the measured time")


def _time_axis(axis: Axes, times: Sequence[float]) -> None:
    """From slow to fast; logarithmic where the times span a multiple, so that each cut by half is as long."""
    axis.set_xlabel("milliseconds per image", color=INK, fontsize=9)
    if times and max(times) > 3 * min(times):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.invert_xaxis()


def _running_median(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    padded = np.pad(values, window // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1))


def _without_outliers(values: NDArray[np.float64]) -> tuple[float, float]:
    """Limits of an axis on which a few extreme batches do not flatten the rest."""
    low, high = np.quantile(values, (0.005, 0.995))
    return low - 0.08 * (high - low) - 1e-6, high + 0.08 * (high - low) + 1e-6


def _run_in_words(removals: Sequence[Removal]) -> str:
    if not removals:
        return "Nothing was removed"
    gone, last = sum(len(r.maps) for r in removals), removals[-1]
    measured = "" if last.measured_ms is None else f", {last.measured_ms:.3g} ms measured"
    times = len({r.step for r in removals})
    return f"{gone:,} maps removed in {times:,} removals: {last.predicted_ms:.3g} ms predicted{measured}"


def _frame(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#999999")
    axis.tick_params(labelsize=8, color="#999999", labelcolor=INK)
    axis.grid(axis="y", color=RULE, linewidth=0.8)
    axis.set_axisbelow(True)


def _nothing(axis: Axes, why: str) -> None:
    axis.grid(visible=False)
    axis.set_yticks([])
    axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", va="center", color=INK)


def _headline(figure: Figure, text: str, size: float = 12) -> None:
    figure.suptitle(text, fontsize=size, fontweight="bold", color=INK, x=0.01, ha="left")


def _save(figure: Figure, path: Path) -> None:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomic(path, buffer.getvalue(), overwrite=True)
