"""What a run over a folder stands on, and the one that this machine's processes and disks make."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gaze.crop.folder.cores import cores
from gaze.crop.folder.listing import FOLDER, Tally, Task, walk
from gaze.crop.folder.manifest import Journal, Manifest, NoManifest, manifest_name
from gaze.crop.folder.processes import Job, Outcome, Pool, run_here
from gaze.crop.folder.settings import RunSettings, Stop
from gaze.crop.folder.worker import Worker
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.request import Request
from gaze.errors import ConfigError
from gaze.predictor import Predictor


@dataclass(frozen=True)
class Backend:
    """What a run stands on.

    Attributes:
        folder: where the photos are: a path or a URL.
        root: where the thumbnails go.
        tasks: lists the photos.
        manifest: opens it.
        outcomes: crops; asks `Stop` whether to go on.
        base: where records that are printed begin their inputs' paths; None: these stay relative to `folder`.
    """

    folder: Path | str
    root: Path | str
    tasks: Callable[[Tally], Iterator[Task]]
    manifest: Callable[[], Journal]
    outcomes: Callable[[Iterator[Job], Stop], Iterator[Outcome]]
    base: Path | None = None


def local(folder: Path, output: str | None, request: Request, settings: RunSettings) -> Backend:
    """Processes of this machine."""
    root = output_folder(folder, output)
    return Backend(
        folder=folder,
        root=root,
        tasks=lambda tally: walk(folder, root, settings.selection, tally),
        manifest=lambda: local_manifest(root, settings),
        outcomes=lambda jobs, stop: _outcomes(partial(_worker, request, root), jobs, settings, stop),
    )


def several(photos: Sequence[Path], output: str | None, request: Request, settings: RunSettings) -> Backend:
    """Processes of this machine for photos that were named one by one.

    Without an output each thumbnail goes beside its photo, and no manifest is kept unless `settings` say where.

    Args:
        photos: absolute.
        output: the folder of the thumbnails; None: beside the photos.
        request: what is wanted of every photo; `flat` where the output is not to have the photos' folders.
        settings: how the run goes.
    """
    photos = [Path(os.path.realpath(photo.parent)) / photo.name for photo in photos]
    folder = Path(os.path.commonpath([photo.parent for photo in photos]))
    root = Path(output).resolve() if output else folder
    for parent in {photo.parent for photo in photos} if output is None else ():
        if parent.exists():
            check_writable(parent)
    settings = replace(settings, jobs=min(settings.jobs or cores(), len(photos)))
    make = partial(_worker, request, root, frozenset(map(os.path.realpath, photos)))
    return Backend(
        folder=folder,
        root=root,
        tasks=lambda tally: (Task(photo, photo.relative_to(folder).as_posix()) for photo in photos),
        manifest=lambda: local_manifest(root, settings) if output or settings.manifest else NoManifest(),
        outcomes=lambda jobs, stop: _outcomes(make, jobs, settings, stop),
        base=folder,
    )


def _worker(request: Request, root: Path, photos: frozenset[str] = frozenset()) -> Worker:
    return Worker(Cropper(request, Predictor(request.model)), root, photos=photos)


def _outcomes(make: Callable[[], Worker], jobs: Iterator[Job], settings: RunSettings, stop: Stop) -> Iterator[Outcome]:
    if os.name == "nt":  # where a process cannot be given a socket
        yield from run_here(make(), jobs, stop)
        return
    with Pool(make, settings.jobs or cores()) as pool:
        yield from pool.run(jobs, settings.timeout, stop)


def local_manifest(root: Path, settings: RunSettings) -> Manifest:
    """The manifest of an output folder on a disk."""
    path = settings.manifest or root / manifest_name(settings.selection.shard)
    return Manifest(path, lambda picture: os.path.lexists(root / picture))


def output_folder(folder: Path, output: str | None) -> Path:
    """Where the thumbnails go.

    Raises:
        ConfigError: among the photos, to a file, or by default into a folder that cannot be written to.
    """
    root = Path(output).resolve() if output else folder / FOLDER
    if root == folder or root in folder.parents:
        raise ConfigError(f"output {output}: expected a folder that does not hold the photos themselves")
    if root.exists() and not root.is_dir():
        raise ConfigError(f"output {output}: expected a folder, as the photos come from one")
    if output is None:
        check_writable(root if root.exists() else folder)
    return root


def check_writable(folder: Path) -> None:
    """Raises ConfigError, which asks for an output, where thumbnails cannot go beside their photos."""
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"OUT: expected an output folder, as {folder} cannot be written to")
