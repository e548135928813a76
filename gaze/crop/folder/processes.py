"""Processes that crop photos: one a core, each with a model of its own; one that hangs or dies loses its photo only.

The parent has a socket to each process and knows at any time which photos it was given. So it sees a death (the socket
ends) and a time limit that passed, starts the process anew and hands its photos out again; every wait has a deadline.
Quick photos are given and done several at a time (`Pace`), side by side; where such a group comes to grief, each of its
photos is handed out again alone, so that the one that did it is known.
The pools that exist share one queue, and what a process took from it before it told anyone is lost with it: a
process killed at that moment stalled a run of pebble's pool or ended it, and `concurrent.futures` gives up all that is
under way with one death, and has no time limit.

The processes live until their socket ends. They have a session of their own and block the signals that end a run,
which are meant for the parent: `timeout` and a service manager's stop send them to everyone.
"""

import math
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, Protocol

from gaze.crop.folder.listing import Task
from gaze.crop.folder.publishing import TakenError
from gaze.crop.folder.worker import Finished
from gaze.crop.photo.focus import FocusPoint
from gaze.crop.photo.stages import Stages, side_by_side
from gaze.errors import GazeError, one_line
from gaze.images.diagnostics import silence_pillow, without_stderr

AHEAD = 2
"""Groups of photos that a process is given, that it works on included, so that it need not wait for the parent."""

MOST = 16
"""Photos of a group at most: 8, 12, 16 and 32 photos of 800x600 take 0.78, 0.74, 0.73 and 0.71 of one's time each."""

TOGETHER = 0.2
"""Seconds that a group may take; then no more of it is begun. A run that is stopped ends after the `AHEAD` groups that
were handed out."""

START = 120.0
"""Seconds that a process may take to start."""

STARTS = 5
"""Processes that may end in a row before they are ready; then no more are started."""

_MESSAGE = 10
"""Seconds that the rest of a message may take, once it has begun."""

_KEPT = 2**25
"""Bytes up to which memory that is given back stays with the process, which soon needs as much for its next photo."""

_DEFAULTS = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy's, which are as many as cores in each process otherwise
    # of glibc, which would come to these by itself with the first large photo, and meanwhile ask the system each time
    "MALLOC_MMAP_THRESHOLD_": str(_KEPT),
    "MALLOC_TRIM_THRESHOLD_": str(2 * _KEPT),
}
"""Environment of a process, but for what the user's says."""

_SIGNALS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)}


@dataclass(frozen=True)
class Failed:
    """Why a photo has no thumbnails."""

    reason: str
    fatal: bool = False
    """Whether no other photo could be done either."""
    taken: str = ""
    """The place of a thumbnail in the output folder, if what is there is the reason."""


class Crops(Protocol):
    """Crops photos."""

    def stages(self, task: Task, points: tuple[FocusPoint, ...]) -> Stages[Finished]:
        """Crops one; may raise."""


Job = tuple[Task, tuple[FocusPoint, ...]]
Outcome = tuple[Task, Finished | Failed]


class Pace:
    """How many photos to do side by side: one at first, then as many as take `TOGETHER` seconds, at most `MOST`."""

    def __init__(self) -> None:
        self.group = 1

    def note(self, photos: int, seconds: float, timeout: float) -> None:
        """Learns how long photos took; a group is to take far less than the time limit of one."""
        self.group = max(1, min(MOST, int(photos * min(TOGETHER, timeout / 4) / max(seconds, 1e-9))))


def run_here(worker: Crops, jobs: Iterator[Job], stopped: Callable[[], bool]) -> Iterator[Outcome]:
    """Crops in this process."""
    pace, left = Pace(), list[Job]()
    while not stopped() and (group := left or list(islice(jobs, pace.group))):
        start = monotonic()
        with without_stderr():
            outcomes = _crop(worker, group)
        pace.note(len(outcomes), monotonic() - start, math.inf)
        left = group[len(outcomes) :]
        yield from zip((task for task, _ in group), outcomes, strict=False)


def failure(task: Task, error: BaseException) -> Failed:
    """What is told of an error, with the photo's name; what nobody foresaw keeps the name of its class."""
    if not isinstance(error, GazeError):
        return Failed(f"{task.source}: {type(error).__name__}: {error}")
    fatal = getattr(error, "fatal", False)
    named = fatal or str(task.source) in str(error)
    taken = error.path if isinstance(error, TakenError) else ""
    return Failed(str(error) if named else f"{task.source}: {error}", fatal, taken)


def too_late(source: Path | str, timeout: float) -> str:
    """What is told of a photo that took more than so many seconds."""
    return f"{source}: took longer than {timeout:g} seconds and was given up"


class Pool:
    """Processes, started as there are photos for them, each of which makes its own worker.

    Args:
        make: makes the worker; travels pickled.
        processes: how many there are at most.
    """

    def __init__(self, make: Callable[[], Crops], processes: int) -> None:
        self.died = False
        """Whether a process ended that should not have; it may have left half a file."""
        self._make, self._size, self._bad_starts = make, processes, 0
        self._processes: list[_Process] = []
        self._selector = selectors.DefaultSelector()
        self._again: deque[list[Job]] = deque()
        self._deaths: Counter[str] = Counter()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes, whatever they do."""
        for process in list(self._processes):
            self._end(process)
        self._selector.close()

    def run(self, jobs: Iterator[Job], timeout: float, stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Crops; outcomes come as they are done.

        Args:
            jobs: read as there is room, so that their number costs no memory.
            timeout: seconds after which a photo is given up and its process ended.
            stopped: asked before each group; once true, those that are under way are finished and no more begun.

        Raises:
            GazeError: the processes cannot start.
        """
        while True:
            while not stopped() and self._has_room() and self._give(jobs, timeout):
                pass
            if not any(process.given for process in self._processes) and (stopped() or not self._again):
                return
            yield from self._outcomes(timeout)

    def _has_room(self) -> bool:
        return len(self._processes) < self._size or any(len(each.given) < AHEAD for each in self._processes)

    def _give(self, jobs: Iterator[Job], timeout: float) -> bool:
        """Hands photos to a process that has none, to a new one, or to one that would soon have none.

        Returns:
            False where there are no photos, or no process, or it has died: then the photos are kept.
        """
        process = min(self._processes, key=lambda each: len(each.given), default=None)
        size = process.pace.group if process else 1
        group = self._again.popleft() if self._again else list(islice(jobs, size))
        if not group:
            return False
        if (process is None or process.given) and len(self._processes) < self._size:
            process = self._start() or process
        if process is not None and process.give(group, timeout):
            return True
        self._again.appendleft(group)
        return False

    def _start(self) -> "_Process | None":
        try:
            process = _Process(self._make)
        except OSError as error:
            self._bad_start(one_line(error))
            return None
        self._processes.append(process)
        self._selector.register(process.connection, selectors.EVENT_READ, process)
        return process

    def _bad_start(self, reason: str) -> None:
        """Does with fewer processes, if they cannot be started; raises GazeError where there are none."""
        self._bad_starts += 1
        if self._bad_starts >= STARTS:
            self._size = len(self._processes)
            if not self._processes:
                raise GazeError(f"the processes that crop cannot start: {reason}")

    def _outcomes(self, timeout: float) -> Iterator[Outcome]:
        """Waits for the next messages and deadlines."""
        first = min((process.deadline for process in self._processes if process.busy), default=monotonic())
        heard = {key.data for key, _ in self._selector.select(max(0.0, first - monotonic()))}
        for process in list(self._processes):
            if process in heard:
                yield from self._hear(process, timeout)
            elif process.busy and process.deadline <= monotonic():
                yield from self._late(process, timeout)

    def _hear(self, process: "_Process", timeout: float) -> Iterator[Outcome]:
        try:
            message = process.connection.recv()
        except (EOFError, OSError):  # it has died, perhaps within a message, or stands still there
            yield from self._lost(process)
            return
        if process.ready:
            group = process.done(len(message), timeout)
            self._again.extend([job] for job in group[len(message) :])  # there was no time to begin them
            yield from zip((task for task, _ in group), message, strict=False)
        elif message is not None:
            raise GazeError(message)
        else:
            process.is_ready(timeout)
            self._bad_starts = 0

    def _late(self, process: "_Process", timeout: float) -> Iterator[Outcome]:
        self.died = True
        if process.ready and len(process.given[0]) == 1:
            ((task, _),) = process.given.popleft()
            yield task, Failed(too_late(task.source, timeout))
        self._take_back(process)
        self._end(process)
        if not process.ready:
            self._bad_start(f"one was not ready after {START:g} seconds")

    def _lost(self, process: "_Process") -> Iterator[Outcome]:
        """Hands the photos of a process that died out again; one that it worked on alone only once."""
        code, reason = self._end(process)
        if not process.ready:
            self._take_back(process)
            self._bad_start(reason or f"exit code {code}")
            return
        if process.given and len(process.given[0]) == 1:
            ((task, _),) = process.given[0]
            self._deaths[task.name] += 1
            if self._deaths[task.name] > 1:
                process.given.popleft()
                yield task, Failed(f"{task.source}: the process that read it died twice (exit code {code})")
        self._take_back(process)

    def _take_back(self, process: "_Process") -> None:
        """What a process was given is to be handed out again, each photo alone."""
        self._again.extendleft([job] for group in reversed(process.given) for job in reversed(group))
        process.given.clear()

    def _end(self, process: "_Process") -> tuple[int | None, str]:
        self.died |= process.busy
        self._selector.unregister(process.connection)
        self._processes.remove(process)
        return process.end()


class _Process:
    """One process and what it was given.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, make: Callable[[], Crops]) -> None:
        self.given: deque[list[Job]] = deque()
        self.pace = Pace()
        self.ready = False
        self.deadline = monotonic() + START
        here, there = socket.socketpair()
        with there:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _MESSAGE, 0))
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _MESSAGE, 0))
            self.connection = Connection(here.detach())
            try:
                self._popen = _popen(there.fileno())
            except BaseException:
                self.connection.close()
                raise
        self._send(sys.path) and self._send(make)  # where it died already, the socket's end will tell

    @property
    def busy(self) -> bool:
        """Whether it has a deadline."""
        return bool(self.given) or not self.ready

    def give(self, group: list[Job], timeout: float) -> bool:
        """Hands it photos; False where it has died."""
        if not self._send(group):
            return False
        if self.ready and not self.given:
            self._begin(timeout)
        self.given.append(group)
        return True

    def done(self, photos: int, timeout: float) -> list[Job]:
        """The group of which it has done so many photos; it begins those that it has besides."""
        group = self.given.popleft()
        self.pace.note(photos, monotonic() - self._begun, timeout)
        self._begin(timeout)
        return group

    def _begin(self, timeout: float) -> None:
        self._begun = monotonic()
        self.deadline = self._begun + timeout

    def is_ready(self, timeout: float) -> None:
        """It has started; from now on what it says on standard error goes nowhere."""
        self.ready = True
        self._begin(timeout)
        if self._popen.stderr:
            self._popen.stderr.close()

    def end(self) -> tuple[int | None, str]:
        """Ends it; its exit code, and the last line that it said as it started."""
        self._popen.kill()
        self.connection.close()
        try:
            _, said = self._popen.communicate(timeout=_MESSAGE)
        except (subprocess.TimeoutExpired, ValueError):  # the system does not let go of it, or it was ready
            said = b""
            self._popen.poll()
        lines = (said or b"").decode(errors="replace").strip().splitlines()
        return self._popen.returncode, lines[-1] if lines else ""

    def _send(self, message: Any) -> bool:
        try:
            self.connection.send(message)
        except OSError:
            return False
        return True


def _popen(number: int) -> "subprocess.Popen[bytes]":
    """Starts an interpreter that has the socket of this number."""
    command = [str(sys.executable), str(Path(__file__).with_name("child.py")), str(number)]
    with _blocked(_SIGNALS):
        return subprocess.Popen(
            command,
            env=_DEFAULTS | os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[number],
            start_new_session=True,
        )


@contextmanager
def _blocked(signals: set[signal.Signals]) -> Iterator[None]:
    """Keeps signals back meanwhile; a process that is started then never gets them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(connection: Connection) -> NoReturn:
    """What a process does: makes its worker, then crops what it is told until the socket ends."""
    with suppress(RuntimeError):  # no thread may be started: then it ends with its photo
        threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    import cv2  # here, as the parent needs nothing that predicts

    try:
        cv2.setNumThreads(1)
        silence_pillow()
        worker = connection.recv()()
        connection.send(None)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        while True:
            connection.send(_crop(worker, connection.recv()))
    except (EOFError, ConnectionError):
        os._exit(0)
    except GazeError as error:
        connection.send(str(error))
        os._exit(1)


def _end_with(number: int) -> NoReturn:
    """Ends this process as soon as the other end of its socket is closed, whatever it does."""
    end = select.poll()
    end.register(number, 0)  # the socket's end is told without being asked for
    end.poll()
    os._exit(0)


def _crop(worker: Crops, group: Sequence[Job]) -> list[Finished | Failed]:
    """Crops photos side by side: at least the first, and the next that are begun within `TOGETHER` seconds."""
    end = monotonic() + TOGETHER
    outcomes = side_by_side((worker.stages(task, points) for task, points in group), lambda: monotonic() > end)
    return [
        failure(task, outcome) if isinstance(outcome, Exception) else outcome
        for (task, _), outcome in zip(group, outcomes, strict=False)
    ]
