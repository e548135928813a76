"""FixaTons, one layout for several sets: Zanca, Serchi, Piu, Rosini, Rufa, arXiv:1802.02534, 2018."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze.data.readers.entry import Entry, folders_in, images_in, require
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size


def read_fixatons(root: Path, layout: str) -> list[Entry]:
    """Lists the images of `STIMULI/` with `SCANPATHS/<image>/<subject>`: rows of x y t_start t_end.

    Pixels and seconds; the folder of an image is named after it with or without its suffix.

    Raises:
        DataError: the files are not there; the message gives `layout`.
    """
    images, scanpaths = images_in(root / "STIMULI"), root / "SCANPATHS"
    folders = {folder.name: folder for folder in folders_in(scanpaths)}
    require(root, layout, images, list(folders.values()))
    names = {path.stem for folder in folders.values() for path in _viewings(folder)}
    subjects = {name: number for number, name in enumerate(sorted(names))}
    return [
        Entry(path.name, path, partial(_fixations, folders.get(path.stem, folders.get(path.name)), subjects))
        for path in images
    ]


def _viewings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _fixations(folder: Path | None, subjects: dict[str, int], size: Size) -> Fixations:
    if folder is None:
        raise DataError("no folder of this name in SCANPATHS/")
    parts = []
    for path in _viewings(folder):
        x, y, start, end = _rows(path).T
        parts.append(Fixations.of(x, y, subjects[path.stem], np.arange(len(x)), (end - start) * 1000))
    return Fixations.join(parts)


def _rows(path: Path) -> NDArray[np.float64]:
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        return np.array(lines, np.float64).reshape(-1, 4)
    except ValueError as error:
        raise DataError(f"SCANPATHS/{path.parent.name}/{path.name}: expected rows of x y t_start t_end") from error
