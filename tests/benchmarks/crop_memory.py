"""Runs `python -m gaze.crop` over very many photos and watches its memory and its pace.

    python tests/benchmarks/crop_memory.py OUT [--photos 20000] [--jobs N]

OUT receives `crop_memory.md`, `crop_memory.json` and `crop_memory.png`. The photos are small ones, a few hundred that
differ under very many names, so that what grows with their number would show beside what one photo takes. The memory is
what the processes hold, the libraries that they share counted for each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from processes import children, cpu_seconds, megabytes

DISTINCT = 300
IN_A_FOLDER = 1000
STRETCHES = 10
"""Rows of the table."""

Sample = dict[str, float]
"""`photos` that are done, `seconds` since the start, `cpu` seconds of all processes, megabytes of the `parent` and of
the largest `worker`."""


def fill(folder: Path, count: int) -> None:
    """Makes photos of 160x120: smooth noise, a bright spot in each."""
    random = np.random.default_rng(0)
    originals = folder.with_name("originals")
    originals.mkdir()
    for number in range(DISTINCT):
        image = cv2.resize(random.integers(0, 200, (8, 10, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        place = random.integers(10, 110, 2).tolist()
        cv2.circle(image, place, 12, (255, 255, 255), -1)
        cv2.imwrite(str(originals / f"{number}.jpg"), image)
    for number in range(count):
        photo = folder / f"{number // IN_A_FOLDER:04}" / f"{number:06}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        os.link(originals / f"{number % DISTINCT}.jpg", photo)


def watch(folder: Path, count: int, out: Path, options: list[str]) -> Iterator[Sample]:
    """Crops a folder of so many photos; a sample every second from the first that is done to the last but one."""
    told, start, done = out.with_name("told"), time.perf_counter(), 0
    command = [sys.executable, "-m", "gaze.crop", str(folder), str(out), "--size", "100x100", *options]
    with told.open("w") as sink, told.open() as lines, subprocess.Popen(command, stdout=sink) as process:
        while process.poll() is None:
            time.sleep(1)
            done += lines.read().count("\n")
            try:
                workers = children(process.pid)
                memory = {"parent": megabytes(process.pid), "worker": max(map(megabytes, workers))}
                cpu = sum(map(cpu_seconds, [process.pid, *workers]))
            except (OSError, ValueError, IndexError):  # it is about to end
                continue
            if 0 < done < count:
                yield {"photos": done, "seconds": time.perf_counter() - start, "cpu": cpu, **memory}
    if process.returncode:
        sys.exit(process.returncode)


def stretches(samples: list[Sample]) -> list[Sample]:
    """The samples in a few rows: what a photo took in each, in milliseconds, and the most memory held."""
    bounds = np.linspace(0, len(samples) - 1, STRETCHES + 1).astype(int)
    rows = []
    for first, last in pairwise(bounds):
        begin, end = samples[first], samples[last]
        count = max(1, end["photos"] - begin["photos"])
        pace = {f"{key}_ms": 1e3 * (end[key] - begin[key]) / count for key in ("seconds", "cpu")}
        memory = {key: max(s[key] for s in samples[first : last + 1]) for key in ("parent", "worker")}
        rows.append({"photos": end["photos"], **memory, **pace})
    return rows


def table(rows: list[Sample]) -> str:
    """The rows as Markdown."""
    lines = ["| photos done | parent, MB | largest worker, MB | ms a photo | CPU ms a photo |",
             "|---:|---:|---:|---:|---:|"]  # fmt: skip
    for r in rows:
        memory = f"{r['parent']:.1f} | {r['worker']:.1f}"
        lines.append(f"| {r['photos']:,.0f} | {memory} | {r['seconds_ms']:.1f} | {r['cpu_ms']:.1f} |")
    return "\n".join([*lines, ""])


def plot(samples: list[Sample], rows: list[Sample], path: Path) -> None:
    """Memory and pace over the photos done."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(7, 5), layout="constrained")
    done = [sample["photos"] for sample in samples]
    for key, label in (("worker", "largest worker"), ("parent", "parent")):
        above.plot(done, [sample[key] for sample in samples], label=label)
    for key, label in (("seconds_ms", "wall time"), ("cpu_ms", "CPU time of all processes")):
        below.plot([row["photos"] for row in rows], [row[key] for row in rows], marker="o", label=label)
    above.set_ylabel("MB a process")
    below.set(ylabel="ms a photo", xlabel="photos done")
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch) / "photos", options.photos)
        jobs = ["--jobs", str(options.jobs)] if options.jobs else []
        samples = list(watch(Path(scratch) / "photos", options.photos, Path(scratch) / "thumbnails", jobs))
    rows = stretches(samples)
    print(table(rows))
    (options.out / "crop_memory.md").write_text(table(rows))
    (options.out / "crop_memory.json").write_text(json.dumps({"samples": samples, "rows": rows}, indent=1) + "\n")
    plot(samples, rows, options.out / "crop_memory.png")


if __name__ == "__main__":
    main()
