"""The latency table: measured times of a network's operators over their widths."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze.errors import ConfigError
from gaze.files import write_atomic
from gaze.progress import say, track
from gaze.pruning.cost.channel_block import alignment, filled, measure_block
from gaze.pruning.cost.engines import Engine
from gaze.pruning.cost.engines.timing import Timing, noise_floor
from gaze.pruning.cost.example_input import ExampleInput
from gaze.pruning.cost.fused_operators import FusedOperator, Width

FORMAT = 1
SHARES = ((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.5, 1.0))
"""Where the widths of an operator are measured, as shares of the widest: in whole blocks, and beside them."""

PASSES, ROUNDS, MILLISECONDS = 3, 12, 12.0
"""The whole grid is measured so often, and each time every point for at least so many rounds and so long."""


@dataclass(frozen=True)
class Grid:
    """Times in milliseconds of one kind of operator over maps read (rows) and written (columns).

    Attributes:
        reads, writes: the measured widths, rising; `writes` is empty where it follows from `reads`.
        low, median, high: quartiles over the rounds.

    Raises:
        ValueError: the widths do not rise, or the times are not one for each pair of them.
    """

    reads: list[int]
    writes: list[int]
    low: list[list[float]]
    median: list[list[float]]
    high: list[list[float]]

    def __post_init__(self) -> None:
        shape = (len(self.reads), len(self.writes) or 1)
        if any(axis != sorted(set(axis)) for axis in (self.reads, self.writes)):
            raise ValueError(f"expected widths that rise, got {self.reads} and {self.writes}")
        if not self.reads or any(np.shape(times) != shape for times in (self.low, self.median, self.high)):
            raise ValueError(f"expected {shape[0]} x {shape[1]} times, one for each pair of widths")

    def at(self, reads: int, writes: int) -> float:
        """The lower quartile between the measured widths: bilinear; beyond them the last slope goes on."""
        times = np.asarray(self.low)
        rows = np.array([_between(self.writes or [1], row, writes if self.writes else 1) for row in times])
        return max(_between(self.reads, rows, reads), float(times.min()) / 2)


@dataclass(frozen=True)
class LatencyTable:
    """Measured times of operators over their widths on one machine.

    An engine that computes maps in blocks takes as long for a part of a block as for a whole one, and
    may take another, slower way where the maps that enter do not fill their blocks. So there are up to three grids a
    kind, see `alignment`.

    Attributes:
        facts: machine, engine, threads, versions and the image's size, all of which must match for a table to be used.
        block: maps that the engine computes together.
        noise: what measuring again changes, relative.
        noise_ms: the same in milliseconds.
        grids: by kind of operator, then by alignment.
    """

    facts: dict[str, Any]
    block: int
    noise: float
    noise_ms: float
    grids: dict[str, dict[int, Grid]]

    def alignment(self, widths: Iterable[int]) -> int:
        """How well tensors fill their blocks: 0 in whole blocks, 1 in halves, 2 otherwise; the worst one counts."""
        return max(alignment(width, self.block) for width in widths)

    def time(self, kind: str, reads: int, writes: int, aligned: int = 0) -> float:
        """Milliseconds of an operator: the lower quartile, which other work on the machine disturbs least."""
        grids = self.grids[kind]
        grid = grids[aligned if aligned in grids else max(grids)]
        return grid.at(reads, filled(writes, self.block) if aligned < 2 else writes)

    def gap(self, operators: Iterable[FusedOperator], maps: Mapping[str, int]) -> str | None:
        """What cannot be looked up: the first layer that reads or writes other maps than were measured; None: nothing.

        Args:
            operators: of a network.
            maps: the most that each group can have.
        """
        return next((f"{o.name}: {gap}" for o in operators if (gap := self._gap(o, maps))), None)

    def _gap(self, operator: FusedOperator, maps: Mapping[str, int]) -> str | None:
        grids = self.grids.get(operator.kind)
        if not grids:
            return f"no operator of its kind was measured ({operator.kind})"
        plan = _plan(next(iter(_tops([operator], maps).values())), self.block)
        if operator.reads.groups and (missing := plan.keys() - grids.keys()):
            return f"no inputs were measured that fill their blocks as some of its own will (alignment {min(missing)})"
        gaps = [_uncovered("reads", operator.reads, maps, grid.reads, self.block) for grid in grids.values()]
        if operator.dense:
            gaps += [_uncovered("writes", operator.writes, maps, grid.writes, self.block) for grid in grids.values()]
        return next((gap for gap in gaps if gap), None)

    def save(self, path: Path) -> None:
        """Writes the table as JSON."""
        write_atomic(path, (json.dumps(asdict(self)) + "\n").encode(), overwrite=True)

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Reads what `save` wrote; ValueError, KeyError, TypeError or AttributeError if it is something else."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored["facts"], dict):
            raise TypeError(f"facts: expected names and values, got {stored['facts']!r}")
        if "granule" in stored:  # what `block` was called
            stored["block"] = stored.pop("granule")
        grids = {kind: {int(a): Grid(**grid) for a, grid in found.items()} for kind, found in stored["grids"].items()}
        return cls(**{**stored, "grids": grids})


def facts(engine: Engine, example: ExampleInput) -> dict[str, Any]:
    """What must match for a table to be used again."""
    return {
        "format": FORMAT,
        "engine": engine.name,
        "threads": engine.threads,
        "machine": engine.machine(),
        "versions": engine.versions(),
        "size": list(example.size),
    }


def load_or_measure(
    path: Path,
    operators: Sequence[FusedOperator],
    maps: Mapping[str, int],
    engine: Engine,
    example: ExampleInput,
    progress: bool = True,
    named: str | None = None,
) -> LatencyTable:
    """The table stored at `path` if it is of this machine, engine and network; else a new one, stored there.

    Args:
        path: of the JSON file.
        operators: of the network at its widest.
        maps: of each group then.
        engine: that is timed.
        example: what the network is timed on.
        progress: tell how far it is.
        named: the setting by which the user asked for this file: one that cannot be used is an error, and stays.

    Raises:
        ConfigError: the file at `path` was `named` and is something else, or of another machine, engine or network.
    """
    if path.is_file():
        found = _stored(path, operators, maps, facts(engine, example))
        if isinstance(found, LatencyTable):
            return found
        if named is not None:
            raise ConfigError(
                f"{named}={path}: {found}; expected a table of this network, engine and machine, or no file"
            )
        say(f"{path}: {found}; measuring again")
    table = measure_table(operators, maps, engine, example, progress)
    table.save(path)
    return table


def _stored(
    path: Path, operators: Sequence[FusedOperator], maps: Mapping[str, int], wanted: Mapping[str, Any]
) -> LatencyTable | str:
    """The table in a file, or why it cannot be used."""
    try:
        table = LatencyTable.load(path)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "not a latency table"
    if differs := [key for key in wanted if table.facts.get(key) != wanted[key]]:
        return f"measured for another {', '.join(differs)}"
    return table.gap(operators, maps) or table


def measure_table(
    operators: Sequence[FusedOperator],
    maps: Mapping[str, int],
    engine: Engine,
    example: ExampleInput,
    progress: bool = True,
) -> LatencyTable:
    """Measures every kind of operator over a grid of its widths; see `load_or_measure`."""
    block = measure_block(engine)
    tops = _tops(operators, maps)
    builders = {operator.kind: operator.builder for operator in operators}
    plans = {kind: _plan(top, block) for kind, top in tops.items()}
    todo = [
        (kind, a, *point)
        for kind, plan in plans.items()
        for a, axes in plan.items()
        for point in product(axes[0], axes[1] or [0])
    ]

    def timed(kind: str, aligned: int, reads: int, writes: int) -> Timing:
        module, inputs = builders[kind].build(reads, writes or reads)
        return engine.operator_time(module, inputs, MILLISECONDS, ROUNDS)

    passes: list[dict[Point, Timing]] = [{} for _ in range(PASSES)]
    turns = list(product(passes, todo))
    for found, point in track(turns, "latency table", unit="layer", shown=progress):
        found[point] = timed(*point)
    middle = {
        point: sorted((found[point] for found in passes), key=lambda timing: timing.low)[PASSES // 2] for point in todo
    }
    noise = noise_floor(list(passes[0].values()), list(passes[-1].values()))
    grids = {
        kind: {a: _grid(axes, partial(_look_up, middle, kind, a)) for a, axes in plan.items()}
        for kind, plan in plans.items()
    }
    return LatencyTable(facts(engine, example), block, *noise, grids)


Top = tuple[int, bool, int, bool, bool]
Axes = tuple[list[int], list[int]]
Point = tuple[str, int, int, int]


def _tops(operators: Iterable[FusedOperator], maps: Mapping[str, int]) -> dict[str, Top]:
    """Of each kind: the widest input, whether it varies, the widest output, whether it varies, whether both count."""
    tops: dict[str, Top] = {}
    for operator in operators:
        old = tops.get(operator.kind, (0, False, 0, False, operator.dense))
        reads, writes = operator.reads.at(maps), operator.writes.at(maps)
        read_varies = old[1] or bool(operator.reads.groups) or old[0] not in (0, reads)
        write_varies = old[3] or bool(operator.writes.groups) or old[2] not in (0, writes)
        tops[operator.kind] = (max(old[0], reads), read_varies, max(old[2], writes), write_varies, operator.dense)
    return tops


def _plan(top: Top, block: int) -> dict[int, Axes]:
    """The widths to measure, by alignment of the input."""
    reads, reads_vary, writes, writes_vary, dense = top
    if not reads_vary:
        outputs = _axis(writes, block, 0, SHARES[0]) if writes_vary else [writes]
        return {alignment(reads, block): ([reads], outputs if dense else [])}
    beside = {0: 0, 1: block // 2, 2: 1} if block > 2 else {0: 0, 2: 1} if block > 1 else {0: 0}
    plan = {}
    for aligned, short in beside.items():
        shares = SHARES[min(aligned, 1)]
        outputs = _axis(writes, block, 0, shares) if writes_vary else [writes]
        plan[aligned] = (_axis(reads, block, short, shares), outputs if dense else [])
    return plan


def _axis(top: int, block: int, short: int, shares: Sequence[float]) -> list[int]:
    return sorted({_measured_at(round(top * share), block) - short for share in shares})


def _uncovered(verb: str, width: Width, maps: Mapping[str, int], axis: Sequence[int], block: int) -> str | None:
    """Where an operator's width leaves what was measured; None: nowhere.

    A width that varies needs two measured ones, unless all that it can be lies in the first block; of one that does
    not, its own block is enough.
    """
    top, varies = width.at(maps), bool(width.groups)
    needed, reached = _measured_at(top, block), _measured_at(axis[-1], block) if axis else 0
    if len(axis) > 1 and needed <= reached:
        return None
    if needed == reached and (not varies or needed == _measured_at(1, block)):
        return None
    where = f"measured {'up to' if len(axis) > 1 else 'only at'} {axis[-1]}" if axis else "measured at none"
    return f"{verb} {'up to ' if varies else ''}{top} maps, {where}"


def _measured_at(width: int, block: int) -> int:
    """The end of the block that a width lies in; the first two maps are one where maps are computed one by one."""
    return max(filled(width, block), block if block > 1 else 2)


def _look_up(found: Mapping[Point, Timing], kind: str, aligned: int, reads: int, writes: int) -> Timing:
    return found[kind, aligned, reads, writes]


def _grid(axes: Axes, time: Any) -> Grid:
    reads, writes = axes
    times = [[time(i, o) for o in writes or [0]] for i in reads]
    return Grid(
        reads,
        writes,
        *([[round(getattr(t, which), 6) for t in row] for row in times] for which in ("low", "median", "high")),
    )


def _between(at: Sequence[int], values: NDArray[np.float64], x: int) -> float:
    if len(at) == 1:
        return float(values[0])
    right = min(max(int(np.searchsorted(at, x)), 1), len(at) - 1)
    share = (x - at[right - 1]) / (at[right] - at[right - 1])
    return float(values[right - 1] + share * (values[right] - values[right - 1]))
