"""Processes that crop photos: one a core, each with a model of its own; one that hangs or dies loses its photo only."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

import cv2

from gaze.crop.folder.listing import Task
from gaze.crop.folder.worker import Finished
from gaze.crop.photo.focus import FocusPoint
from gaze.errors import GazeError
from gaze.images.diagnostics import silence_pillow, without_stderr

if TYPE_CHECKING:
    from pebble import ProcessPool

AHEAD = 4
"""Photos that a process is given, that it works on included."""


@dataclass(frozen=True)
class Failed:
    """Why a photo has no thumbnails."""

    reason: str
    fatal: bool = False
    """Whether no other photo could be done either."""


class Crops(Protocol):
    """Crops photos, one after the other."""

    def crop(self, task: Task, points: tuple[FocusPoint, ...]) -> Finished:
        """Crops one; may raise."""


Job = tuple[Task, tuple[FocusPoint, ...]]
Outcome = tuple[Task, Finished | Failed]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(worker: Crops, jobs: Iterator[Job], stopped: Callable[[], bool]) -> Iterator[Outcome]:
    """Crops in this process, one photo after the other."""
    for task, points in jobs:
        if stopped():
            return
        try:
            with without_stderr():
                outcome: Finished | Failed = worker.crop(task, points)
        except Exception as error:
            outcome = failure(task, error)
        yield task, outcome


def open_pool(make: Callable[[], Crops], processes: int) -> "ProcessPool":
    """Starts processes, each of which makes its own worker."""
    from pebble import ProcessPool  # here, as a single photo starts sooner without

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's, which are as many as cores in each process otherwise
    context = multiprocessing.get_context("spawn")  # ONNX Runtime's threads do not survive a fork
    return ProcessPool(processes, initializer=_start, initargs=(make,), context=context)


def run_pool(
    pool: "ProcessPool", ahead: int, jobs: Iterator[Job], timeout: float, stopped: Callable[[], bool]
) -> Iterator[Outcome]:
    """Crops in several processes; outcomes come as they are done.

    Args:
        pool: the processes.
        ahead: photos that they are given before the first is done.
        jobs: read as there is room, so that their number costs no memory.
        timeout: seconds after which a photo is given up and its process ended.
        stopped: asked before each photo; once true, those that are under way are finished and no more begun.
    """
    done: SimpleQueue[tuple[Task, Future]] = SimpleQueue()
    running, more = 0, True
    while True:
        while more and not stopped() and running < ahead:
            job = next(jobs, None)
            if job is None:
                more = False
                break
            future = pool.schedule(_crop, args=job, timeout=timeout)
            future.add_done_callback(partial(_put, done, job[0]))
            running += 1
        if not running:
            return
        task, ended = done.get()
        running -= 1
        yield task, _outcome(task, ended, timeout)


def failure(task: Task, error: BaseException) -> Failed:
    """What is told of an error; what nobody foresaw keeps the name of its class."""
    if isinstance(error, GazeError):
        return Failed(str(error), getattr(error, "fatal", False))
    return Failed(f"{task.source}: {type(error).__name__}: {error}")


_worker: Crops


def _start(make: Callable[[], Crops]) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    cv2.setNumThreads(1)
    silence_pillow()
    _worker = make()


def _crop(task: Task, points: tuple[FocusPoint, ...]) -> Finished | Failed:
    """Crops one photo; an error of the worker's own, perhaps a `TimeoutError`, is told apart here from the pool's."""
    try:
        with without_stderr():
            return _worker.crop(task, points)
    except Exception as error:
        return failure(task, error)


def _put(done: "SimpleQueue[tuple[Task, Future]]", task: Task, future: Future) -> None:
    done.put((task, future))


def _outcome(task: Task, future: Future, timeout: float) -> Finished | Failed:
    from pebble import ProcessExpired

    try:
        return future.result()
    except Late:
        return Failed(f"{task.source}: took longer than {timeout:g} seconds and was given up")
    except ProcessExpired as error:
        return Failed(f"{task.source}: the process that read it died (exit code {error.exitcode})")
    except Exception as error:
        return failure(task, error)
