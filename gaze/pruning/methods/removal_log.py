"""What pruning removed, when and at what price: a table that grows by one row a removal and outlives a crash."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from gaze.errors import DataError
from gaze.files import write_atomic

REMOVALS, GROWTH = "removals.csv", "growth.csv"
"""What a run calls its logs: of maps that left, and of maps that joined."""


@dataclass(frozen=True)
class Removal:
    """Feature maps of one group that left together.

    Attributes:
        step: of training, after which they left.
        layer: name of their group.
        maps: their indices in the network as it was before any removal; in the file the count stands before them.
        signal: sum of their values.
        predicted_ms: milliseconds per image of the network that is left, as the cost model has it.
        measured_ms: the same, measured; None where it was not.
        maps_left: how many maps the group has left.
        loss: of training, the mean over the examples since the last removal; None where there is none yet.
        information_gain: on the validation set, bits per fixation; None where no validation took place.
    """

    step: int
    layer: str
    maps: tuple[int, ...]
    signal: float
    predicted_ms: float
    measured_ms: float | None
    maps_left: int
    loss: float | None = None
    information_gain: float | None = None


KINDS: dict[str, Any] = get_type_hints(Removal)
COLUMNS = tuple(column for name in KINDS for column in (["count", name] if name == "maps" else [name]))
"""Of the file: the fields of a removal, and before the maps how many these are."""


class RemovalLog:
    """Appends removals to a file, `removals.csv`.

    Every row is on disk when `append` returns. A row that a crash left unfinished is dropped when the log is opened.

    Args:
        path: of the file; made with its folder if it is missing, else continued.

    Raises:
        DataError: the file is there and is no such table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rewrite(read(path) if path.is_file() and path.stat().st_size else [])

    def append(self, removal: Removal) -> None:
        """Adds a row."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(_lines([_cells(removal)]))

    def truncate_after(self, step: int) -> None:
        """Drops the removals after `step`, for a run that goes back to a checkpoint of that step."""
        self._rewrite([removal for removal in read(self.path) if removal.step <= step])

    def _rewrite(self, removals: Iterable[Removal]) -> None:
        content = _lines([COLUMNS, *map(_cells, removals)])
        write_atomic(self.path, content.encode(), overwrite=True)


def read(path: Path) -> list[Removal]:
    """The removals that a log wrote, in their order, without a last row that a crash left unfinished.

    Raises:
        DataError: the file cannot be read, has another header, or a row is damaged; the message names the line.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the removals cannot be read ({error})") from error
    finished = content[: content.rfind("\n") + 1]
    header, *rows = list(csv.reader(io.StringIO(finished, newline=""))) or [[]]
    if tuple(header) != COLUMNS:
        raise DataError(f"{path}: expected the header {','.join(COLUMNS)}, got {','.join(header)!r}")
    return [_removal(row, f"{path}:{line}") for line, row in enumerate(rows, start=2)]


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(removal: Removal) -> list[object]:
    """The row of a removal; csv writes floats with all their digits and None as nothing."""
    maps, signal = " ".join(map(str, removal.maps)), float(removal.signal)
    cells = vars(removal) | {"count": len(removal.maps), "maps": maps, "signal": signal}
    return [cells[column] for column in COLUMNS]


def _removal(row: list[str], where: str) -> Removal:
    try:
        cells = dict(zip(COLUMNS, row, strict=True))
        removal = Removal(**{name: READ[kind](cells[name]) for name, kind in KINDS.items()})
        if len(removal.maps) != int(cells["count"]):
            raise ValueError(f"count is {cells['count']}, but there are {len(removal.maps)} maps")
    except ValueError as error:
        raise DataError(f"{where}: not a removal ({error})") from error
    return removal


READ: dict[Any, Callable[[str], Any]] = {
    int: int,
    str: str,
    float: float,
    float | None: lambda cell: float(cell) if cell else None,
    tuple[int, ...]: lambda cell: tuple(map(int, cell.split())),
}
"""What a cell says, by the type of its field."""
