"""The table `faces.csv` of a set: one row a head that its authors labelled."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze.data.readers.entry import Entry
from gaze.errors import DataError, one_line

NAME = "faces.csv"
SIDES = ("left", "top", "width", "height")


def with_heads(entries: Iterable[Entry], *folders: Path) -> list[Entry]:
    """The entries with their heads, where one of the folders holds the table; an image without a row has none.

    Raises:
        DataError: see `read_faces`.
    """
    table = next((folder / NAME for folder in folders if (folder / NAME).is_file()), None)
    if table is None:
        return list(entries)
    heads, none = read_faces(table), np.zeros((0, 4), np.float32)
    return [replace(entry, heads=heads.get(entry.name, none)) for entry in entries]


def read_faces(path: Path) -> dict[str, NDArray[np.float32]]:
    """Reads `image,left,top,width,height`, in pixels of the upright image, in any order; other columns are left alone.

    Returns:
        Of each image that is named, M x 4: left, top, right and bottom.

    Raises:
        DataError: it cannot be read, a column is missing or a row is no box; the message names the line.
    """
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in ("image", *SIDES) if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(missing)}; expected image,{','.join(SIDES)}")
            for row in reader:
                boxes[row["image"]].append(_box(row, f"{path}, line {reader.line_num}"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or one_line(error)})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table ({one_line(error)})") from error
    return {name: np.array(rows, np.float32) for name, rows in boxes.items()}


def _box(row: dict, place: str) -> list[float]:
    try:
        left, top, width, height = (float(row[name]) for name in SIDES)
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: not a box ({one_line(error)})") from error
    if not (np.isfinite([left, top]).all() and 0 < width < np.inf and 0 < height < np.inf):
        raise DataError(f"{place}: not a box (expected a width and a height above 0, got {width} x {height})")
    return [left, top, left + width, top + height]
