"""What a run over a folder stands on, and the one that this machine's processes and disks make."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gaze.crop.folder.cores import cores
from gaze.crop.folder.listing import FOLDER, Tally, Task, walk
from gaze.crop.folder.manifest import Journal, Manifest, manifest_name
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
    """

    folder: Path | str
    root: Path | str
    tasks: Callable[[Tally], Iterator[Task]]
    manifest: Callable[[], Journal]
    outcomes: Callable[[Iterator[Job], Stop], Iterator[Outcome]]


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


def _worker(request: Request, root: Path) -> Worker:
    return Worker(Cropper(request, Predictor(request.model)), root)


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
