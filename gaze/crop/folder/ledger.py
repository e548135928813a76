"""The ledger of a folder run: what is done, what failed, what an earlier run did."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from gaze.card import ModelCard
from gaze.crop.folder.backend import Backend
from gaze.crop.folder.console import Console
from gaze.crop.folder.listing import Rival, Task
from gaze.crop.folder.processes import Failed, Job, Outcome
from gaze.crop.folder.publishing import TakenError, discard, move
from gaze.crop.folder.settings import RunSettings, Stop
from gaze.crop.folder.turns import Turns
from gaze.crop.folder.worker import Finished, file_stamp
from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.record import FailedRecord, ModelRecord, Record
from gaze.crop.photo.request import Request
from gaze.errors import OutputError, one_line

if TYPE_CHECKING:
    from gaze.crop.photo.preview import Preview


class Page(Protocol):
    """What is told of every photo beside the manifest, such as an HTML report."""

    def add(self, record: Record, preview: "Preview | None") -> None:
        """Takes the record of one photo and its small pictures; may raise OutputError."""

    def finish(self, model: ModelRecord, rate: float, done: Iterable[Record]) -> int:
        """Told at the end, with how many photos a second were cropped and what the manifest holds of earlier runs.

        Returns:
            How many photos it has without pictures.

        Raises:
            OutputError: it cannot be written.
        """


OpenPage = Callable[[bool], Page]
"""Opens a page, told whether it goes on with an earlier run's."""


class Ledger:
    """Keeps what is done: moves pictures to their places and writes the manifest and the page.

    Args:
        backend: opens the manifest, which says what earlier runs did, and where this one writes.
        open_page: opens the page that is told of every photo too; None: there is none.
        request: what is wanted of every photo.
        card: of the model.
        settings: how the run goes.
        console: counts and tells.
        stop: told where the run is to end early.
    """

    def __init__(
        self, backend: Backend, open_page: OpenPage | None, request: Request, card: ModelCard,
        settings: RunSettings, console: Console, stop: Stop,
    ) -> None:  # fmt: skip
        self.manifest, self.request, self.card = backend.manifest(), request, card
        self.settings, self.console, self.stop = settings, console, stop
        self._folder, self._root = backend.folder, backend.root
        self._prints = Fingerprints.of(request, card.sha256)
        self._turns, self._placed, self._outdated = Turns(request), set[int](), 0
        try:
            self._history = self.manifest.history(self._prints)
            self._page = open_page(bool(self._history.done) and not request.overwrite) if open_page else None
        except BaseException:
            self.manifest.close()
            raise

    def jobs(self, tasks: Iterable[Task]) -> Iterator[Job]:
        """What is to be done of these photos."""
        for task in tasks:
            if self._skips(task):
                continue
            if task.rival:
                self._keep(task, self._refused(task, task.rival))
                continue
            self._turns.begin(task)
            before = self._history.pictures(task.name) if self.manifest.lasts else None
            yield replace(task, before=before), self.settings.points(task.name)

    def keep(self, outcomes: Iterator[Outcome]) -> None:
        """Keeps every outcome and finishes the page."""
        start = perf_counter()
        try:
            for outcome in outcomes:
                for task, ended in self._turns.pass_on(outcome):
                    self._keep(task, ended)
            if self._page:
                self._finish(self._page, self.console.done / (perf_counter() - start))
        finally:
            for _, ended in self._turns.left():
                discard(ended.parts if isinstance(ended, Finished) else ())
            self.manifest.close()
        if self._outdated:
            what = "done before with another model or default policy; --overwrite does them again"
            self.console.note(f"{self._outdated} photos were {what}")

    def _skips(self, task: Task) -> bool:
        """Whether an earlier run did this photo, and it is still the same."""
        stamp = None if self.request.overwrite else self._history.done.get(task.name)
        if stamp is None or stamp != file_stamp(task):
            return False
        self._outdated += task.name in self._history.outdated
        self.console.skip()
        return True

    def _finish(self, page: Page, rate: float) -> None:
        lacking = page.finish(ModelRecord(self.card.name, self.card.version), rate, self._history.records())
        if lacking:
            self.console.note(f"the report has {lacking} photos without pictures: they were done without --report")

    def _keep(self, task: Task, outcome: Finished | Failed) -> None:
        if isinstance(outcome, Finished):
            outcome = self._place(task, outcome)
        elif outcome.taken:
            outcome = self._named(task, outcome, outcome.taken)
        if isinstance(outcome, Finished):
            self.console.success(outcome.record)
            return
        if outcome.fatal:  # it would be told of every other photo as well
            self.stop.reason = self.stop.reason or one_line(outcome.reason)
            self.console.failed += 1
            return
        shared = relative(outcome.reason, self._folder, self._root)
        record = FailedRecord(task.name, one_line(shared), file_stamp(task), self._prints.request)
        try:
            self.manifest.append(record)
        except OutputError as error:
            self.stop.reason = self.stop.reason or str(error)
        self.console.failure(record, outcome.reason)
        if self._page:
            self._page.add(record, None)
        if self.settings.fail_fast:
            self.stop.reason = self.stop.reason or "a photo failed (--fail-fast)"

    def _place(self, task: Task, finished: Finished) -> Finished | Failed:
        paths = [picture.path for picture in finished.record.photo.pictures]
        try:
            self._check(task, finished, paths)
            self.manifest.append(finished.record)
            if self._page:
                self._page.add(finished.record, finished.preview)
            move(finished.parts, self.request.overwrite)
        except TakenError as error:
            discard(finished.parts)
            return self._named(task, Failed(f"{task.source}: {error}"), error.path)
        except OutputError as error:
            discard(finished.parts)
            return Failed(f"{task.source}: {error}", error.fatal)
        if self.request.overwrite or len(finished.parts) < len(paths) or any(part.replaces for part in finished.parts):
            self._placed |= set(map(hash, paths))  # else what waits is never moved over another picture
        return finished

    def _check(self, task: Task, finished: Finished, paths: list[str]) -> None:
        """Raises TakenError where another photo of this run, or of an earlier one, has a place."""
        overwrite = self.request.overwrite
        waiting = [part.place for part in finished.parts if not (overwrite or part.replaces)]
        for path in paths:
            place = os.path.join(self._root, path)
            if hash(path) in self._placed:
                raise TakenError(f"{place} was already written for another photo", path)
            if path in finished.there and self._other(task, path):
                raise TakenError(f"{place} exists already", path)
            if any(os.path.lexists(each) for each in waiting if each == place):
                raise TakenError(f"{place} exists already; --overwrite replaces it", path)

    def _named(self, task: Task, failed: Failed, path: str) -> Failed:
        """Names the photo that has the place, if it is known, and what would tell both apart."""
        other = self._other(task, path)
        if other is None:
            return failed
        place = os.path.join(self._root, path)
        return Failed(
            f"{task.source}: {place} is the thumbnail of {other}; {_apart(task.name, other, self.request.template)}"
        )

    def _refused(self, task: Task, rival: Rival) -> Failed:
        """Says why a photo is not even begun with."""
        place, apart = os.path.join(self._root, rival.path), _apart(task.name, rival.photo, self.request.template)
        return Failed(f"{task.source}: {place} is for {rival.photo}, the first that wants that name; {apart}")

    def _other(self, task: Task, path: str) -> str | None:
        """The photo, of those that are there, whose thumbnail was last written to a place."""
        other = self._history.owner(path)
        if other in (None, task.name) or not (
            isinstance(self._folder, str) or os.path.lexists(os.path.join(self._folder, str(other)))
        ):
            return None
        return other


def _apart(name: str, other: str, template: str) -> str:
    """What would tell the thumbnails of two photos apart."""
    mine, theirs = PurePosixPath(name), PurePosixPath(other)
    if mine.stem != theirs.stem:  # with {stem} already, one is a heat map
        return f"a --template with {'{shape}' if '{stem' in template else '{stem}'} tells them apart"
    if mine.suffix != theirs.suffix:
        return "a --template with {suffix} tells them apart"
    return "they have one name, so that each needs a folder of its own"


def relative(text: str, *folders: object) -> str:
    """What is told of files, with their paths in these folders: what may be shared says nothing of where they are."""
    for folder in sorted({str(each).rstrip("/") for each in folders} - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<![^\s'\"(]){re.escape(folder)}/", "", text)
    return text
