"""The table `fixations.csv` of a set: one row a fixation."""

import csv
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from gaze.errors import DataError, one_line
from gaze.fixations import UNKNOWN, Fixations

REQUIRED = ("image", "x", "y")
EXPECTED = "image,subject,order,x,y,duration_ms"
OTHERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What else tables are separated by."""
Columns = tuple[array, ...]


def read_table(path: Path) -> dict[str, Columns]:
    """Reads `image,subject,order,x,y,duration_ms`, in any order of columns and rows, 20 bytes a fixation.

    Pixels, x to the right, y down, pixel centres at whole numbers. Only image, x and y must be there.
    Subjects may be words; they are numbered as they appear. Where `order` is missing it is counted within the
    rows of one image and subject.

    Raises:
        DataError: it cannot be read, a column is missing or a row is not a fixation; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read_rows(file, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or one_line(error)})") from error


def _read_rows(file: TextIO, path: Path) -> dict[str, Columns]:
    rows: dict[str, Columns] = {}
    subjects: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = defaultdict(int)
    reader = csv.DictReader(file)
    try:
        _check_columns(reader.fieldnames or (), path)
        for row in reader:
            columns = rows.setdefault(row["image"], tuple(array(code) for code in "ffiif"))
            for column, value in zip(columns, _numbers(row, subjects, counts), strict=True):
                column.append(value)
    except (TypeError, ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"{path}, line {reader.line_num}: not a fixation ({one_line(error)})") from error
    return rows


def _check_columns(names: Sequence[str], path: Path) -> None:
    for separator, words in OTHERS.items():
        if len(names) == 1 and separator in names[0]:
            raise DataError(f"{path}: separated by {words}; expected commas: {EXPECTED}")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; expected {EXPECTED}")


def _numbers(row: dict, subjects: dict[str, int], counts: dict[tuple[str, str], int]) -> tuple:
    subject = row.get("subject") or ""
    number = subjects.setdefault(subject, len(subjects)) if subject else UNKNOWN
    order = row.get("order") or (counts[row["image"], subject] if subject else UNKNOWN)
    counts[row["image"], subject] += 1
    return float(row["x"]), float(row["y"]), number, int(order), float(row.get("duration_ms") or "nan")


def table_fixations(rows: dict[str, Columns], name: str) -> Fixations:
    """The fixations of one image.

    Raises:
        DataError: the table has none.
    """
    if name not in rows:
        raise DataError("fixations.csv has no row for this image")
    return Fixations.of(*(np.array(column) for column in rows[name]))
