"""Runs timed in turn, and what their times say."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Run = Callable[[], None]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a run: the median, the lower and the upper quartile, and of how many rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, times: Sequence[float]) -> "Timing":
        """The summary of some times in milliseconds."""
        low, median, high = np.percentile(times, [25, 50, 75])
        return cls(float(median), float(low), float(high), len(times))


def measure(
    runs: Mapping[str, Run], rounds: int, warm_up: int = 3, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Times runs.

    They take turns, so that what else the machine does hits all alike. Where it is busy, the lower quartile is the
    steadiest number to compare.

    Args:
        runs: by name, see `Engine.load`.
        rounds: that count.
        warm_up: rounds before those.
        clock: seconds; see `Engine.clock`.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for index in range(warm_up + rounds):
            for name, run in runs.items():
                elapsed = milliseconds(run, clock)
                if index >= warm_up:
                    times[name].append(elapsed)
    finally:
        if collecting:
            gc.enable()
    return {name: Timing.of(values) for name, values in times.items()}


def milliseconds(run: Run, clock: Callable[[], float] = time.perf_counter) -> float:
    """What one run takes; `clock` tells seconds."""
    start = clock()
    run()
    return 1000 * (clock() - start)


def noise_floor(first: Sequence[Timing], second: Sequence[Timing]) -> tuple[float, float]:
    """What measuring the same things again changes: the median difference, relative and in milliseconds.

    The relative one is that of the longer half, where the clock's own steps do not show.
    """
    pairs = sorted((a.low, b.low) for a, b in zip(first, second, strict=True))
    relative = statistics.median(2 * abs(a - b) / max(a + b, 1e-9) for a, b in pairs[len(pairs) // 2 :])
    return relative, statistics.median(abs(a - b) for a, b in pairs)
