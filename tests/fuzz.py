"""Damages photos of every format that gaze reads, and sees that each is read or refused in one line.

    python tests/fuzz.py --files 20000 --seed 1

Each file goes through `open_photo`, `cut` and `encode`, once plainly and once reduced with all frames and metadata.
Most files are changed within their structure (`fuzz_structure.py`): segments, chunks, boxes, directories, metadata.
A finding is anything else than a picture or an ImageError of one line that names the file: another exception, a crash,
a hang, too much memory. `--only NUMBER` runs one file of a seed again, here, and leaves it in the current folder.
"""

import argparse
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fuzz_files import damaged

from gaze.errors import ImageError
from gaze.geometry import Box, Size
from gaze.images import Encoding, Keep, Limits, Photo, cut, encode, open_photo
from gaze.images.diagnostics import silence_pillow, without_stderr

LIMITS = Limits(pixels=20_000_000)

THOROUGH: dict[str, Any] = {"shrink": lambda size: 4, "frames": None, "keep": Keep(metadata=True, profile=True)}


class Outcome(NamedTuple):
    """What became of a file."""

    kind: str
    """The format it had before it was damaged."""
    read: bool
    finding: str | None = None
    megabytes: float = 0
    """The most that the process has held so far."""
    seconds: float = 0


def use(photo: Photo) -> None:
    """Makes a thumbnail of each frame and encodes them."""
    full, size = Box(0, 0, photo.size.width, photo.size.height), Size(40, 30)
    half = Box(full.width // 4, full.height // 4, max(1, full.width // 2), max(1, full.height // 2))
    for box in (full, half):
        frames = [replace(frame, image=cut(frame.image, photo.size, box, size)) for frame in photo.frames]
        encode(frames, Encoding().of(photo.format), photo=photo)


def attempt(path: Path) -> tuple[bool, str | None]:
    """Whether a photo was read, and what is wrong with how that went."""
    read = False
    for options in ({}, {"strict": True}, THOROUGH):
        try:
            photo = open_photo(path, limits=LIMITS, **options)
        except ImageError as error:
            if not str(error).startswith(f"{path}: ") or not str(error).isprintable():
                return read, f"message {str(error)!r}"
            continue
        except BaseException:
            return read, traceback.format_exc()
        read = True
        try:
            use(photo)
        except BaseException:
            return read, traceback.format_exc()
    return read, None


def run(folder: Path, bound: float, seed: int, number: int) -> Outcome:
    """Damages and tries one file; `bound` in megabytes."""
    kind, content = damaged(seed, number)
    path = folder / f"{number}.jpg"
    path.write_bytes(content)
    before, start = held(), time.perf_counter()
    with warnings.catch_warnings(), without_stderr():
        warnings.simplefilter("error")
        silence_pillow()
        read, finding = attempt(path)
    seconds, after = time.perf_counter() - start, held()
    path.unlink()
    if before < bound <= after:
        finding = finding or f"memory grew from {before:.0f} to {after:.0f} MB"
    return Outcome(kind, read, finding, after, seconds)


def held() -> float:
    """The most that this process has held, in megabytes (as Linux counts)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outcomes(arguments: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    """Tries the files in other processes, which may die or be killed."""
    from pebble import ProcessExpired, ProcessPool

    numbers = range(arguments.files)
    with ProcessPool(max_workers=arguments.jobs, max_tasks=1000) as pool:
        trial = partial(run, folder, arguments.megabytes, arguments.seed)
        results = pool.map(trial, numbers, timeout=arguments.timeout, chunksize=1).result()
        for number in numbers:
            try:
                yield next(results)
            except TimeoutError:
                yield Outcome(damaged(arguments.seed, number)[0], False, f"more than {arguments.timeout:g} s")
            except ProcessExpired as error:
                yield Outcome(damaged(arguments.seed, number)[0], False, f"crash, exit code {error.exitcode}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=10, help="seconds for a file")
    parser.add_argument("--megabytes", type=float, default=1024, help="what a process may hold")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="run one file, and leave it in the current folder")
    return parser.parse_args()


def repeat(seed: int, number: int) -> int:
    kind, content = damaged(seed, number)
    path = Path(f"{number}.jpg")
    path.write_bytes(content)
    read, finding = attempt(path)
    print(f"{path}: once {kind}, {'read' if read else 'refused'}, {finding or 'as it should be'}")
    return int(finding is not None)


def main() -> int:
    """Prints each finding and a summary by format; the exit code says whether there was any finding."""
    arguments = parsed()
    if arguments.only is not None:
        return repeat(arguments.seed, arguments.only)
    counts: Counter[tuple[str, str]] = Counter()
    most, slowest = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number, outcome in enumerate(outcomes(arguments, Path(folder))):
            counts[outcome.kind, "finding" if outcome.finding else "read" if outcome.read else "refused"] += 1
            most, slowest = max(most, outcome.megabytes), max(slowest, outcome.seconds)
            if outcome.finding:
                print(f"--seed {arguments.seed} --only {number}: once {outcome.kind}: {outcome.finding}", flush=True)
    print("format      read   refused  findings")
    for kind in sorted({kind for kind, _ in counts}):
        print(f"{kind:8}", *(f"{counts[kind, what]:9}" for what in ("read", "refused", "finding")))
    findings = sum(count for (_, what), count in counts.items() if what == "finding")
    print(f"{counts.total()} files, {findings} findings, at most {most:.0f} MB, the slowest {slowest:.2f} s")
    return int(findings > 0)


if __name__ == "__main__":
    sys.exit(main())
