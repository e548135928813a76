"""Runs over a photo, a folder or standard input; a photo that fails is told and the rest goes on."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import FrameType

from gaze.card import ModelCard
from gaze.crop.book import Book
from gaze.crop.manifest import pictures
from gaze.crop.place import move
from gaze.crop.plan import FOLDER, Tally, Task, walk
from gaze.crop.pool import Failed, Job, Outcome, cores, run_here, run_pool
from gaze.crop.report import Report
from gaze.crop.request import Request
from gaze.crop.settings import Run, Stop
from gaze.crop.work import Cropper, Finished, Worker
from gaze.errors import ConfigError, ImageError, OutputError, one_line
from gaze.images import output_format
from gaze.predictor import Predictor
from gaze.weights import find_model

PIPE = "-"
"""Standard input or output."""


def run(source: str, output: str | None, request: Request, settings: Run) -> int:
    """Crops a photo, a folder or standard input and returns the exit code.

    Args:
        source: a photo, a folder, or `-`.
        output: a folder, for one photo also a file or `-`; None: beside the photo, or `thumbnails` in the folder.
        request: what is wanted of every photo.
        settings: how the run goes.

    Raises:
        ConfigError: the arguments do not fit together, or the model is neither a shipped model's name nor a file.
        ModelError: the model is missing or damaged.
        OutputError: the manifest or the page cannot be written.
    """
    request.check()
    if PIPE in (source, output):
        return _run_pipe(source, output, request, settings)
    if Path(source).is_dir():
        return _run_folder(Path(source).resolve(), output, request, settings)
    return _run_photo(Path(source), output, request, settings)


def _run_pipe(source: str, output: str | None, request: Request, settings: Run) -> int:
    _for_folders_only(settings)
    if output not in (None, PIPE):
        raise ConfigError(f"output {output}: a photo from standard input goes to standard output; redirect that")
    if len(request.shapes) * request.framing.candidates > 1 or request.heatmap or settings.as_json:
        raise ConfigError("output -: standard output holds one thumbnail and nothing else")
    if source != PIPE and Path(source).is_dir():
        raise ConfigError("output -: expected a folder, as the photos come from one")
    cropper = Cropper(request, Predictor(request.model))
    content = sys.stdin.buffer.read() if source == PIPE else Path(source)
    try:
        cropped = cropper.crop(content, PurePosixPath(Path(source).name), settings.points(""))
    except ImageError as error:
        Report(Path()).note(str(error))
        return 1
    sys.stdout.buffer.write(cropped.pictures[0].content)
    sys.stdout.buffer.flush()
    return 0


def _run_photo(photo: Path, output: str | None, request: Request, settings: Run) -> int:
    _for_folders_only(settings)
    photo = Path(os.path.abspath(photo))  # unlike resolve, it leaves the names of links as the user wrote them
    root, suffix = photo.parent if output is None else Path(os.path.abspath(output)), None
    if output is not None and root.suffix and not root.is_dir():  # the exact name of the thumbnail
        if len(request.shapes) * request.framing.candidates > 1:
            raise ConfigError(f"output {output}: expected a folder, as there are several thumbnails")
        stem, suffix, root = root.stem.replace("{", "{{").replace("}", "}}"), root.suffix, root.parent
        _check_suffix(output, suffix, request.encoding.format)
        heatmap = f"{stem}_heatmap{{ext}}" if request.heatmap else None
        request = replace(request, template=f"{stem}{{ext}}", heatmap=heatmap)
    report = Report(root, settings.as_json, settings.quiet)
    worker = Worker(Cropper(request, Predictor(request.model)), root, suffix)
    task = Task(photo, photo.name)
    job = (task, settings.points(photo.name))
    for _, outcome in run_here(worker, iter([job]), stopped=lambda: False):
        _finish(outcome, request, photo, root, report)
    return report.exit_code


def _finish(outcome: Finished | Failed, request: Request, photo: Path, root: Path, report: Report) -> None:
    if isinstance(outcome, Finished):
        try:
            move(outcome.parts, request.overwrite)
            for picture in pictures(outcome.record):
                picture["path"] = str(root / picture["path"])
            report.success({**outcome.record, "input": str(photo)})
            return
        except OutputError as error:
            outcome = Failed(str(error))
    report.failure({"input": str(photo), "error": one_line(outcome.reason)})


def _run_folder(folder: Path, output: str | None, request: Request, settings: Run) -> int:
    root = _output_folder(folder, output)
    card = ModelCard.load(find_model(request.model).with_suffix(".json"))
    tally = Tally()
    total = sum(1 for _ in walk(folder, root, settings.selection, tally))
    stop, report = Stop(), Report(root, settings.as_json, settings.quiet, total)
    for reason in tally.unreadable:
        report.failure({"input": str(folder), "error": one_line(reason)})
    if total:
        book = Book(folder, root, request, card, settings, report, stop)
        with _signals(stop):
            book.keep(_outcomes(folder, root, request, settings, book, stop))
    report.close()
    if not settings.quiet or report.failed:
        report.note(report.summary(tally))
    if stop.reason:
        report.note(f"stopped: {stop.reason}; the same command does the rest")
    if stop.signal:
        report.note("interrupted; the same command does the rest")
        return 128 + stop.signal
    return report.exit_code


def _outcomes(folder: Path, root: Path, request: Request, settings: Run, book: Book, stop: Stop) -> Iterator[Outcome]:
    def jobs() -> Iterator[Job]:
        for task in walk(folder, root, settings.selection, Tally()):
            if not book.skips(task):
                yield task, settings.points(task.name)

    return run_pool(request, root, jobs(), settings.jobs or cores(), settings.timeout, stop)


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


def _output_folder(folder: Path, output: str | None) -> Path:
    root = Path(output).resolve() if output else folder / FOLDER
    if root == folder or root in folder.parents:
        raise ConfigError(f"output {output}: expected a folder that does not hold the photos themselves")
    if root.exists() and not root.is_dir():
        raise ConfigError(f"output {output}: expected a folder, as the photos come from one")
    return root


def _check_suffix(output: str, suffix: str, wanted: str | None) -> None:
    try:
        named = output_format(suffix)
    except ImageError as error:
        raise ConfigError(f"output {output}: {error}") from error
    if wanted not in (None, named):
        raise ConfigError(f"output {output}: is named as {named}, but --format says {wanted}")


def _for_folders_only(settings: Run) -> None:
    if settings.report:
        raise ConfigError("--report: expected a folder of photos")
