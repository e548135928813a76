"""A time limit for a photo that this process crops itself, as it does where there is only one."""

import contextlib
import os
import threading
from collections.abc import Callable


class TimeLimit:
    """Ends this process, with exit code 1, if what is within takes longer, which is to leave no file behind.

    A decoder cannot be interrupted, but lets other threads work: one waits, which makes nothing slower to start.

    Args:
        seconds: that it may take.
        tell: told before the end, with standard error as it is now.
    """

    def __init__(self, seconds: float, tell: Callable[[], None]) -> None:
        self._seconds, self._tell, self._stderr = seconds, tell, None
        self._done, self._lock = threading.Event(), threading.Lock()
        with contextlib.suppress(OSError):
            self._stderr = os.dup(2)

    def __enter__(self) -> None:
        with contextlib.suppress(RuntimeError):  # no thread may be started
            threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._done.set()
        if self._stderr is not None:
            os.close(self._stderr)

    def _watch(self) -> None:
        if self._done.wait(self._seconds):
            return
        with self._lock:
            if self._done.is_set():
                return
            if self._stderr is not None:
                os.dup2(self._stderr, 2)
            self._tell()
            os._exit(1)
