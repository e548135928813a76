from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import Any

import pytest

from gaze.crop.folder import processes
from gaze.crop.folder.listing import Task
from gaze.crop.folder.processes import Failed, run_pool
from gaze.errors import OutputError

TASK = Task("a.jpg", "a.jpg")


class Pool:
    """Runs what it is given here, or gives it up at once."""

    def __init__(self, late: bool = False) -> None:
        self.late = late

    def schedule(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Future:
        future: Future = Future()
        try:
            if self.late:
                raise Late("Task timeout", timeout)
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class Worker:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def crop(self, *_: object) -> None:
        raise self.error


def outcome(pool: Pool) -> Any:
    ((task, ended),) = run_pool(pool, 1, iter([(TASK, ())]), 9.0, lambda: False)  # type: ignore[arg-type]
    assert task == TASK
    return ended


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError("the network"), Failed("a.jpg: TimeoutError: the network")),
        (Late("a decoder"), Failed("a.jpg: TimeoutError: a decoder")),
        (KeyError("x"), Failed("a.jpg: KeyError: 'x'")),
        (OutputError("the disk is full", fatal=True), Failed("the disk is full", fatal=True)),
    ],
)
def test_error_of_the_worker_is_told_as_its_own(monkeypatch: pytest.MonkeyPatch, error: Exception, expected: Failed):
    monkeypatch.setattr(processes, "_worker", Worker(error), raising=False)
    assert outcome(Pool()) == expected


def test_what_the_pool_gives_up_took_too_long():
    assert outcome(Pool(late=True)) == Failed("a.jpg: took longer than 9 seconds and was given up")
