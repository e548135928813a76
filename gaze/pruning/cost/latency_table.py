"""The latency table: measured times of a network's units over their widths."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gaze.files import write_atomic
from gaze.geometry import Size
from gaze.pruning.cost.channel_block import alignment, measure_granule, rounded
from gaze.pruning.cost.engines import Engine, Timing, noise_floor
from gaze.pruning.cost.kernels import Unit

FORMAT = 1
SHARES = ((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.5, 1.0))
"""Where the widths of a unit are measured, as shares of the widest: in whole granules, and beside them."""

PASSES, ROUNDS, MILLISECONDS = 3, 12, 12.0
"""The whole grid is measured so often, and each time every point for at least so many rounds and so long."""


@dataclass(frozen=True)
class Grid:
    """Times in milliseconds of one kind of unit over maps read (rows) and written (columns).

    Attributes:
        reads, writes: the measured widths, rising; `writes` is empty where it follows from `reads`.
        low, median, high: quartiles over the rounds.
    """

    reads: list[int]
    writes: list[int]
    low: list[list[float]]
    median: list[list[float]]
    high: list[list[float]]

    def at(self, reads: int, writes: int) -> float:
        """The lower quartile between the measured widths: bilinear; beyond them the last slope goes on."""
        times = np.asarray(self.low)
        rows = np.array([_between(self.writes or [1], row, writes if self.writes else 1) for row in times])
        return max(_between(self.reads, rows, reads), float(times.min()) / 2)


@dataclass(frozen=True)
class LatencyTable:
    """Measured times of units over their widths on one machine.

    An engine that computes maps in blocks of a granule takes as long for a part of a block as for a whole one, and
    may take another, slower way where the maps that enter do not fill their blocks. So there are up to three grids a
    kind, see `alignment`.

    Attributes:
        facts: machine, engine, threads, versions and the image's size, all of which must match for a table to be used.
        granule: maps that the engine computes together.
        noise: what measuring again changes, relative.
        noise_ms: the same in milliseconds.
        grids: by kind of unit, then by alignment.
    """

    facts: dict[str, Any]
    granule: int
    noise: float
    noise_ms: float
    grids: dict[str, dict[int, Grid]]

    def alignment(self, widths: Iterable[int]) -> int:
        """How well tensors fill their blocks: 0 in whole granules, 1 in halves, 2 otherwise; the worst one counts."""
        return max(alignment(width, self.granule) for width in widths)

    def time(self, kind: str, reads: int, writes: int, aligned: int = 0) -> float:
        """Milliseconds of a unit: the lower quartile, which other work on the machine disturbs least."""
        grids = self.grids[kind]
        grid = grids[aligned if aligned in grids else max(grids)]
        return grid.at(reads, rounded(writes, self.granule) if aligned < 2 else writes)

    def covers(self, units: Iterable[Unit], maps: Mapping[str, int]) -> bool:
        """Whether all units can be looked up."""
        tops = _tops(units, maps)
        return all(kind in self.grids and self._reach(kind) >= top[0] for kind, top in tops.items())

    def _reach(self, kind: str) -> int:
        return max(rounded(grid.reads[-1], self.granule) for grid in self.grids[kind].values())

    def save(self, path: Path) -> None:
        """Writes the table as JSON."""
        write_atomic(path, (json.dumps(asdict(self)) + "\n").encode(), overwrite=True)

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Reads what `save` wrote; ValueError, KeyError or TypeError if it is something else."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        grids = {kind: {int(a): Grid(**grid) for a, grid in found.items()} for kind, found in stored["grids"].items()}
        return cls(**{**stored, "grids": grids})


def facts(engine: Engine, size: Size) -> dict[str, Any]:
    """What must match for a table to be used again."""
    return {
        "format": FORMAT, "engine": engine.name, "threads": engine.threads, "machine": engine.machine(),
        "versions": engine.versions(), "size": [size.width, size.height],
    }  # fmt: skip


def load_or_measure(
    path: Path, units: Sequence[Unit], maps: Mapping[str, int], engine: Engine, size: Size, progress: bool = True
) -> LatencyTable:
    """The table stored at `path` if it is of this machine, engine and network; else a new one, stored there.

    Args:
        path: of the JSON file.
        units: of the network at its widest.
        maps: of each group then.
        engine: that is timed.
        size: of the image.
        progress: show a bar.
    """
    wanted = facts(engine, size)
    if path.is_file():
        try:
            table = LatencyTable.load(path)
            if table.facts == wanted and table.covers(units, maps):
                return table
            differs = [key for key in wanted if table.facts.get(key) != wanted[key]] or ["network"]
            print(f"{path}: measured for another {', '.join(differs)}; measuring again")
        except (ValueError, KeyError, TypeError):
            print(f"{path}: not a latency table; measuring again")
    table = measure_table(units, maps, engine, size, progress)
    table.save(path)
    return table


def measure_table(
    units: Sequence[Unit], maps: Mapping[str, int], engine: Engine, size: Size, progress: bool = True
) -> LatencyTable:
    """Measures every kind of unit over a grid of its widths; see `load_or_measure`."""
    granule = measure_granule(engine)
    tops = _tops(units, maps)
    builders = {unit.kind: unit.body for unit in units}
    plans = {kind: _plan(top, granule) for kind, top in tops.items()}
    todo = [(kind, a, *point) for kind, plan in plans.items() for a, axes in plan.items()
            for point in product(axes[0], axes[1] or [0])]  # fmt: skip

    def timed(kind: str, aligned: int, reads: int, writes: int) -> Timing:
        piece, inputs = builders[kind].build(reads, writes or reads)
        return engine.layer_time(piece, inputs, MILLISECONDS, ROUNDS)

    bar = tqdm(total=PASSES * len(todo), desc="latency table", unit="layer", disable=not progress)
    passes: list[dict[Point, Timing]] = [{} for _ in range(PASSES)]
    with bar:
        for found, point in product(passes, todo):
            found[point] = timed(*point)
            bar.update()
    middle = {point: sorted((found[point] for found in passes), key=lambda timing: timing.low)[PASSES // 2]
              for point in todo}  # fmt: skip
    noise = noise_floor(list(passes[0].values()), list(passes[-1].values()))
    grids = {kind: {a: _grid(axes, partial(_look_up, middle, kind, a)) for a, axes in plan.items()}
             for kind, plan in plans.items()}  # fmt: skip
    return LatencyTable(facts(engine, size), granule, *noise, grids)


Top = tuple[int, bool, int, bool, bool]
Axes = tuple[list[int], list[int]]
Point = tuple[str, int, int, int]


def _tops(units: Iterable[Unit], maps: Mapping[str, int]) -> dict[str, Top]:
    """Of each kind: the widest input, whether it varies, the widest output, whether it varies, whether both count."""
    tops: dict[str, Top] = {}
    for unit in units:
        old = tops.get(unit.kind, (0, False, 0, False, unit.dense))
        reads, writes = unit.reads.at(maps), unit.writes.at(maps)
        read_varies = old[1] or bool(unit.reads.groups) or old[0] not in (0, reads)
        write_varies = old[3] or bool(unit.writes.groups) or old[2] not in (0, writes)
        tops[unit.kind] = (max(old[0], reads), read_varies, max(old[2], writes), write_varies, unit.dense)
    return tops


def _plan(top: Top, granule: int) -> dict[int, Axes]:
    """The widths to measure, by alignment of the input."""
    reads, reads_vary, writes, writes_vary, dense = top
    if not reads_vary:
        outputs = _axis(writes, granule, 0, SHARES[0]) if writes_vary else [writes]
        return {alignment(reads, granule): ([reads], outputs if dense else [])}
    beside = {0: 0, 1: granule // 2, 2: 1} if granule > 2 else {0: 0, 2: 1} if granule > 1 else {0: 0}
    plan = {}
    for aligned, short in beside.items():
        shares = SHARES[min(aligned, 1)]
        outputs = _axis(writes, granule, 0, shares) if writes_vary else [writes]
        plan[aligned] = (_axis(reads, granule, short, shares), outputs if dense else [])
    return plan


def _axis(top: int, granule: int, short: int, shares: Sequence[float]) -> list[int]:
    least = granule if granule > 1 else 2
    return sorted({max(least, rounded(round(top * share), granule)) - short for share in shares})


def _look_up(found: Mapping[Point, Timing], kind: str, aligned: int, reads: int, writes: int) -> Timing:
    return found[kind, aligned, reads, writes]


def _grid(axes: Axes, time: Any) -> Grid:
    reads, writes = axes
    times = [[time(i, o) for o in writes or [0]] for i in reads]
    return Grid(reads, writes, *([[round(getattr(t, which), 6) for t in row] for row in times]
                                 for which in ("low", "median", "high")))  # fmt: skip


def _between(at: Sequence[int], values: NDArray[np.float64], x: int) -> float:
    if len(at) == 1:
        return float(values[0])
    right = min(max(int(np.searchsorted(at, x)), 1), len(at) - 1)
    share = (x - at[right - 1]) / (at[right] - at[right - 1])
    return float(values[right - 1] + share * (values[right] - values[right - 1]))
