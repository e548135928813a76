"""How crop_speed.py has photos cropped: by a peer that answers lines of JSON, or by a folder run of ours."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from processes import children, cpu_seconds, megabytes

SIDE, QUALITY = 200, 85
END = 8
"""Photos at the end of a run of ours that are not timed, lest the processes be gone before they are asked."""

PAUSE = 1e-3
"""Seconds in which no photo ends, where a group of them has ended."""


@dataclass(frozen=True)
class Result:
    """What a list of photos took.

    Attributes:
        seconds, cpu: wall time and time of all cores, in seconds a photo.
        megabytes: the peak of the largest process.
        stages: milliseconds a photo, where they are known.
    """

    seconds: float
    cpu: float
    megabytes: float
    stages: dict[str, float] = field(default_factory=dict)


class Peer:
    """A process that crops what it is told, started and warmed up once."""

    def __init__(self, command: Sequence[Any], parallel: int | None = None, **environment: str) -> None:
        self._command = [*map(str, command), str(SIDE), str(QUALITY), *([str(parallel)] if parallel else [])]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, warm_up: Sequence[Path], photos: Sequence[Path]) -> Result:
        """Crops `photos`."""
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=self._environment
            )
        self._ask(warm_up)
        found = self._ask(photos)
        peak = megabytes(self._process.pid, peak=True)
        return Result(found["seconds"] / len(photos), found["cpu"] / len(photos), peak)

    def _ask(self, photos: Sequence[Path]) -> dict[str, float]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as out:
            print(json.dumps({"files": list(map(str, photos)), "out": out}), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())


class Ours:
    """A folder run in the shell, from the photo that ends the warm-up to one of the last, when all processes work."""

    def __init__(self, model: str, jobs: int) -> None:
        self._options = ["--size", f"{SIDE}x{SIDE}", "--quality", str(QUALITY), "--model", model, "--jobs", str(jobs)]

    def __call__(self, warm_up: Sequence[Path], photos: Sequence[Path]) -> Result:
        """Crops all; times `photos` without the last."""
        first, last = len(warm_up), len(warm_up) + len(photos) - END
        with tempfile.TemporaryDirectory() as folder:
            for photo in (*warm_up, *photos):
                os.symlink(photo.resolve(), Path(folder) / photo.name)
            out = Path(folder) / "out"
            command = [sys.executable, "-m", "gaze.crop", folder, str(out), "--follow-symlinks", *self._options]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                rests = list(_rests(process, range(first, last + 1)))
            stages = _stages(out / "gaze-manifest.jsonl", first)
        if len(rests) < 2:
            raise ValueError(f"expected photos to end at two moments at least, got {len(rests)}")
        start, end = rests[0], rests[-1]
        count = end.photos - start.photos
        return Result((end.seconds - start.seconds) / count, (end.cpu - start.cpu) / count, end.megabytes, stages)


@dataclass(frozen=True)
class Rest:
    """A moment when no photo ends: they end several at a time.

    Attributes:
        photos: that have ended.
        seconds, cpu, megabytes: see `Result`; in all.
    """

    photos: int
    seconds: float
    cpu: float
    megabytes: float


def _rests(process: "subprocess.Popen[bytes]", timed: range) -> Iterator[Rest]:
    """The rests of a run while as many photos have ended as are `timed`."""
    assert process.stdout
    photos, file = 0, process.stdout.fileno()
    while chunk := os.read(file, 2**16):
        now = perf_counter()
        photos += chunk.count(b"\n")
        if photos in timed and not select.select([file], [], [], PAUSE)[0]:
            yield Rest(photos, now, *_used(process.pid))


def _used(process: int) -> tuple[float, float]:
    """Seconds of CPU that a process and its children have used, and the most megabytes that one of them has held."""
    family = [process, *children(process)]
    return sum(map(cpu_seconds, family)), max(megabytes(each, peak=True) for each in family)


def _stages(manifest: Path, skipped: int) -> dict[str, float]:
    """The median milliseconds of each stage."""
    laps = [json.loads(line)["milliseconds"] for line in manifest.read_text().splitlines()[skipped:]]
    return {name: float(np.median([lap[name] for lap in laps])) for name in laps[0]}
