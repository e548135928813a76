"""Runs over a photo, a folder or standard input; a photo that fails is told and the rest goes on."""

import os
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

from gaze.crop.folder.backend import Backend, check_writable, local
from gaze.crop.folder.batch import run_folder
from gaze.crop.folder.console import Console
from gaze.crop.folder.ledger import OpenPage
from gaze.crop.folder.listing import Task
from gaze.crop.folder.processes import Failed, run_here
from gaze.crop.folder.publishing import move
from gaze.crop.folder.settings import RunSettings
from gaze.crop.folder.worker import Finished, Worker
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.naming import TEMPLATE
from gaze.crop.photo.record import CroppedRecord, FailedRecord, PictureRecord
from gaze.crop.photo.request import Request
from gaze.errors import ConfigError, ImageError, OutputError, one_line
from gaze.images import output_format
from gaze.images.diagnostics import without_stderr
from gaze.predictor import Predictor

PIPE = "-"
"""Standard input or output."""


def run(source: str, output: str | None, request: Request, settings: RunSettings) -> int:
    """Crops a photo, a folder or standard input and returns the exit code.

    Args:
        source: a photo, a folder, or `-`; on a cluster the path or URL of a folder.
        output: a folder, for one photo also a file or `-`; None: beside the photo, or `thumbnails` in the folder.
        request: what is wanted of every photo.
        settings: how the run goes.

    Raises:
        ConfigError: the arguments do not fit together, or the model is neither a shipped model's name nor a file.
        ModelError: the model is missing or damaged.
        OutputError: the manifest or the page cannot be written.
    """
    request.check()
    if settings.engine == "ray":
        from gaze.crop.cluster.ray_engine import cluster  # here, as the small install lacks what it needs

        return _run_folder(cluster(source, output, request, settings), request, settings)
    if "://" in source:
        raise ConfigError(f"{source}: expected a path; --engine ray takes URLs")
    if PIPE in (source, output):
        return _run_pipe(source, output, request, settings)
    if Path(source).is_dir():
        return _run_folder(local(Path(source).resolve(), output, request, settings), request, settings)
    return _run_photo(Path(source), output, request, settings)


def _run_folder(backend: Backend, request: Request, settings: RunSettings) -> int:
    return run_folder(backend, request, settings, _page(backend, settings.report) if settings.report else None)


def _page(backend: Backend, path: Path) -> OpenPage:
    folder, root = backend.folder, backend.root
    if isinstance(folder, str) or isinstance(root, str):
        raise ConfigError("--report: expected photos and thumbnails on this machine's disks")
    from gaze.crop.page.spool import PageSpool  # here, as most runs make no page

    return lambda resume: PageSpool(path, resume, folder, root)


def _run_pipe(source: str, output: str | None, request: Request, settings: RunSettings) -> int:
    if output not in (None, PIPE):
        raise ConfigError(f"output {output}: a photo from standard input goes to standard output; redirect that")
    if len(request.shapes) * request.framing.candidates > 1:
        raise ConfigError("output -: standard output holds one thumbnail and nothing else")
    if source != PIPE and Path(source).is_dir():
        raise ConfigError("output -: expected a folder, as the photos come from one")
    cropper = Cropper(request, Predictor(request.model))
    content = sys.stdin.buffer.read(request.limits.bytes + 1) if source == PIPE else Path(source)
    name = "" if source == PIPE else Path(source).name
    try:
        with without_stderr():
            cropped = cropper.crop(content, PurePosixPath(name or PIPE), settings.points(name))
    except ImageError as error:
        Console(Path()).note(str(error))
        return 1
    if cropped.record.damaged:
        Console(Path()).note(f"{source}: damaged; cropped, as nearly all of it could be read")
    sys.stdout.buffer.write(cropped.pictures[0].content)
    sys.stdout.buffer.flush()
    return 0


def _run_photo(photo: Path, output: str | None, request: Request, settings: RunSettings) -> int:
    photo = Path(os.path.abspath(photo))  # unlike resolve, it leaves the names of links as the user wrote them
    if output is None and photo.exists():
        check_writable(photo.parent)
    root, suffix = photo.parent if output is None else Path(os.path.abspath(output)), None
    if output is not None and root.suffix and not root.is_dir():  # the exact name of the thumbnail
        if len(request.shapes) * request.framing.candidates > 1:
            raise ConfigError(f"output {output}: expected a folder, as there are several thumbnails")
        stem, suffix, root = root.stem.replace("{", "{{").replace("}", "}}"), root.suffix, root.parent
        _check_name(output, suffix, request)
        heatmap = f"{stem}_heatmap{{ext}}" if request.heatmap else None
        request = replace(request, template=f"{stem}{{ext}}", heatmap=heatmap)
    console = Console(root, settings.as_json, settings.quiet)
    worker = Worker(Cropper(request, Predictor(request.model)), root, suffix)
    task = Task(photo, photo.name)
    job = (task, settings.points(photo.name))
    for _, outcome in run_here(worker, iter([job]), stopped=lambda: False):
        _finish(outcome, request, photo, root, console)
    return console.exit_code


def _finish(outcome: Finished | Failed, request: Request, photo: Path, root: Path, console: Console) -> None:
    if isinstance(outcome, Finished):
        try:
            move(outcome.parts, request.overwrite)
            console.success(_absolute(outcome.record, photo, root))
            return
        except OutputError as error:
            outcome = Failed(str(error))
    console.failure(FailedRecord(str(photo), one_line(outcome.reason)))


def _absolute(record: CroppedRecord, photo: Path, root: Path) -> CroppedRecord:
    def at(picture: PictureRecord) -> PictureRecord:
        return replace(picture, path=str(root / picture.path))

    made = record.photo
    crops = tuple(replace(crop, output=at(crop.output)) for crop in made.crops)
    heatmap = made.heatmap and at(made.heatmap)
    return replace(record, input=str(photo), photo=replace(made, crops=crops, heatmap=heatmap))


def _check_name(output: str, suffix: str, request: Request) -> None:
    try:
        named = output_format(suffix)
    except ImageError as error:
        raise ConfigError(f"output {output}: {error}") from error
    if request.encoding.format not in (None, named):
        raise ConfigError(f"output {output}: is named as {named}, but --format says {request.encoding.format}")
    if request.template != TEMPLATE:
        raise ConfigError(f"--template: expected a folder to write to, as output {output} is a name already")

    request.check_encoding(named)
