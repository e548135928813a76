"""Keeps the books of a folder run: what is done, what failed, what an earlier run did."""

import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from gaze.card import ModelCard
from gaze.crop.folder.console import Report
from gaze.crop.folder.listing import Task
from gaze.crop.folder.manifest import Journal, pictures
from gaze.crop.folder.processes import Failed, Outcome
from gaze.crop.folder.publishing import discard, move
from gaze.crop.folder.settings import Run, Stop
from gaze.crop.folder.worker import Finished, file_stamp
from gaze.crop.photo.request import Request
from gaze.errors import OutputError, one_line

if TYPE_CHECKING:
    from gaze.crop.page.spool import PageSpool


class Book:
    """Keeps what is done: moves pictures to their places and writes the manifest and the report's page.

    Args:
        manifest: what earlier runs did, and where this one writes.
        page: opens the report's page, told whether an earlier run is gone on with; None: there is none.
        request: what is wanted of every photo.
        card: of the model.
        settings: how the run goes.
        report: counts and tells.
        stop: told where the run is to end early.
    """

    def __init__(
        self, manifest: Journal, page: "Callable[[bool], PageSpool | None]", request: Request, card: ModelCard,
        settings: Run, report: Report, stop: Stop,
    ) -> None:  # fmt: skip
        self.manifest, self.request, self.card = manifest, request, card
        self.settings, self.report, self.stop = settings, report, stop
        self.fingerprint = request.fingerprint(card.sha256)
        self._done = {} if request.overwrite else manifest.finished(self.fingerprint)
        self._placed: set[int] = set()
        self._page = page(bool(self._done))

    def skips(self, task: Task) -> bool:
        """Whether an earlier run did this photo, and it is still the same."""
        stamp = self._done.get(task.name)
        if stamp is None or stamp != tuple(file_stamp(task).values()):
            return False
        self.report.skip()
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
            model = {"name": self.card.name, "version": self.card.version}
            self._page.finish({"model": model, "rate": self.report.done / (perf_counter() - start)})

    def _keep(self, task: Task, outcome: Finished | Failed) -> None:
        if isinstance(outcome, Finished):
            outcome = self._place(task, outcome)
        if isinstance(outcome, Finished):
            self.report.success(outcome.record)
            if self._page:
                self._page.add(outcome.record, outcome.preview)
            return
        if outcome.fatal:  # it would be told of every other photo as well
            self.stop.reason = self.stop.reason or one_line(outcome.reason)
            self.report.failed += 1
            return
        record = {"input": task.name, **file_stamp(task), "request": self.fingerprint}
        record["error"] = one_line(outcome.reason)
        try:
            self.manifest.append(record)
        except OutputError as error:
            self.stop.reason = self.stop.reason or str(error)
        self.report.failure(record)
        if self._page:
            self._page.add(record, None)
        if self.settings.fail_fast:
            self.stop.reason = self.stop.reason or "a photo failed (--fail-fast)"

    def _place(self, task: Task, finished: Finished) -> Finished | Failed:
        places = {hash(picture["path"]): picture["path"] for picture in pictures(finished.record)}
        taken = [place for key, place in places.items() if key in self._placed]
        try:
            if taken:
                place = os.path.join(self.report.root, taken[0])
                raise OutputError(f"{place} was already written for another photo of this name")
            self.manifest.append(finished.record)
            move(finished.parts, self.request.overwrite)
        except OutputError as error:
            discard(finished.parts)
            return Failed(f"{task.source}: {error}", error.fatal)
        if self.request.overwrite or not finished.parts:  # what waits is else never moved over another picture
            self._placed |= places.keys()
        return finished
