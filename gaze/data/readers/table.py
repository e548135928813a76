"""The table `fixations.csv` of a set: one row a fixation."""

import csv
from array import array
from collections import defaultdict
from pathlib import Path

import numpy as np

from gaze.data.records import UNKNOWN, Fixations
from gaze.errors import DataError

REQUIRED = ("image", "x", "y")
Columns = tuple[array, array, array, array, array]


def read_table(path: Path) -> dict[str, Columns]:
    """Reads `image,subject,order,x,y,duration_ms`, in any order of columns and rows, 20 bytes a fixation.

    Pixels, x to the right, y down, pixel centres at whole numbers. Only image, x and y must be there;
    subjects may be words. Where `order` is missing it is counted within the rows of one image and subject.

    Raises:
        DataError: a column is missing or a row has no number where one is needed; the message names the line.
    """
    rows: dict[str, Columns] = {}
    subjects: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = defaultdict(int)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(missing)}; expected image,subject,order,x,y,duration_ms"
            )
        for row in reader:
            try:
                x, y, subject, order, duration = _numbers(row, subjects, counts)
            except (TypeError, ValueError) as error:
                raise DataError(f"{path}, line {reader.line_num}: not a fixation ({error})") from error
            columns = rows.setdefault(
                row["image"], (array("f"), array("f"), array("i"), array("i"), array("f"))
            )
            for column, value in zip(columns, (x, y, subject, order, duration), strict=True):
                column.append(value)
    return rows


def _numbers(row: dict, subjects: dict[str, int], counts: dict[tuple[str, str], int]) -> tuple:
    subject = row.get("subject")
    if subject in (None, ""):
        number = UNKNOWN
    elif subject.isdecimal():
        number = int(subject)
    else:
        number = subjects.setdefault(subject, len(subjects))
    viewing = (row["image"], str(subject))
    order = row.get("order")
    position = int(order) if order else counts[viewing] if number != UNKNOWN else UNKNOWN
    counts[viewing] += 1
    return float(row["x"]), float(row["y"]), number, position, float(row.get("duration_ms") or "nan")


def table_fixations(rows: dict[str, Columns], name: str) -> Fixations:
    """The fixations of one image.

    Raises:
        DataError: the table has none.
    """
    if name not in rows:
        raise DataError("fixations.csv has no row for this image")
    return Fixations.of(*(np.array(column) for column in rows[name]))
