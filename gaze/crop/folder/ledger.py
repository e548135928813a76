"""The ledger of a folder run: what is done, what failed, what an earlier run did."""

import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Protocol

from gaze.card import ModelCard
from gaze.crop.folder.console import Console
from gaze.crop.folder.listing import Task
from gaze.crop.folder.manifest import Journal
from gaze.crop.folder.processes import Failed, Outcome
from gaze.crop.folder.publishing import discard, move
from gaze.crop.folder.settings import RunSettings, Stop
from gaze.crop.folder.worker import Finished, file_stamp
from gaze.crop.photo.fingerprint import fingerprint
from gaze.crop.photo.preview import Preview
from gaze.crop.photo.record import FailedRecord, ModelRecord, Record
from gaze.crop.photo.request import Request
from gaze.errors import OutputError, one_line


class Page(Protocol):
    """What is told of every photo beside the manifest, such as an HTML report."""

    def add(self, record: Record, preview: Preview | None) -> None:
        """Takes the record of one photo and its small pictures; may raise OutputError."""

    def finish(self, model: ModelRecord, rate: float) -> None:
        """Told at the end, with how many photos a second were cropped; may raise OutputError."""


OpenPage = Callable[[bool], Page]
"""Opens a page, told whether it goes on with an earlier run's."""


class Ledger:
    """Keeps what is done: moves pictures to their places and writes the manifest and the page.

    Args:
        manifest: what earlier runs did, and where this one writes.
        open_page: opens the page that is told of every photo too; None: there is none.
        request: what is wanted of every photo.
        card: of the model.
        settings: how the run goes.
        console: counts and tells.
        stop: told where the run is to end early.
    """

    def __init__(
        self, manifest: Journal, open_page: OpenPage | None, request: Request, card: ModelCard,
        settings: RunSettings, console: Console, stop: Stop,
    ) -> None:  # fmt: skip
        self.manifest, self.request, self.card = manifest, request, card
        self.settings, self.console, self.stop = settings, console, stop
        self.fingerprint = fingerprint(request, card.sha256)
        self._done = {} if request.overwrite else manifest.finished(self.fingerprint)
        self._placed: set[int] = set()
        self._page = open_page(bool(self._done)) if open_page else None

    def skips(self, task: Task) -> bool:
        """Whether an earlier run did this photo, and it is still the same."""
        stamp = self._done.get(task.name)
        if stamp is None or stamp != file_stamp(task):
            return False
        self.console.skip()
        return True

    def keep(self, outcomes: Iterator[Outcome]) -> None:
        """Keeps every outcome and finishes the page."""
        start = perf_counter()
        try:
            for task, outcome in outcomes:
                self._keep(task, outcome)
        finally:
            self.manifest.close()
        if self._page:
            rate = self.console.done / (perf_counter() - start)
            self._page.finish(ModelRecord(self.card.name, self.card.version), rate)

    def _keep(self, task: Task, outcome: Finished | Failed) -> None:
        if isinstance(outcome, Finished):
            outcome = self._place(task, outcome)
        if isinstance(outcome, Finished):
            self.console.success(outcome.record)
            if self._page:
                self._page.add(outcome.record, outcome.preview)
            return
        if outcome.fatal:  # it would be told of every other photo as well
            self.stop.reason = self.stop.reason or one_line(outcome.reason)
            self.console.failed += 1
            return
        record = FailedRecord(task.name, one_line(outcome.reason), file_stamp(task), self.fingerprint)
        try:
            self.manifest.append(record)
        except OutputError as error:
            self.stop.reason = self.stop.reason or str(error)
        self.console.failure(record)
        if self._page:
            self._page.add(record, None)
        if self.settings.fail_fast:
            self.stop.reason = self.stop.reason or "a photo failed (--fail-fast)"

    def _place(self, task: Task, finished: Finished) -> Finished | Failed:
        places = {hash(picture.path): picture.path for picture in finished.record.photo.pictures}
        taken = [place for key, place in places.items() if key in self._placed]
        try:
            if taken:
                place = os.path.join(self.console.root, taken[0])
                raise OutputError(f"{place} was already written for another photo of this name")
            self.manifest.append(finished.record)
            move(finished.parts, self.request.overwrite)
        except OutputError as error:
            discard(finished.parts)
            return Failed(f"{task.source}: {error}", error.fatal)
        if self.request.overwrite or not finished.parts:  # what waits is else never moved over another picture
            self._placed |= places.keys()
        return finished
