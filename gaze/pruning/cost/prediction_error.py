"""Predicted against measured: how well cost models foretell the time of networks that they have never seen."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from gaze.files import write_atomic
from gaze.progress import track
from gaze.pruning.cost.engines import Engine
from gaze.pruning.cost.engines.timing import measure
from gaze.pruning.cost.example_input import ExampleInput
from gaze.pruning.cost.models import Cost
from gaze.pruning.structure.groups import find_groups
from gaze.pruning.structure.surgery import remove

COLORS = ("#24567d", "#d1602b", "#8a97a5")
INK, RULE = "#333333", "#e6e6e6"


@dataclass(frozen=True)
class PredictionErrors:
    """Times of randomly pruned networks in milliseconds, measured and as each cost model predicted them.

    Attributes:
        whole: of the unpruned network; the cost models were scaled to it and saw no other time of a whole network.
        noise: how far the measurements of the unpruned network lie apart, as half the spread of their middle half over
            their median.
        measured: of each pruned network.
        predicted: the same as foretold, by cost model.
        maps: of each group of each network.
    """

    whole: float
    noise: float
    measured: list[float]
    predicted: dict[str, list[float]]
    maps: list[dict[str, int]]

    def errors(self, model: str) -> np.ndarray:
        """Relative errors of a cost model, without their sign."""
        return np.abs(np.array(self.predicted[model]) / np.array(self.measured) - 1)

    def table(self) -> str:
        """The errors as a Markdown table."""
        lines = ["| cost model | median error | middle half | worst | mean, with sign |", "|---|---|---|---|---|"]
        for name, predicted in self.predicted.items():
            low, median, high, worst = np.percentile(self.errors(name), [25, 50, 75, 100])
            bias = np.mean(np.array(predicted) / np.array(self.measured) - 1)
            lines.append(f"| {name} | {median:.1%} | {low:.1%} to {high:.1%} | {worst:.1%} | {bias:+.1%} |")
        return "\n".join(lines)


def random_widths(full: Mapping[str, int], multiple: int, generator: np.random.Generator) -> dict[str, int]:
    """Maps of each group of a randomly pruned network: random groups lose a random part, up to nearly all.

    Args:
        full: maps of each group before.
        multiple: of which the remaining maps are one, or all that there were; 1 allows every number.
        generator: of the random numbers.
    """
    share, least = generator.uniform(0.2, 1.0), generator.uniform(0.1, 0.9)

    def some(count: int) -> int:
        kept = generator.uniform(least, 1.0) if generator.random() < share else 1.0
        return min(count, max(1, multiple * max(1, round(count * kept / multiple))))

    return {name: some(count) for name, count in full.items()}


def narrowed(network: nn.Module, maps: Mapping[str, int]) -> nn.Module:
    """A copy of a network whose groups have so many maps; the first ones stay."""
    network = copy.deepcopy(network)
    remove(network, {group.name: range(maps[group.name], group.maps) for group in find_groups(network)})
    return network


def measure_errors(
    network: nn.Module,
    costs: Mapping[str, Cost],
    engine: Engine,
    example: ExampleInput,
    networks: int,
    multiple: int,
    rounds: int,
    seed: int,
    progress: bool = True,
) -> PredictionErrors:
    """Prunes copies of a network at random, times them and compares with what cost models say.

    Each copy takes turns with the unpruned network, and its time is the ratio of the two lower quartiles times the
    median of what the unpruned network took, so that a busy machine slows both.

    Args:
        network: unpruned.
        costs: by name; they are calibrated to the unpruned network's time.
        engine: that runs them.
        example: what they run on.
        networks: how many are pruned.
        multiple: see `random_widths`.
        rounds: each network runs so often.
        seed: of the random numbers.
        progress: tell how far it is.
    """
    full = {group.name: group.maps for group in find_groups(network)}
    generator = np.random.default_rng(seed)
    widths = [random_widths(full, multiple, generator) for _ in range(networks)]
    whole, ratios = engine.load_network(network, example), []
    wholes = []
    for maps in track(widths, "pruned networks", unit="network", shown=progress):
        pruned = engine.load_network(narrowed(network, maps), example)
        times = measure({"whole": whole, "pruned": pruned}, rounds, clock=engine.clock)
        wholes.append(times["whole"].low)
        ratios.append(times["pruned"].low / times["whole"].low)
    low, middle, high = np.percentile(wholes, [25, 50, 75])
    for cost in costs.values():
        cost.calibrate(full, float(middle))
    predicted = {name: [cost.total(maps) for maps in widths] for name, cost in costs.items()}
    return PredictionErrors(
        float(middle), float((high - low) / 2 / middle), [r * float(middle) for r in ratios], predicted, widths
    )


def draw_errors(errors: PredictionErrors, title: str, path: Path) -> None:
    """Draws predicted over measured time, each cost model in its own colour; the legend has the median errors."""
    figure = Figure(figsize=(6.2, 6.2), layout="constrained")
    axis = figure.subplots()
    every = [*errors.measured, errors.whole, *(t for times in errors.predicted.values() for t in times)]
    low, high = 0.95 * min(every), 1.05 * max(every)
    axis.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1, label="equal")
    for (name, times), color in zip(errors.predicted.items(), COLORS, strict=False):
        label = f"{name}: median error {np.median(errors.errors(name)):.1%}"
        axis.scatter(errors.measured, times, s=26, color=color, alpha=0.8, linewidths=0, label=label)
    axis.scatter([errors.whole], [errors.whole], s=60, marker="x", color=INK, label="unpruned (scaled to)")
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axis.set_xlabel("measured (ms per image)", color=INK, fontsize=9)
    axis.set_ylabel("predicted (ms per image)", color=INK, fontsize=9)
    axis.grid(color=RULE, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, labelcolor=INK)
    axis.legend(frameon=False, fontsize=8.5, loc="upper left")
    figure.suptitle(
        f"{title}, n = {len(errors.measured)}", fontsize=11, fontweight="bold", color=INK, x=0.01, ha="left"
    )
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomic(path, buffer.getvalue(), overwrite=True)
