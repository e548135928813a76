"""How much CPU time a photo do the crops of one tree of gaze take over those of another?

    python tests/benchmarks/crop_paired.py TREE_BEFORE TREE_AFTER PHOTOS [--rounds 24] [--photos 60] [--model fast]

Each tree is the top of a checkout (of another commit: `git worktree add --detach TREE COMMIT`). A process of one thread
for each, warmed up, makes JPEG thumbnails of 200 pixels from the same files, in turns of `BLOCK` photos, and counts its
CPU time, which other programs on the machine change less than they do the clock. Each round has new processes, for
where one happens to lie in memory alone changes its times by up to a tenth. Printed are the medians in milliseconds a
photo and the ratio after / before within a round: the median over the rounds and its 95% bootstrap interval. The same
tree twice says what the machine's noise is.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

WORKER = """
import sys
from io import BytesIO
from time import process_time
import gaze
model, ratio, *files = sys.argv[1:]
def run(start, stop):
    before = process_time()
    for file in files[start:stop]:
        gaze.thumbnail(file, 200, ratio, model=model).save(BytesIO(), "JPEG", quality=85)
    return process_time() - before
run(0, len(files))
for line in sys.stdin:
    print(run(*map(int, line.split())), flush=True)
"""
BLOCK = 5
ROUNDS_OF_CHANCE = 10_000


class Tree:
    """A checkout's crops, in a process of their own."""

    def __init__(self, top: Path, model: str, ratio: str, photos: list[Path]) -> None:
        if not (top / "gaze" / "__init__.py").is_file():
            sys.exit(f"{top}: expected the top of a checkout of gaze")
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        command = [sys.executable, "-c", WORKER, model, ratio, *map(str, photos)]
        environment = {**os.environ, **threads, "PYTHONPATH": str(top.resolve())}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=top)

    def seconds(self, start: int, stop: int) -> float:
        """Of CPU, for some of the photos."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(start, stop, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def one_round(tops: tuple[Path, Path], photos: list[Path], model: str, ratio: str) -> list[float]:
    """Seconds a photo of each tree; of each block the tree that comes first changes."""
    trees, seconds = [Tree(top, model, ratio, photos) for top in tops], [0.0, 0.0]
    for start in range(0, len(photos), BLOCK):
        for place in (0, 1) if start // BLOCK % 2 else (1, 0):
            seconds[place] += trees[place].seconds(start, start + BLOCK) / len(photos)
    for tree in trees:
        tree.close()
    return seconds


def ratio(seconds: np.ndarray) -> tuple[float, float, float]:
    """The median of after / before, and its 95% bootstrap interval over rounds."""
    ratios = seconds[:, 1] / seconds[:, 0]
    drawn = np.random.default_rng(0).integers(0, len(ratios), (ROUNDS_OF_CHANCE, len(ratios)))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), (2.5, 97.5))
    return float(np.median(ratios)), float(low), float(high)


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("before", "after", "photos"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--count", type=int, default=60, help="of photos in a round")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--ratio", default="1:1")
    args = parser.parse_args()
    photos = sorted(path.resolve() for path in args.photos.glob("*.jpg"))[: args.count]
    if not photos:
        sys.exit(f"{args.photos}: expected a folder with .jpg files")
    tops = (args.before, args.after)
    seconds = np.array([one_round(tops, photos, args.model, args.ratio) for _ in range(args.rounds)])
    middle, low, high = ratio(seconds)
    first, second = 1000 * np.median(seconds, axis=0)
    print(f"before {first:.2f} ms, after {second:.2f} ms of CPU a photo, {args.rounds} rounds of {len(photos)} photos")
    print(f"after / before {middle:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
