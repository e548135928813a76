"""What a run over a folder stands on, and the one that this machine's processes and disks make."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePath

from gaze.crop.folder.cores import cores
from gaze.crop.folder.listing import FOLDER, MANIFESTS, Selection, Tally, Task, walk
from gaze.crop.folder.manifest import Journal, Manifest, NoManifest, manifest_name
from gaze.crop.folder.processes import Job, Outcome, Pool, run_here
from gaze.crop.folder.publishing import clear_parts, run_key
from gaze.crop.folder.settings import RunSettings, Stop
from gaze.crop.folder.turns import in_order
from gaze.crop.folder.worker import Worker
from gaze.crop.photo.request import Request
from gaze.errors import ConfigError


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
    outcomes: Callable[[Iterator[Job], Stop], Generator[Outcome, None, None]]
    base: Path | None = None


def local(folder: Path, output: str | None, request: Request, settings: RunSettings) -> Backend:
    """Processes of this machine.

    Raises:
        ConfigError: what is to be written would go to the wrong place.
    """
    root = output_folder(folder, output)
    check_places(root, request, settings)
    selection = settings.selection
    linked = (task.source for task in walk(folder, root, selection, Tally())) if selection.follow_symlinks else ()
    make = partial(Worker.of, request, root, _kept(root, linked, settings), manifest_key(root, settings))
    return Backend(
        folder=folder,
        root=root,
        tasks=lambda tally: photos_of(folder, root, request, selection, tally),
        manifest=lambda: local_manifest(root, settings),
        outcomes=lambda jobs, stop: _outcomes(make, root, jobs, settings, stop),
    )


def photos_of(folder: Path, root: Path, request: Request, selection: Selection, tally: Tally) -> Iterator[Task]:
    """The photos of a folder on a disk; where other shards write too, told of those that get their names."""
    if selection.shard.count == 1:
        return walk(folder, root, selection, tally)
    return in_order(walk(folder, root, selection.whole, tally), selection.shard, request, tally)


def several(photos: Sequence[Path], output: str | None, request: Request, settings: RunSettings) -> Backend:
    """Processes of this machine for photos that were named one by one.

    Without an output each thumbnail goes beside its photo, and no manifest is kept unless `settings` say where.

    Args:
        photos: absolute.
        output: the folder of the thumbnails; None: beside the photos.
        request: what is wanted of every photo; `flat` where the output is not to have the photos' folders.
        settings: how the run goes.

    Raises:
        ConfigError: what is to be written would go to the wrong place.
    """
    photos = [Path(os.path.realpath(photo.parent)) / photo.name for photo in photos]
    folder = Path(os.path.commonpath([photo.parent for photo in photos]))
    root = Path(output).resolve() if output else folder
    check_places(root, request, settings)
    for parent in {photo.parent for photo in photos} if output is None else ():
        if parent.exists():
            check_writable(parent)
    lasts = output is not None or settings.manifest is not None
    key = manifest_key(root, settings) if lasts else ""
    make = partial(Worker.of, request, root, _kept(root, photos, settings), key)
    return Backend(
        folder=folder,
        root=root,
        tasks=lambda tally: (Task(photo, photo.relative_to(folder).as_posix()) for photo in photos),
        manifest=lambda: local_manifest(root, settings) if lasts else NoManifest(),
        outcomes=lambda jobs, stop: _outcomes(make, root, jobs, settings, stop),
        base=folder,
    )


def _kept(root: Path, photos: Iterable[Path | str], settings: RunSettings) -> frozenset[str]:
    """Real paths in the output that nothing is written to: photos that lie there, and the report."""
    inside = os.path.join(os.path.realpath(root), "")
    report = [settings.report] if settings.report else []
    return frozenset(real for path in (*photos, *report) if (real := os.path.realpath(path)).startswith(inside))


def _outcomes(
    make: Callable[[], Worker], root: Path, jobs: Iterator[Job], settings: RunSettings, stop: Stop
) -> Generator[Outcome, None, None]:
    if os.name == "nt":  # where a process cannot be given a socket
        yield from run_here(make(), jobs, stop)
        return
    pool = Pool(make, settings.jobs or cores())
    try:
        with pool:
            yield from pool.run(jobs, settings.timeout, stop)
    finally:
        if pool.died:  # it may have left half a file
            clear_parts(root, manifest_key(root, settings))


def manifest_path(root: Path, settings: RunSettings) -> Path:
    """Where the manifest of an output folder on a disk lies."""
    return settings.manifest or root / manifest_name(settings.selection.shard)


def manifest_key(root: Path, settings: RunSettings) -> str:
    """See `run_key`."""
    path = os.path.realpath(manifest_path(root, settings))
    return run_key(path.removeprefix(os.path.join(os.path.realpath(root), "")))


def local_manifest(root: Path, settings: RunSettings) -> Manifest:
    """The manifest of an output folder on a disk; clears what killed runs left there."""
    path = manifest_path(root, settings)
    others = [other for other in sorted(root.glob(MANIFESTS)) if other != path and _is_ours(other)]
    manifest = Manifest(path, partial(_is_there, root), others)
    clear_parts(root, manifest_key(root, settings))
    return manifest


def _is_ours(manifest: Path) -> bool:
    return manifest.is_file() and not manifest.is_symlink() and os.access(manifest, os.R_OK)


def _is_there(root: Path, picture: str) -> bool:
    try:
        return os.stat(root / picture).st_size > 0
    except (OSError, ValueError):
        return False


def check_places(root: Path, request: Request, settings: RunSettings) -> None:
    """Refuses to write one thing over another.

    Raises:
        ConfigError: the manifest is a link out of the output, or thumbnails or the report would be named like it.
    """
    for template in filter(None, (request.template, request.heatmap)):
        if fnmatchcase(PurePath(template).name, MANIFESTS):
            raise ConfigError(f"--template {template}: is the name of a manifest, expected another")
    manifest = manifest_path(root, settings)
    inside = os.path.join(os.path.realpath(root), "")
    if settings.manifest is None and not os.path.realpath(manifest).startswith(inside):
        raise ConfigError(f"{manifest}: a link leads out of {root}; nothing is written there")
    report = settings.report
    if report and (fnmatchcase(report.name, MANIFESTS) or os.path.realpath(report) == os.path.realpath(manifest)):
        raise ConfigError(f"--report {report}: is the name of a manifest, expected another")


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
