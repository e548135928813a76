"""Runs over photos, a folder or standard input; a photo that fails is told and the rest goes on."""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gaze.crop.folder.backend import Backend, check_writable, local, several
from gaze.crop.folder.batch import run_folder
from gaze.crop.folder.console import Console
from gaze.crop.folder.ledger import OpenPage
from gaze.crop.folder.listing import Task
from gaze.crop.folder.processes import Failed, run_here, too_late
from gaze.crop.folder.publishing import move
from gaze.crop.folder.settings import RunSettings
from gaze.crop.folder.time_limit import TimeLimit
from gaze.crop.folder.worker import Finished, Worker
from gaze.crop.paths import PIPE, Paths, is_stream, names_file
from gaze.crop.photo.naming import TEMPLATE
from gaze.crop.photo.record import FailedRecord
from gaze.crop.photo.request import Request
from gaze.errors import ConfigError, ImageError, OutputError, one_line
from gaze.images import output_format
from gaze.images.diagnostics import without_stderr
from gaze.streams import write_result

if TYPE_CHECKING:
    from gaze.crop.photo.cropper import Cropper


def run(paths: Paths, request: Request, settings: RunSettings) -> int:
    """Crops photos, a folder or standard input and returns the exit code.

    Args:
        paths: what is read and where the thumbnails go; on a cluster paths or URLs of folders.
        request: what is wanted of every photo.
        settings: how the run goes.

    Raises:
        ConfigError: the arguments do not fit together, or the model is neither a shipped model's name nor a file.
        ModelError: the model is missing or damaged.
        OutputError: the manifest or the page cannot be written.
    """
    request.check()
    source, output = paths.sources[0], paths.output
    if len(paths.sources) > 1:
        return _run_photos([Path(os.path.abspath(path)) for path in paths.sources], output, request, settings)
    if settings.engine == "ray":
        from gaze.crop.cluster.ray_engine import cluster  # here, as the small install lacks what it needs

        return _run_folder(cluster(source, output, request, settings), request, settings)
    if "://" in source:
        raise ConfigError(f"{source}: expected a path; --engine ray takes URLs")
    if paths.piped:
        return _run_pipe(source, request, settings)
    if Path(source).is_dir():
        return _run_folder(local(Path(source).resolve(), output, request, settings), request, settings)
    return _run_photo(source, output, request, settings)


def _cropper(request: Request) -> "Cropper":
    from gaze.crop.photo.cropper import Cropper  # here, as those of a folder are made by their processes
    from gaze.predictor import Predictor

    return Cropper(request, Predictor(request.model))


def _run_folder(backend: Backend, request: Request, settings: RunSettings) -> int:
    return run_folder(backend, request, settings, _page(backend, settings.report) if settings.report else None)


def _page(backend: Backend, path: Path) -> OpenPage:
    folder, root = backend.folder, backend.root
    if isinstance(folder, str) or isinstance(root, str):
        raise ConfigError("--report: expected photos and thumbnails on this machine's disks")
    from gaze.crop.page.spool import PageSpool  # here, as most runs make no page

    return lambda resume: PageSpool(path, resume, folder, root)


def _run_photos(photos: Sequence[Path], output: str | None, request: Request, settings: RunSettings) -> int:
    request = replace(request, flat=output is not None and len({photo.parent for photo in photos}) > 1)
    return _run_folder(several(photos, output, request, settings), request, settings)


def _run_pipe(source: str, request: Request, settings: RunSettings) -> int:
    if len(request.shapes) * request.framing.candidates > 1:
        raise ConfigError("output -: standard output holds one thumbnail and nothing else")
    if Path(source).is_dir():
        raise ConfigError("output -: expected a folder, as the photos come from one")
    cropper = _cropper(request)
    name = "" if is_stream(source) else Path(source).name
    try:
        content = _read(source, request.limits.bytes) if is_stream(source) else Path(source)
        console = Console(Path(), settings)
        limit = TimeLimit(settings.timeout, lambda: console.note(too_late(source, settings.timeout)))
        with without_stderr(), limit:
            cropped = cropper.crop(content, PurePosixPath(name or PIPE), settings.points(name))
    except ImageError as error:
        Console(Path(), settings).note(str(error))
        return 1
    if cropped.record.damaged:
        Console(Path(), settings).note(f"{source}: damaged; cropped, as nearly all of it could be read")
    write_result(cropped.pictures[0].content)
    return 0


def _run_photo(source: str, output: str | None, request: Request, settings: RunSettings) -> int:
    # unlike resolve, abspath leaves the names of links as the user wrote them
    photo = Path(_STDIN if source == PIPE else os.path.abspath(source))
    if output is None and photo.exists():
        check_writable(photo.parent)
    root, suffix = photo.parent if output is None else Path(os.path.abspath(output)), None
    if output is not None and names_file(output):
        if len(request.shapes) * request.framing.candidates > 1:
            raise ConfigError(f"output {output}: expected a folder, as there are several thumbnails")
        stem, suffix, root = root.stem.replace("{", "{{").replace("}", "}}"), root.suffix, root.parent
        _check_name(output, suffix, request)
        heatmap = f"{stem}_heatmap{{ext}}" if request.heatmap else None
        request = replace(request, template=f"{stem}{{ext}}", heatmap=heatmap)
    console = Console(root, settings, folder=photo.parent)
    late = FailedRecord(str(photo), one_line(too_late(photo, settings.timeout)))
    limit = TimeLimit(settings.timeout, lambda: console.failure(late))
    worker = Worker(_cropper(request), root, suffix, limit=limit)
    try:
        content = _read(source, request.limits.bytes) if is_stream(source) else None
    except ImageError as error:
        console.failure(FailedRecord(str(photo), str(error)))
        return console.exit_code
    job = (Task(photo, photo.name, content=content), settings.points(photo.name))
    for _, outcome in run_here(worker, iter([job]), stopped=lambda: False):
        _finish(outcome, request, photo, console)
    return console.exit_code


_STDIN = "/dev/stdin"
"""What standard input is called where a photo from it gets a file of its own."""


def _read(source: str, most: int) -> bytes:
    """What a pipe or a device gives until it ends, at most so many bytes."""
    content = bytearray()
    try:
        with nullcontext(sys.stdin.buffer) if source == PIPE else open(source, "rb") as file:
            while chunk := file.read(2**20):
                content += chunk
                if len(content) > most:
                    raise ImageError(f"{source}: more than {most} bytes")
    except OSError as error:
        raise ImageError(f"{source}: cannot be read ({error.strerror or error})") from error
    return bytes(content)


def _finish(outcome: Finished | Failed, request: Request, photo: Path, console: Console) -> None:
    if isinstance(outcome, Finished):
        try:
            move(outcome.parts, request.overwrite)
            console.success(outcome.record)
            return
        except OutputError as error:
            outcome = Failed(str(error))
    console.failure(FailedRecord(str(photo), one_line(outcome.reason)))


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
