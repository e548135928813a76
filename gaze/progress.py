"""How far a command has come: a bar on a terminal, elsewhere a plain line now and then."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

LINES = 10
"""That a job writes where there is no terminal."""


def track(
    items: Iterable[Item], what: str, total: int | None = None, unit: str = "item", shown: bool = True
) -> Iterator[Item]:
    """Hands out `items` and tells on standard error how many of them are done.

    Args:
        items: to be worked on.
        what: the name of the job.
        total: how many items there are, where they have no length.
        unit: the name of one.
        shown: False says nothing.
    """
    total = len(items) if total is None and isinstance(items, Sized) else total or 0
    if not shown or sys.stderr is None:
        yield from items
    elif is_terminal(sys.stderr):
        yield from tqdm(items, what, total, unit=unit)
    else:
        for count, item in enumerate(items, 1):
            yield item
            if LINES * count // max(total, 1) > LINES * (count - 1) // max(total, 1):
                say(f"{what}: {count} of {total} {unit}{'s' * (total != 1)}")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is there (Python has None for a closed one) and somebody looks at it."""
    return stream is not None and stream.isatty()


def say(text: str) -> None:
    """Writes a line to standard error at once, above the bar where one is shown."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # a full disk or a reader that left: no work is lost for a line
            tqdm.write(text, file=sys.stderr)
            sys.stderr.flush()
