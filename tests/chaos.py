"""Runs over folders while everything goes wrong, and looks at what is left.

    python tests/chaos.py [--minutes 3] [--seed 1]

In each round a folder of photos, some of them broken, is cropped while processes are killed, signals are sent to all
of them, the disk is full, or the output and its files vanish; then the same command is run until it ends by itself.
However a run was hurt: it ends by itself, without a traceback; no half thumbnail ever shows; no photo is changed;
in the end every good photo is done as in a run that nothing hurt, every bad one is named, and no hidden file is left.
Prints each finding and a summary; the exit code says whether there was any finding.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import gaze
from gaze.crop.folder.manifest import NAME, read_records
from gaze.crop.photo.record import CroppedRecord

PATIENCE = 150
"""Seconds that a run may take: more than a process that stands still as it starts is given."""

PHOTOS = 40
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Run:
    """A run that is under way, in a group of its own.

    Attributes:
        process: the parent.
        out: the output folder.
        err: the file of standard error.
        stopped: processes that were made to stand still.
    """

    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path
    stopped: set[int] = field(default_factory=set)

    def children(self) -> list[int]:
        """The processes that crop."""
        found = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, path.read_text().split())
        return found

    def send(self, process: int, number: int) -> None:
        """A signal, to whom is still there."""
        if process == self.process.pid:
            self.process.send_signal(number)  # which knows whether the number is still its own
            return
        with contextlib.suppress(OSError):
            os.kill(process, number)

    def send_to_group(self, number: int) -> None:
        """The same to all that the parent started, but for those that have a session of their own."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


def is_ours(worker: int) -> bool:
    """Whether this is still the number of a process that crops."""
    try:
        return b"folder/child.py" in Path(f"/proc/{worker}/cmdline").read_bytes()
    except OSError:
        return False


Harm = Callable[[Run, random.Random], None]


def kill_a_worker(run: Run, draw: random.Random) -> None:
    """One process at some moment."""
    if workers := run.children():
        worker, number = draw.choice(workers), draw.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
        run.send(worker, number)
        run.stopped |= {worker} if number == signal.SIGSTOP else set()


def kill_all_workers(run: Run, draw: random.Random) -> None:
    """All at once."""
    for worker in run.children():
        run.send(worker, signal.SIGKILL)


def kill_the_parent(run: Run, draw: random.Random) -> None:
    """So that it can do no more."""
    run.send(run.process.pid, signal.SIGKILL)


def end_everyone(run: Run, draw: random.Random) -> None:
    """As GNU timeout and service managers do: the parent, its group, and each process."""
    number = draw.choice(ENDINGS)
    everyone = [run.process.pid, *run.children()]
    draw.shuffle(everyone)
    for process in everyone:
        run.send(process, number)
    run.send_to_group(number)


def remove_output(run: Run, draw: random.Random) -> None:
    """All of it."""
    shutil.rmtree(run.out, ignore_errors=True)


def remove_manifest(run: Run, draw: random.Random) -> None:
    """The manifest alone."""
    (run.out / NAME).unlink(missing_ok=True)


def remove_thumbnails(run: Run, draw: random.Random) -> None:
    """Some that are there, and what waits beside them."""
    for path in list(run.out.rglob("*")):
        if path.is_file() and path.name != NAME and draw.random() < 0.5:
            path.unlink(missing_ok=True)


HARMS: dict[str, Harm] = {
    each.__name__: each
    for each in (
        kill_a_worker, kill_all_workers, kill_the_parent, end_everyone, remove_output, remove_manifest,
        remove_thumbnails,
    )
}  # fmt: skip


class Chaos:
    """Rounds of it.

    Args:
        folder: an empty one.
        seed: of all that is drawn.
        options: further ones of the command.
    """

    def __init__(self, folder: Path, seed: int, options: tuple[str, ...] = ()) -> None:
        self.draw, self.folder, self.options = random.Random(seed), folder, options
        self.photos, self.counts, self.findings = folder / "photos", Counter[str](), list[str]()
        self.bad = plant(self.photos)
        self.before = contents(self.photos)
        self.expected: dict[str, bytes] = {}
        self._run_to_the_end(folder / "whole")
        self.expected = thumbnails(folder / "whole")
        assert len(self.expected) == PHOTOS - len(self.bad)

    def round(self, number: int) -> None:
        """One folder, hurt a few times."""
        out = self.folder / f"out {number}"
        with self._disk(out) as small:
            for _ in range(self.draw.randint(1, 4)):
                name = self.draw.choice(list(HARMS))
                self.counts[name] += 1
                self._hurt(out, HARMS[name], name)
            if small:
                self.counts["full disk"] += 1
                subprocess.run(["mount", "-o", "remount,size=16m", str(out)], check=True)
            self._run_to_the_end(out)
            self._compare(out, number)
        shutil.rmtree(out, ignore_errors=True)

    @contextlib.contextmanager
    def _disk(self, out: Path) -> Iterator[bool]:
        """Every third time the output is a disk of 64 kB, where mounting one is permitted."""
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(out)]
        if self.draw.random() > 0.33 or not shutil.which("mount"):
            yield False
            return
        out.mkdir()
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            yield False
            return
        try:
            yield True
        finally:
            subprocess.run(["umount", "-l", str(out)], check=True)

    def _start(self, out: Path) -> Run:
        command = [
            sys.executable,
            "-m",
            "gaze.crop",
            str(self.photos),
            str(out),
            "--jobs",
            str(self.draw.randint(1, 4)),
        ]
        err = self.folder / "err"
        with err.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--timeout", "5", *self.options],
                env=os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])},
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )
        return Run(process, out, err)

    def _hurt(self, out: Path, harm: Harm, name: str) -> None:
        run = self._start(out)
        for _ in range(self.draw.randint(1, 3)):
            self._wait_a_little(run)
            harm(run, self.draw)
            self._look(run.out, name)
        self._finish(run, name)

    def _wait_a_little(self, run: Run) -> None:
        """Until a moment at start-up, or some thumbnails later."""
        end = time.monotonic() + self.draw.choice([self.draw.uniform(0, 1), 8])
        shown = self.draw.randint(0, PHOTOS)
        while run.process.poll() is None and time.monotonic() < end and len(list(run.out.rglob("*_1x1.*"))) < shown:
            time.sleep(0.003)

    def _finish(self, run: Run, name: str) -> str:
        workers = {*run.children(), *run.stopped}
        try:
            code = run.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._found(f"{name}: a run hangs")
            run.send_to_group(signal.SIGKILL)
            code = run.process.wait()
        said = run.err.read_text(errors="replace")
        self.counts["runs"] += 1
        ended_early = {
            -signal.SIGKILL,
            *(-number for number in ENDINGS if "photos:" not in said or said.rstrip().endswith("does the rest")),
        }  # before it heeds them, or when it is done with heeding one
        if code not in {0, 1, *(128 + number for number in ENDINGS), *ended_early}:
            self._found(f"{name}: exit code {code}: {said[-300:]}")
        if "Traceback" in said and "KeyboardInterrupt" not in said:
            self._found(f"{name}: {said[-600:]}")
        for worker in run.stopped:  # one that stands still and has lost its parent can only now go
            if is_ours(worker):
                run.send(worker, signal.SIGCONT)
        end = time.monotonic() + PATIENCE
        while any(map(is_ours, workers)) and time.monotonic() < end:
            time.sleep(0.01)
        if time.monotonic() >= end:
            self._found(f"{name}: processes live on")
        self._look(run.out, name)
        return said

    def _look(self, out: Path, name: str) -> None:
        """Every thumbnail that shows is whole."""
        for path, content in thumbnails(out).items():
            if self.expected and content != self.expected.get(path):
                self._found(f"{name}: {path} is another than it should be")
        if contents(self.photos) != self.before:
            self._found(f"{name}: a photo was changed")

    def _run_to_the_end(self, out: Path) -> None:
        run = self._start(out)
        self.said = self._finish(run, "undisturbed")

    def _compare(self, out: Path, number: int) -> None:
        if thumbnails(out).keys() != self.expected.keys():
            self._found(f"round {number}: {sorted(self.expected.keys() ^ thumbnails(out).keys())} differ: {self.said}")
        for name in self.bad:
            if f"{self.photos / name}: " not in self.said:
                self._found(f"round {number}: {name} is not named: {self.said}")
        cropped = {record.input for record in read_records(out / NAME) if isinstance(record, CroppedRecord)}
        if len(cropped) != len(self.expected):
            self._found(f"round {number}: the manifest has {len(cropped)} photos")
        if hidden := [str(path) for path in out.rglob(".*")]:
            self._found(f"round {number}: {hidden} are left")

    def _found(self, text: str) -> None:
        self.findings.append(text)
        print(text, flush=True)


def plant(folder: Path) -> list[str]:
    """Draws photos, some of them broken; returns the names of these."""
    bad = []
    random_pixels = np.random.default_rng(0)
    for number in range(PHOTOS):
        path = folder / str(number % 3) / f"{number} é.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random_pixels.integers(0, 60, (300, 450, 3), np.uint8)
        pixels[100:180, number * 8 : number * 8 + 80] = 250
        Image.fromarray(pixels).save(path, quality=80)
        if number % 10 == 9:
            path.write_bytes(path.read_bytes()[:200] if number % 20 == 9 else b"no photo")
            bad.append(str(path.relative_to(folder)))
    return bad


def contents(folder: Path) -> dict[str, bytes]:
    """The files in a folder that are there for as long as it takes to read them."""
    found = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def thumbnails(folder: Path) -> dict[str, bytes]:
    """Those of them that are pictures and show."""
    hidden = (".gaze", "gaze-manifest")
    return {name: each for name, each in contents(folder).items() if not Path(name).name.startswith(hidden)}


def run(minutes: float, seed: int, options: tuple[str, ...] = (), rounds: int | None = None) -> Chaos:
    """Rounds for so long, or so many."""
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), seed, options)
        end, number = time.monotonic() + 60 * minutes, 0
        while number < rounds if rounds is not None else time.monotonic() < end:
            chaos.round(number)
            number += 1
        chaos.counts["rounds"] = number
    return chaos


def main() -> int:
    """Reads the arguments, runs, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chaos = run(arguments.minutes, arguments.seed)
    print(", ".join(f"{name} {count}" for name, count in sorted(chaos.counts.items())))
    print(f"{len(chaos.findings)} findings")
    return int(bool(chaos.findings))


if __name__ == "__main__":
    sys.exit(main())
