"""Photos side by side: the first stage of each, then the second of each, and so on.

A stage that comes anew for every photo finds in the processor's caches what the other stages left there. One that comes
for several in a row finds its own code: Harizopoulos and Ailamaki 2004, "STEPS towards cache-resident transaction
processing".
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

HELD = 2**22
"""Pixels that photos hold beyond which no other one is begun beside them."""

T = TypeVar("T")

Stages = Generator[int, None, T]
"""Work on a photo: stops after each stage and tells how many pixels it holds until its end."""


def run_through(stages: Stages[T]) -> T:
    """Does all stages; what they make of the photo."""
    while True:
        try:
            next(stages)
        except StopIteration as end:
            return end.value


def side_by_side(works: Iterable[Stages[T]], late: Callable[[], bool] = lambda: False) -> list[T | Exception]:
    """Does the stages of several photos in turn.

    Photos that hold much are done one after the other, see `HELD`.

    Args:
        works: the photos.
        late: asked before each but the first; once true, no more are begun.

    Returns:
        What became of each that was begun, in their order: its value, or what it raised.
    """
    photos = [_Photo(work) for work in works]
    waiting = deque(photos)
    while waiting and (len(waiting) == len(photos) or not late()):
        begun: list[_Photo[T]] = []
        held = 0
        while waiting and held < HELD and not (begun and late()):
            begun.append(waiting.popleft())
            held += begun[-1].go_on()
        while begun := [photo for photo in begun if not photo.ended]:
            for photo in begun:
                photo.go_on()
    return [outcome for photo in photos for outcome in photo.ended]


class _Photo(Generic[T]):
    """One under way; `ended` holds what became of it."""

    def __init__(self, stages: Stages[T]) -> None:
        self._stages = stages
        self.ended: list[T | Exception] = []

    def go_on(self) -> int:
        """Does one stage; the pixels that it holds."""
        try:
            return next(self._stages)
        except StopIteration as end:
            self.ended.append(end.value)
        except Exception as error:
            _let_go(error)
            self.ended.append(error)
        return 0


def _let_go(error: BaseException | None) -> None:
    """Forgets where an error came from: the functions on that way hold the photo as long as the error is kept."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
