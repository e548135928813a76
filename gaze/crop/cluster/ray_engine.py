"""Runs over a folder on a Ray cluster: Ray Data hands the photos out, an actor on each core crops them."""

import logging
import os
import pickle
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gaze.crop.cluster.stores import Far, FarManifest, FarWorker
from gaze.crop.folder.backend import Backend, check_places, local_manifest, manifest_key, output_folder
from gaze.crop.folder.listing import FOLDER, Selection, Tally, Task, walk
from gaze.crop.folder.manifest import Journal, Manifest
from gaze.crop.folder.processes import Crops, Job, Outcome, Pool
from gaze.crop.folder.settings import RunSettings, Stop
from gaze.crop.folder.turns import in_order
from gaze.crop.folder.worker import Worker
from gaze.crop.photo.cropper import Cropper
from gaze.crop.photo.request import Request
from gaze.errors import ConfigError, GazeError, one_line
from gaze.images.diagnostics import without_stderr
from gaze.predictor import Predictor
from gaze.weights import find_model

TOGETHER = 32
"""Photos that an actor is given at once; their outcomes come back together."""

STORE = 200_000_000
"""Bytes that Ray may hold of names and records, where there is no cluster yet."""


def cluster(source: str, output: str | None, request: Request, settings: RunSettings) -> Backend:
    """A Ray cluster: the one that is running or that RAY_ADDRESS names, else one on this machine.

    Args:
        source: path or URL of the folder of photos. The machines of the cluster must see it under this name.
        output: of the thumbnails likewise; None: `thumbnails` in the folder.
        request: what is wanted of every photo.
        settings: how the run goes.

    Raises:
        ConfigError: the arguments do not fit together.
        GazeError: Ray is not installed, or its cluster not reached.
    """
    folder = _place(source)
    root = _place(output or f"{source.rstrip('/')}/{FOLDER}")
    _check(folder, root, output, settings.selection)
    key = ""
    if isinstance(root, Path):
        check_places(root, request, settings)
        key = manifest_key(root, settings)
    _connect()
    actor = (partial(_worker, request, folder, root, key), request.model, settings.timeout)
    return Backend(
        folder=folder,
        root=root,
        tasks=lambda tally: _tasks(folder, root, request, settings.selection, tally),
        manifest=lambda: _manifest(root, settings),
        outcomes=lambda jobs, stop: _outcomes(actor, jobs, settings.jobs, stop),
    )


def _connect() -> None:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray.data
    except ImportError as error:
        raise GazeError("--engine ray: Ray is not installed; pip install 'ray[data]' fsspec") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    with without_stderr():  # it tells that its log level was set
        try:
            ray.init("auto", **quiet)
        except ConnectionError as error:
            if os.environ.get("RAY_ADDRESS"):
                raise GazeError(f"--engine ray: {one_line(error)}") from error
            ray.init("local", include_dashboard=False, object_store_memory=STORE, **quiet)


def _place(text: str) -> Path | str:
    url = text.removeprefix("file://")
    return url.rstrip("/") if "://" in url or "::" in url else Path(url).resolve()


def _check(folder: Path | str, root: Path | str, output: str | None, selection: Selection) -> None:
    if isinstance(folder, Path) and not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder of photos, as --engine ray crops no single ones")
    if output == "-":
        raise ConfigError("output -: expected a folder, as the photos come from one")
    if isinstance(folder, str) and selection.follow_symlinks:
        raise ConfigError(f"--follow-symlinks: expected a folder on a disk, got {folder}")
    if isinstance(folder, Path) and isinstance(root, Path):
        output_folder(folder, output and str(root))
    elif f"{folder}/".startswith(f"{root}/"):
        raise ConfigError(f"output {root}: expected a folder that does not hold the photos themselves")


def _tasks(
    folder: Path | str, root: Path | str, request: Request, selection: Selection, tally: Tally
) -> Iterator[Task]:
    if selection.shard.count == 1 and isinstance(root, Path):
        return _listing(folder, root, selection, tally)
    return in_order(_listing(folder, root, selection.whole, tally), selection.shard, request, tally)


def _listing(folder: Path | str, root: Path | str, selection: Selection, tally: Tally) -> Iterator[Task]:
    if isinstance(folder, Path):
        return walk(folder, Path(root), selection, tally)
    return Far(folder).tasks(selection, tally, str(root))


def _manifest(root: Path | str, settings: RunSettings) -> Journal:
    if isinstance(root, Path):
        return local_manifest(root, settings)
    far = Far(root)
    if settings.manifest:
        return Manifest(settings.manifest, set(far.names()).__contains__)
    return FarManifest(far, settings.selection.shard)


def _worker(request: Request, folder: Path | str, root: Path | str, key: str) -> Crops:
    cropper = Cropper(request, Predictor(request.model))
    if isinstance(folder, Path) and isinstance(root, Path):
        return Worker(cropper, root, key=key)
    return FarWorker(cropper, Far(str(folder)), root if isinstance(root, Path) else Far(root), key)


class _Actor:
    """Crops the photos of a block in a process of its own, so that one that hangs or dies loses its photo only.

    Jobs and outcomes travel pickled, as the names in them need not be text.
    """

    def __init__(self, make: Callable[[], Crops], model: str | None, timeout: float) -> None:
        find_model(model)  # where this machine lacks it, the run is told
        self.pool, self.timeout = Pool(make, 1), timeout

    def __call__(self, block: Any) -> Any:
        import pyarrow

        jobs = map(pickle.loads, block["job"].to_pylist())
        outcomes = self.pool.run(jobs, self.timeout, lambda: False)
        return pyarrow.table({"outcome": pyarrow.array(map(pickle.dumps, outcomes), pyarrow.binary())})


def _outcomes(
    actor: tuple[Any, ...], jobs: Iterator[Job], size: int | None, stop: Stop
) -> Generator[Outcome, None, None]:
    import ray.data

    rows = [{"job": pickle.dumps(job)} for job in jobs]
    if not rows:
        return
    blocks = -(-len(rows) // TOGETHER)
    actors = min(blocks, size or int(ray.cluster_resources().get("CPU", 1)))
    cropped = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Actor,
        fn_constructor_args=actor,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1,
    )
    block: Any
    try:
        for block in cropped.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from map(pickle.loads, block["outcome"].to_pylist())
            if stop():
                return
    except ray.exceptions.RayError as error:
        raise GazeError(f"--engine ray: {str(error).strip().splitlines()[-1]}") from error
