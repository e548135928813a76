"""Times the reading of a store: `python tests/benchmarks/benchmark_store.py STORE [--workers 0 2 4]`.

Each figure is the median of the repeats, after one pass that is not counted and that warms the file cache. It
times reading alone: no image is decoded.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
from torch.utils.data import DataLoader, Dataset

from gaze.data.store import FixationStore


class Reading(Dataset):
    """Reads whole stimuli and returns the bytes of each image."""

    def __init__(self, store: FixationStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> int:
        return len(self.store[index].image)


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Seconds of `work()`: the median of `repeats`, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Prints one line per way of reading."""
    parser = argparse.ArgumentParser(description="Times the reading of a store.")
    parser.add_argument("store")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2, 4])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    store = FixationStore(arguments.store)
    dataset, count = Reading(store), len(store)
    shuffled = np.random.default_rng(0).permutation(count).tolist()
    megabytes = sum(dataset[i] for i in range(count)) / 1e6
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(f"{store.path}: {count} stimuli, {megabytes:.1f} MB of images; {machine}")

    def report(name: str, seconds: float) -> None:
        print(f"{name:28} {1000 * seconds / count:8.3f} ms a stimulus {megabytes / seconds:10.1f} MB/s")

    def timed(name: str, work: Callable[[], object]) -> None:
        report(name, median_seconds(work, arguments.repeats))

    opening = median_seconds(lambda: FixationStore(arguments.store), arguments.repeats)
    print(f"{'open':28} {1000 * opening:8.3f} ms")
    timed("in order", lambda: [store[i] for i in range(count)])
    timed("shuffled", lambda: [store[i] for i in shuffled])
    timed("fixations only", lambda: [store.fixations(i) for i in range(count)])
    for workers in arguments.workers:
        kwargs = {"persistent_workers": True} if workers else {}
        loader = DataLoader(dataset, batch_size=8, sampler=shuffled, num_workers=workers, **kwargs)
        timed(f"DataLoader, {workers} workers", lambda loader=loader: sum(1 for _ in loader))


if __name__ == "__main__":
    main()
