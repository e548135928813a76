"""Runs over a folder, whatever crops it: what is done already is passed over, a photo that fails is told."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from gaze.card import ModelCard
from gaze.crop.folder.console import Report
from gaze.crop.folder.ledger import Book
from gaze.crop.folder.listing import FOLDER, Tally, Task, walk
from gaze.crop.folder.manifest import Journal, Manifest, manifest_name
from gaze.crop.folder.processes import AHEAD, Job, Outcome, cores, open_pool, run_pool
from gaze.crop.folder.settings import Run, Stop
from gaze.crop.folder.worker import Worker
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.request import Request
from gaze.errors import ConfigError, one_line
from gaze.predictor import Predictor
from gaze.weights import find_model

if TYPE_CHECKING:
    from gaze.crop.page.spool import PageSpool


@dataclass(frozen=True)
class Engine:
    """What a run stands on.

    Attributes:
        folder: where the photos are: a path or a URL.
        root: where the thumbnails go.
        tasks: lists the photos.
        manifest: opens it.
        outcomes: crops; asks `Stop` whether to go on.
    """

    folder: Path | str
    root: Path | str
    tasks: Callable[[Tally], Iterator[Task]]
    manifest: Callable[[], Journal]
    outcomes: Callable[[Iterator[Job], Stop], Iterator[Outcome]]

    def page(self, path: Path | None) -> "Callable[[bool], PageSpool | None]":
        """What opens the report's page, told whether it goes on with an earlier run's."""
        if path is None:
            return lambda resume: None
        if isinstance(self.folder, str) or isinstance(self.root, str):
            raise ConfigError("--report: expected photos and thumbnails on this machine's disks")
        from gaze.crop.page.spool import PageSpool  # here, as most runs make no page

        folder, root = self.folder, self.root
        return lambda resume: PageSpool(path, resume, folder, root)


def local(folder: Path, output: str | None, request: Request, settings: Run) -> Engine:
    """Processes of this machine."""
    root = output_folder(folder, output)
    return Engine(
        folder=folder,
        root=root,
        tasks=lambda tally: walk(folder, root, settings.selection, tally),
        manifest=lambda: local_manifest(root, settings),
        outcomes=lambda jobs, stop: _outcomes(partial(_worker, request, root), jobs, settings, stop),
    )


def _worker(request: Request, root: Path) -> Worker:
    return Worker(Cropper(request, Predictor(request.model)), root)


def _outcomes(make: Callable[[], Worker], jobs: Iterator[Job], settings: Run, stop: Stop) -> Iterator[Outcome]:
    processes = settings.jobs or cores()
    with open_pool(make, processes) as pool:
        yield from run_pool(pool, AHEAD * processes, jobs, settings.timeout, stop)


def local_manifest(root: Path, settings: Run) -> Manifest:
    """The manifest of an output folder on a disk."""
    path = settings.manifest or root / manifest_name(settings.selection.shard)
    return Manifest(path, lambda picture: os.path.lexists(root / picture))


def output_folder(folder: Path, output: str | None) -> Path:
    """Where the thumbnails go.

    Raises:
        ConfigError: among the photos, or to a file.
    """
    root = Path(output).resolve() if output else folder / FOLDER
    if root == folder or root in folder.parents:
        raise ConfigError(f"output {output}: expected a folder that does not hold the photos themselves")
    if root.exists() and not root.is_dir():
        raise ConfigError(f"output {output}: expected a folder, as the photos come from one")
    return root


def run_folder(engine: Engine, request: Request, settings: Run) -> int:
    """Crops what an earlier run did not, and returns the exit code."""
    card = ModelCard.load(find_model(request.model).with_suffix(".json"))
    page = engine.page(settings.report)
    tally = Tally()
    total = sum(1 for _ in engine.tasks(tally))
    stop, report = Stop(), Report(engine.root, settings.as_json, settings.quiet, total)
    for reason in tally.unreadable:
        report.failure({"input": str(engine.folder), "error": one_line(reason)})
    if total:
        book = Book(engine.manifest(), page, request, card, settings, report, stop)
        jobs = ((task, settings.points(task.name)) for task in engine.tasks(Tally()) if not book.skips(task))
        with _signals(stop):
            book.keep(engine.outcomes(jobs, stop))
    report.close()
    if not settings.quiet or report.failed:
        report.note(report.summary(tally))
    if stop.reason:
        report.note(f"stopped: {stop.reason}; the same command does the rest")
    if stop.signal:
        report.note("interrupted; the same command does the rest")
        return 128 + stop.signal
    return report.exit_code


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Lets a run finish what is under way when it is interrupted; a second time ends it at once."""

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
