"""What `gaze.latency` tells of a network: where its time goes, and how well that foretells pruned networks."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from gaze.errors import ConfigError
from gaze.files import check_free, make_folder, write_atomic
from gaze.models import GazeNetwork, build_network, load_network
from gaze.pruning.cost.engines import ENGINES
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_table import LatencyTable, load_or_measure
from gaze.pruning.cost.models import COSTS, Cost
from gaze.pruning.cost.prediction_error import PredictionErrors, draw_errors, measure_errors
from gaze.pruning.structure.groups import find_groups
from gaze.training.latency_config import LatencyConfig
from gaze.training.photograph import photograph

ERRORS = ("validation.md", "validation.json", "predicted.png")
"""Of how far predictions are off: as text, as numbers, as a picture."""
COMPARED = ("table", "quadratic", "macs")
ROWS = 12
"""Kinds of operators that the table of shares names."""


class LatencyReport:
    """A network's latency table, and cost models made from it.

    Args:
        config: what is measured, on what, and where the results go.

    Raises:
        ConfigError: a setting is wrong, or `out` holds results already.
        ModelError: the network cannot be loaded.
    """

    def __init__(self, config: LatencyConfig) -> None:
        config.check()
        self.paths = [config.out / name for name in ERRORS]
        check_free(self.paths if config.networks else [], config.overwrite)
        self.config, self.engine = config, ENGINES[config.engine](config.threads)
        self.network = _network(config)
        self.example = photograph(config.timed_size(self.network.config.input.multiple))
        operators = find_operators(self.network, self.example)
        self.maps = {group.name: group.maps for group in find_groups(self.network)}
        make_folder(config.out)
        path, named = config.out / "latency.json", None if config.overwrite else "out"
        self.table = load_or_measure(path, operators, self.maps, self.engine, self.example, named=named)
        self.costs = {name: COSTS[name](operators, self.table) for name in COMPARED}

    def shares(self) -> str:
        """Where the time goes, as Markdown."""
        table, total = self.table, {name: cost.total(self.maps) for name, cost in self.costs.items()}
        rows = [
            f"| {kind} | {count} | {time:.3f} | {share:.1%} |"
            for kind, count, time, share in shares(self.costs["table"], self.maps, ROWS)
        ]
        return "\n".join(
            [
                _conditions(table),
                f"blocks of {table.block} maps; noise floor {table.noise:.1%}, {table.noise_ms:.4f} ms",
                "",
                "| operators | number | ms | share |",
                "|---|---|---|---|",
                *rows,
                "",
                f"in all {total['table']:.2f} ms; the quadratic says {total['quadratic']:.2f} ms",
            ]
        )

    def compare(self) -> str:
        """Times randomly pruned networks, writes how far the cost models are off, and says so in Markdown."""
        config, (words, numbers, picture) = self.config, self.paths
        timed, drawn = (self.engine, self.example), (config.networks, config.multiple, config.rounds, config.seed)
        errors = measure_errors(self.network, self.costs, *timed, *drawn)
        text = f"{self._heading(errors)}\n\n{errors.table()}\n"
        write_atomic(words, text.encode(), config.overwrite)
        content = {"facts": self.table.facts, "multiple": config.multiple, "seed": config.seed, **asdict(errors)}
        write_atomic(numbers, (json.dumps(content, indent=1) + "\n").encode(), config.overwrite)
        title = f"{self.network.config.name} on {config.engine}, {config.threads} thread(s)"
        draw_errors(errors, title, picture)
        return text

    def _heading(self, errors: PredictionErrors) -> str:
        fastest, slowest = min(errors.measured), max(errors.measured)
        return (
            f"{self.network.config.name}: unpruned {errors.whole:.2f} ms ± {errors.noise:.1%}, {self.config.networks} "
            f"pruned networks of {fastest:.2f} to {slowest:.2f} ms, widths in multiples of {self.config.multiple}"
        )


def shares(cost: Cost, maps: Mapping[str, int], rows: int) -> list[tuple[str, int, float, float]]:
    """The kinds of operators that cost most: kind, how many, their cost, their share of the whole; the rest last."""
    sums: dict[str, tuple[int, float]] = {}
    for operator in cost.operators:
        count, total = sums.get(operator.kind, (0, 0.0))
        sums[operator.kind] = count + 1, total + cost.scale * cost.of_operator(operator, maps)
    ranked = sorted(((kind, *found) for kind, found in sums.items()), key=lambda row: -row[2])
    rest = [("the rest", sum(row[1] for row in ranked[rows:]), sum(row[2] for row in ranked[rows:]))]
    whole = cost.total(maps)
    return [(kind, count, total, total / whole) for kind, count, total in ranked[:rows] + rest * (len(ranked) > rows)]


def _network(config: LatencyConfig) -> GazeNetwork:
    if config.network is not None:
        return load_network(config.network).eval()
    if config.model is None:
        raise ConfigError("network: give a checkpoint with network=PATH or an architecture with model=NAME")
    return build_network(config.model, load_weights=False).eval()


def _conditions(table: LatencyTable) -> str:
    """On what a table was measured, in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in table.facts["versions"].items())
    machine, engine, threads = (table.facts[name] for name in ("machine", "engine", "threads"))
    width, height = table.facts["size"]
    return f"{machine}, {engine} ({versions}), {threads} thread(s), {width}x{height} pixels"
