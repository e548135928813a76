"""`usable_windows.csv`: which windows of a photograph people would use as its thumbnail.

A row for each photograph and aspect ratio: how many of the largest windows of that ratio were shown, evenly spaced from
one end of the photograph to the other, and the numbers, from 1, of those that each of one or two readers would use, the
best first. They saw all windows of a row beside each other, and sent back those in which a head or text is cut, the
subject is on the edge, people are parted, or the window left the middle without need; at least one of a row is usable.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze.errors import DataError, GazeError
from gaze.geometry import AspectRatio

SHIPPED = Path(__file__).with_name("usable_windows.csv")
"""What readers said of 1,261 photographs of OSIE, EyeCrowd and Scene-500; none of them is of `test`."""

COLUMNS = ("set", "image", "ratio", "windows", "first", "second")


@dataclass(frozen=True)
class UsableWindows:
    """The windows of a photograph and a ratio.

    Attributes:
        source: name of the set.
        image: name of the photograph in it.
        ratio: of the windows.
        usable: float64, readers x windows, 1 or 0.
        best: of each reader, counted from 0.
    """

    source: str
    image: str
    ratio: AspectRatio
    usable: NDArray[np.float64]
    best: tuple[int, ...]

    def sent_back(self, way: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of the readers who would send windows back; one between two counts by how near it is to each.

        Args:
            way: of any shape, how far each is from the first end of the photograph to the other, 0 to 1.
        """
        places = np.arange(self.usable.shape[1])
        return 1 - np.mean([np.interp(way * places[-1], places, reader) for reader in self.usable], axis=0)


def read_usable_windows(table: Path = SHIPPED) -> list[UsableWindows]:
    """The rows of a table.

    Raises:
        DataError: it cannot be read, or a row is no such row; the message names it.
    """
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read ({error})") from error
    rows = csv.DictReader(lines)
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise DataError(f"{table}: expected the columns {', '.join(COLUMNS)}, got {', '.join(rows.fieldnames or ())}")
    found = []
    for number, row in enumerate(rows, 2):
        try:
            found.append(_parse(row))
        except (GazeError, ValueError, TypeError, IndexError) as error:
            raise DataError(f"{table}: line {number}: not windows and the numbers of usable ones ({error})") from error
    return found


def _parse(row: dict[str, str]) -> UsableWindows:
    count = int(row["windows"])
    readers = [[int(number) - 1 for number in row[name]] for name in ("first", "second") if row[name]]
    if count < 2 or not readers or not all(0 <= number < count for reader in readers for number in reader):
        raise ValueError(f"windows {row['windows']}, first {row['first']!r}, second {row['second']!r}")
    usable = np.zeros((len(readers), count))
    for own, numbers in zip(usable, readers, strict=True):
        own[numbers] = 1
    ratio = AspectRatio.parse(row["ratio"])
    return UsableWindows(row["set"], row["image"], ratio, usable, tuple(numbers[0] for numbers in readers))
