"""What an evaluation says: a table for the terminal, Markdown, and everything as JSON."""

import math
from typing import Any

from gaze.evaluation.bench import CENTER_BIAS, GOLD, MODEL, UNIFORM
from gaze.evaluation.run import Estimate, SetScores
from gaze.evaluation.scores import METRICS

FORMAT_VERSION = 1

ROWS = {MODEL: None, GOLD: "other observers", CENTER_BIAS: "center bias", UNIFORM: "uniform"}
"""Rows of a table in their order -> what they are called; the model has a name of its own."""

NOTE = (
    "Mean over images ± half the width of its bootstrap 95% interval. IG: bits per fixation over the center "
    "bias. KL: nats, lower is better; everything else: higher is better."
)

Summary = dict[str, dict[str, Estimate]]


def cells(summary: Summary, model: str) -> list[list[str]]:
    """The table as text: a heading, then a row for the model and for each of its baselines."""
    rows = [["", *METRICS.values()]]
    for key, title in ROWS.items():
        if key in summary:
            rows.append([title or model, *(_cell(summary[key][metric]) for metric in METRICS)])
    return rows


def terminal_table(summary: Summary, model: str) -> str:
    """The table in aligned columns."""
    rows = cells(summary, model)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def markdown(sets: dict[str, tuple[SetScores, Summary]], model: str) -> str:
    """One table per set, each under its heading, and the note."""
    parts = []
    for name, (scores, summary) in sets.items():
        heading, *rows = cells(summary, model)
        lines = [heading, ["---", *["---:"] * len(METRICS)], *rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"### {title(name, scores)}\n\n{table}\n")
    return "\n".join([*parts, NOTE + "\n"])


def title(name: str, scores: SetScores) -> str:
    """What a set's table is about, in one line."""
    return f"{name}, {scores.split}: {len(scores.names)} images, {scores.fixations} fixations"


def as_json(
    sets: dict[str, tuple[SetScores, Summary]], model: dict[str, Any], resamples: int, seed: int
) -> dict[str, Any]:
    """Everything, ready for `json.dumps`; a number that is not finite becomes null."""
    return {
        "format_version": FORMAT_VERSION,
        "model": model,
        "bootstrap": {"level": 0.95, "resamples": resamples, "seed": seed},
        "sets": {name: _set_as_json(scores, summary) for name, (scores, summary) in sets.items()},
    }


def _set_as_json(scores: SetScores, summary: Summary) -> dict[str, Any]:
    return {
        "split": scores.split,
        "images": len(scores.names),
        "fixations": scores.fixations,
        "fitted": scores.facts,
        "scores": {
            row: {metric: {k: _finite(v) for k, v in vars(e).items()} for metric, e in columns.items()}
            for row, columns in summary.items()
        },
        "per_image": {
            name: {row: {m: _finite(v[i]) for m, v in columns.items()} for row, columns in scores.values.items()}
            for i, name in enumerate(scores.names)
        },
    }


def _cell(estimate: Estimate) -> str:
    if math.isnan(estimate.mean):
        return "–"
    interval = (estimate.high - estimate.low) / 2
    return f"{estimate.mean:.3f}" + ("" if math.isnan(interval) else f" ±{interval:.3f}")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
