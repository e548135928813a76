"""The pool, with workers that do to themselves what their photo's name says."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gaze.crop.folder import processes
from gaze.crop.folder.listing import Task
from gaze.crop.folder.processes import AHEAD, MOST, Failed, Pace, Pool, failure, run_here
from gaze.errors import GazeError, ImageError, OutputError

STAND_IN = """
import os, signal, sys, time
from gaze.errors import GazeError, OutputError

class Worker:
    def __init__(self, folder):
        self.folder, self.begun = folder, 0
        open(f"{folder}/{os.getpid()}.pid", "w").close()

    def stages(self, task, points):
        act, _, rest = task.name.partition(":")
        self.begun += 1
        time.sleep(0.25 if act == "slow_to_begin" else 0)
        yield 0
        try:
            return getattr(self, act)(rest)
        finally:
            yield 0
            self.begun = 0

    def cropped(self, _):
        return "done"

    def environment(self, name):
        return os.environ[name]

    def beside(self, _):
        return self.begun

    def slow_beside(self, _):
        time.sleep(0.25)
        return self.begun

    def slow(self, _):
        time.sleep(0.05)
        return "done"

    def slow_to_begin(self, _):
        return "done"

    def raises(self, what):
        raise {"late": TimeoutError("the network"), "key": KeyError("x"), "full": OutputError("full", True)}[what]

    def dies(self, number):
        os.kill(os.getpid(), int(number))

    def dies_once(self, _):
        mark = f"{self.folder}/died"
        if not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(3)
        return "done"

    def hangs(self, _):
        while True:
            time.sleep(60)

def ends(*_):
    sys.exit("no such library")

def refuses(*_):
    raise GazeError("model: is gone")

def starts_slowly(folder):
    time.sleep(60)

def ends_once(folder):
    mark = f"{folder}/ended"
    if not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(3)
    return Worker(folder)
"""

MakePool = Callable[..., Pool]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "stand_in_worker.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "code")
    import stand_in_worker  # type: ignore[import-not-found]

    yield stand_in_worker
    del sys.modules["stand_in_worker"]


@pytest.fixture
def make_pool(stand_in: Any, tmp_path: Path) -> Iterator[MakePool]:
    pools = []

    def make(size: int = 1, act: str = "Worker") -> Pool:
        pools.append(Pool(partial(getattr(stand_in, act), str(tmp_path)), size))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def jobs(*names: str) -> Iterator[Any]:
    return ((Task(name, name), ()) for name in names)


def run(pool: Pool, *names: str, timeout: float = 60.0, stopped: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    outcomes = [(task.name, ended) for task, ended in pool.run(jobs(*names), timeout, stopped)]
    assert len(outcomes) == len(dict(outcomes))
    return dict(outcomes)


def started(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_error_of_the_worker_is_told_as_its_own(make_pool: MakePool):
    assert run(make_pool(), "raises:late", "raises:key", "raises:full", "cropped:") == {
        "raises:late": Failed("raises:late: TimeoutError: the network"),
        "raises:key": Failed("raises:key: KeyError: 'x'"),
        "raises:full": Failed("full", fatal=True),
        "cropped:": "done",
    }


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ImageError("cannot encode 20000x40 as WEBP"), "a.jpg: cannot encode 20000x40 as WEBP"),
        (ImageError("a.jpg: the file is empty"), "a.jpg: the file is empty"),
        (OutputError("out: No space left", fatal=True), "out: No space left"),
    ],
)
def test_every_failure_names_its_photo(error: Exception, told: str):
    assert failure(Task("a.jpg", "a.jpg"), error).reason == told


def test_photo_that_hangs_is_given_up_and_the_others_are_done(make_pool: MakePool):
    names = ["cropped:1", "hangs:", "cropped:2", "cropped:3"]
    found = run(make_pool(), *names, timeout=1)
    assert found.pop("hangs:") == Failed("hangs:: took longer than 1 seconds and was given up")
    assert found == dict.fromkeys(["cropped:1", "cropped:2", "cropped:3"], "done")


@pytest.mark.parametrize("number", [1, 20, 39])
def test_photo_that_hangs_beside_others_is_given_up_alone(make_pool: MakePool, number: int):
    names = [f"cropped:{each}" for each in range(40)]
    names[number] = "hangs:"
    found = run(make_pool(), *names, timeout=1)
    assert found.pop("hangs:") == Failed("hangs:: took longer than 1 seconds and was given up")
    assert set(found.values()) == {"done"}


@pytest.mark.parametrize("quick", [0, 1, 20])
def test_process_that_was_ended_for_the_time_may_have_left_half_a_file(make_pool: MakePool, quick: int):
    """Or whole ones, of photos beside the one that hangs."""
    pool = make_pool()
    run(pool, *(f"cropped:{each}" for each in range(quick)), "hangs:", timeout=0.5)
    assert pool.died


@pytest.mark.parametrize("number", [1, 20, 39])
def test_photo_that_kills_its_process_beside_others_is_left_alone(make_pool: MakePool, number: int):
    names = [f"cropped:{each}" for each in range(40)]
    names[number] = "dies:9"
    found = run(make_pool(), *names)
    assert found.pop("dies:9") == Failed("dies:9: the process that read it died twice (exit code -9)")
    assert set(found.values()) == {"done"}


def test_quick_photos_are_done_side_by_side_and_slow_ones_alone(make_pool: MakePool):
    quick = run(make_pool(), *(f"beside:{number}" for number in range(40)))
    assert [quick[f"beside:{number}"] for number in range(2)] == [1, 1]  # nothing is known of them
    assert max(quick.values()) == MOST
    slow = run(make_pool(), *(f"slow_beside:{number}" for number in range(4)))
    assert set(slow.values()) == {1}


def test_group_that_turns_out_slow_ends_with_the_photo_under_way(make_pool: MakePool):
    names = [*(f"cropped:{number}" for number in range(40)), *(f"slow_to_begin:{number}" for number in range(40))]
    slow: list[str] = []
    outcomes = make_pool().run(jobs(*names), 60.0, lambda: bool(slow))
    slow.extend(task.name for task, _ in outcomes if task.name.startswith("slow"))
    assert 1 <= len(slow) <= AHEAD + 1  # one of each group, and one that quick ones stood before


def test_photos_that_a_slow_group_had_no_time_for_are_done(make_pool: MakePool, tmp_path: Path, stand_in: Any):
    names = [*(f"cropped:{number}" for number in range(20)), *(f"slow_to_begin:{number}" for number in range(3))]
    assert run(make_pool(), *names) == dict.fromkeys(names, "done")
    here = run_here(stand_in.Worker(str(tmp_path)), jobs(*names), lambda: False)
    assert [(task.name, ended) for task, ended in here] == [(name, "done") for name in names]


@pytest.mark.parametrize(
    ("photos", "seconds", "timeout", "group"),
    [
        (1, 0.004, 60, MOST),
        (MOST, 0.32, 60, 10),
        (10, 1.0, 60, 2),
        (2, 10.0, 60, 1),
        (4, 0.0, 60, MOST),
        (1, 0.02, 0.2, 2),  # far less than the time limit
    ],
)
def test_as_many_at_a_time_as_take_little(photos: int, seconds: float, timeout: float, group: int):
    pace = Pace()
    assert pace.group == 1
    pace.note(photos, seconds, timeout)
    assert pace.group == group


def test_process_that_stands_still_has_a_deadline_too(make_pool: MakePool):
    found = run(make_pool(), f"dies:{int(signal.SIGSTOP)}", "cropped:", timeout=1)
    assert "took longer than 1 seconds" in found.pop(f"dies:{int(signal.SIGSTOP)}").reason
    assert found == {"cropped:": "done"}


def test_photo_whose_process_died_is_done_again(make_pool: MakePool):
    names = ["cropped:1", "dies_once:", "cropped:2", "cropped:3"]
    pool = make_pool()
    assert run(pool, *names) == dict.fromkeys(names, "done")
    assert pool.died


def test_photo_that_kills_its_process_twice_is_named_and_left(make_pool: MakePool):
    names = [f"cropped:{number}" for number in range(6)]
    found = run(make_pool(2), *names[:3], "dies:9", *names[3:], "dies:11")
    assert found.pop("dies:9") == Failed("dies:9: the process that read it died twice (exit code -9)")
    assert found.pop("dies:11") == Failed("dies:11: the process that read it died twice (exit code -11)")
    assert found == dict.fromkeys(names, "done")


def test_processes_killed_at_any_moment_lose_nothing(make_pool: MakePool, tmp_path: Path):
    """One is killed with every fifth outcome: before, while and after it works."""
    names, found = [f"slow:{number}" for number in range(40)], []
    for number, (task, ended) in enumerate(make_pool(2).run(jobs(*names), 60.0, lambda: False)):
        found.append((task.name, ended))
        if number % 5 == 4:
            for process in started(tmp_path)[number % 2 :: 2]:
                (tmp_path / f"{process}.pid").unlink()
                if not gone(process):
                    os.kill(process, signal.SIGKILL)
    assert sorted(name for name, _ in found) == sorted(names)
    lost = [name for name, ended in found if ended != "done"]
    assert len(lost) <= 3  # only one that was at work twice


def test_process_that_died_with_nothing_to_do_is_replaced(make_pool: MakePool, tmp_path: Path):
    pool = make_pool()
    run(pool, "cropped:1")
    (process,) = started(tmp_path)
    os.kill(process, signal.SIGKILL)
    wait_for(lambda: gone(process))
    assert run(pool, "cropped:2", "cropped:3") == {"cropped:2": "done", "cropped:3": "done"}


def test_never_more_processes_than_photos(make_pool: MakePool, tmp_path: Path):
    assert run(make_pool(8), "slow:1", "slow:2") == {"slow:1": "done", "slow:2": "done"}
    assert 1 <= len(started(tmp_path)) <= 2


def test_no_photo_no_process(make_pool: MakePool, tmp_path: Path):
    assert run(make_pool(8)) == {}
    assert started(tmp_path) == []


def test_no_photo_is_begun_once_it_is_stopped(make_pool: MakePool):
    asked = iter([False, False, True])
    names = [f"slow:{number}" for number in range(9)]
    found = run(make_pool(), *names, stopped=lambda: next(asked, True))
    assert found == dict.fromkeys(names[:2], "done")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_run_leave_the_processes_alone(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, number: int
):
    """From the moment that they exist, long before their own code runs."""
    popen = processes._popen

    def start_and_signal(socket: int) -> Any:
        process = popen(socket)
        process.send_signal(number)
        return process

    monkeypatch.setattr(processes, "_popen", start_and_signal)
    assert run(make_pool(), "cropped:", f"dies:{int(number)}") == {"cropped:": "done", f"dies:{int(number)}": None}
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("name", sorted(processes._DEFAULTS))
def test_the_users_environment_comes_first(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, name: str):
    asked = f"environment:{name}"
    monkeypatch.delenv(name, raising=False)
    assert run(make_pool(), asked) == {asked: processes._DEFAULTS[name]}
    monkeypatch.setenv(name, "4096")
    assert run(make_pool(), asked) == {asked: "4096"}


def test_processes_are_in_no_group_of_the_parent(make_pool: MakePool, tmp_path: Path):
    pool = make_pool()
    run(pool, "cropped:")
    (process,) = started(tmp_path)
    assert os.getpgid(process) != os.getpgid(0)


def test_processes_end_with_the_pool_whatever_they_do(make_pool: MakePool, tmp_path: Path):
    pool = make_pool(2)
    outcomes = pool.run(jobs("cropped:", "hangs:"), 60.0, lambda: False)
    next(outcomes)
    wait_for(lambda: len(started(tmp_path)) == 2)
    for process in list(pool._processes):  # as when the parent is killed: nobody ends them
        process.connection.close()
    wait_for(lambda: all(map(gone, started(tmp_path))))
    for process in list(pool._processes):
        process._popen.wait()
        process._popen.stderr.close()
    pool._processes.clear()


@pytest.mark.parametrize("size", [1, 4])
def test_interpreter_that_may_not_be_run_is_one_error(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
):
    (tmp_path / "python").touch(0o644)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(GazeError, match=r"the processes that crop cannot start: .*Permission denied"):
        run(make_pool(size), "cropped:1", "cropped:2", "cropped:3")


def test_process_that_ends_as_it_starts_is_one_error(make_pool: MakePool):
    with pytest.raises(GazeError, match="the processes that crop cannot start: no such library"):
        run(make_pool(2, "ends"), "cropped:1", "cropped:2", "cropped:3")


def test_worker_that_cannot_be_made_is_one_error(make_pool: MakePool):
    with pytest.raises(GazeError, match=r"^model: is gone$"):
        run(make_pool(2, "refuses"), "cropped:1", "cropped:2")


def test_start_has_a_deadline(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "START", 0.05)
    with pytest.raises(GazeError, match=r"cannot start: one was not ready after 0\.05 seconds"):
        run(make_pool(1, "starts_slowly"), "cropped:")


def test_start_that_fails_once_is_tried_again(make_pool: MakePool):
    assert run(make_pool(1, "ends_once"), "cropped:1", "cropped:2") == {"cropped:1": "done", "cropped:2": "done"}


def test_fewer_processes_do_where_no_more_can_start(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch):
    """As under a limit on the number of processes."""
    popen, count = processes._popen, iter(range(100))

    def limited(socket: int) -> Any:
        if next(count):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(socket)

    monkeypatch.setattr(processes, "_popen", limited)
    names = [f"slow:{number}" for number in range(9)]
    assert run(make_pool(4), *names) == dict.fromkeys(names, "done")


def test_photos_in_this_process(stand_in: Any, tmp_path: Path):
    names = ["cropped:", "raises:key", *(f"beside:{number}" for number in range(20))]
    worker = stand_in.Worker(str(tmp_path))
    found: dict[str, Any] = {task.name: ended for task, ended in run_here(worker, jobs(*names), lambda: False)}
    assert list(found) == names
    assert (found["cropped:"], found["raises:key"]) == ("done", Failed("raises:key: KeyError: 'x'"))
    assert max(found[name] for name in names[2:]) == MOST


def test_no_photo_is_begun_in_this_process_once_it_is_stopped(stand_in: Any, tmp_path: Path):
    asked = iter([False, True])
    found = list(run_here(stand_in.Worker(str(tmp_path)), jobs("cropped:1", "cropped:2"), lambda: next(asked)))
    assert [(task.name, ended) for task, ended in found] == [("cropped:1", "done")]
