"""Whose turn it is: of photos that may want one name the first of the listing gets it, whoever is done first."""

from collections import deque
from collections.abc import Iterator

from gaze.crop.folder.listing import Task
from gaze.crop.folder.processes import Outcome
from gaze.crop.photo.request import Request


class Turns:
    """Holds outcomes back until those of all photos before them that may want the same names have passed.

    No more photos are known here than are under way.

    Args:
        request: tells which those are: the photos of one folder and, if the template has it, of one stem.
    """

    def __init__(self, request: Request) -> None:
        self._flat, self._by_stem = request.flat, "{stem" in request.template
        self._lines: dict[str, deque[str]] = {}
        self._held: dict[str, Outcome] = {}

    def begin(self, task: Task) -> None:
        """Tells that a photo is under way; called in the order of the listing."""
        self._lines.setdefault(self._key(task), deque()).append(task.name)

    def pass_on(self, outcome: Outcome) -> Iterator[Outcome]:
        """The outcomes whose turn it is, now that this one has come."""
        task, _ = outcome
        self._held[task.name] = outcome
        key = self._key(task)
        line = self._lines[key]
        while line and line[0] in self._held:
            yield self._held.pop(line.popleft())
        if not line:
            del self._lines[key]

    def left(self) -> list[Outcome]:
        """Those that wait for photos that were never done, as the run was stopped."""
        return list(self._held.values())

    def _key(self, task: Task) -> str:
        folder, _, name = task.name.rpartition("/")
        stem = name.rpartition(".")[0] or name
        return f"{'' if self._flat else folder}/{stem.casefold() if self._by_stem else ''}"
