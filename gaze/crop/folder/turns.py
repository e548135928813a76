"""Whose turn it is: of photos that may want one name the first of the listing gets it, whoever is done first.

Where one process gives all thumbnails their places, outcomes wait for their turns. Where several do, as those of shards
or of a cluster that writes to a store, names are told apart before the work, from the listing alone.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from gaze.crop.folder.listing import Rival, Shard, Tally, Task
from gaze.crop.folder.processes import Outcome
from gaze.crop.photo.naming import file_name
from gaze.crop.photo.request import Request
from gaze.images import foreseen_suffix


class Turns:
    """Holds outcomes back until those of all photos before them that may want the same names have passed.

    No more photos are known here than are under way.

    Args:
        request: tells which those are: the photos of one folder and, if the template has it, of one stem.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._lines: dict[str, deque[str]] = {}
        self._held: dict[str, Outcome] = {}

    def begin(self, task: Task) -> None:
        """Tells that a photo is under way; called in the order of the listing."""
        self._lines.setdefault(_key(task, self._request), deque()).append(task.name)

    def pass_on(self, outcome: Outcome) -> Iterator[Outcome]:
        """The outcomes whose turn it is, now that this one has come."""
        task, _ = outcome
        self._held[task.name] = outcome
        key = _key(task, self._request)
        line = self._lines[key]
        while line and line[0] in self._held:
            yield self._held.pop(line.popleft())
        if not line:
            del self._lines[key]

    def left(self) -> list[Outcome]:
        """Those that wait for photos that were never done, as the run was stopped."""
        return list(self._held.values())


_HEATMAPS = re.compile(r"(_heatmap)+$")


def _key(task: Task, request: Request) -> str:
    """The same for photos that may want the same names."""
    folder, _, name = task.name.rpartition("/")
    stem = name.rpartition(".")[0] or name
    if request.heatmap:
        stem = _HEATMAPS.sub("", stem)  # a thumbnail of such a name may be the heat map of another photo
    return f"{'' if request.flat else folder}/{stem.casefold() if '{stem' in request.template else ''}"


def in_order(listing: Iterable[Task], shard: Shard, request: Request, tally: Tally) -> Iterator[Task]:
    """The photos of a shard, each told of an earlier one of the listing that wants a name of its own.

    An earlier one counts whatever becomes of it, as that is not known here. So do names only that follow from the
    photos' names: with {size} in the template, or where a suffix is not that of a format, there are none.

    Args:
        listing: the photos of all shards, folder by folder.
        shard: the part that is done here.
        request: what is wanted of every photo.
        tally: counts the photos of other shards.
    """
    folder, first = "", dict[str, list[Task]]()
    for task in listing:
        if task.name.rpartition("/")[0] != folder:
            folder, first = task.name.rpartition("/")[0], {}
        before = first.setdefault(_key(task, request), [])
        rival = _rival(task, before, request) if before else None
        if rival is None:
            before.append(task)
        if shard.holds(task.name):
            yield replace(task, rival=rival)
        else:
            tally.elsewhere += 1


def _rival(task: Task, before: Iterable[Task], request: Request) -> Rival | None:
    wanted = foreseen_paths(request, task.name)
    for other in before:
        if common := wanted & foreseen_paths(request, other.name):
            return Rival(other.name, min(common))
    return None


def foreseen_paths(request: Request, name: str) -> set[str]:
    """Where the best thumbnails of a photo go, as far as its name and the request say that.

    Args:
        request: what is wanted of the photo; not `flat`.
        name: of the photo, relative to the folder of the run.
    """
    photo = PurePosixPath(name)
    suffix = foreseen_suffix(photo.suffix, request.encoding)
    if suffix is None:
        return set()
    paths = []
    if "{size" not in request.template:
        paths = [file_name(request.template, name, shape, "", 1, suffix) for shape in request.shapes]
    if request.heatmap:
        fields = {"stem": photo.stem, "suffix": photo.suffix.removeprefix("."), "ext": suffix}
        paths.append(PurePosixPath(request.heatmap.format_map(fields)))
    return {str(photo.parent / path) for path in paths}
