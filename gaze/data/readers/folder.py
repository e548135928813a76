"""Any folder of images with a table of fixations or a folder of grey maps; EyeCrowd and Scene-500 come so."""

import logging
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from gaze.data.readers.entry import READERS, Entry, Gaze, is_image, require
from gaze.data.readers.faces import with_heads
from gaze.data.readers.maps import read_grey
from gaze.data.readers.table import Columns, read_table, table_fixations
from gaze.errors import DataError, one_line
from gaze.geometry import Size

_log = logging.getLogger(__name__)

LAYOUT = (
    "images in images/, in stimuli/ or in the folder itself, and fixations.csv"
    " (image,subject,order,x,y,duration_ms) or maps/ with a grey map of the same name for each"
)


@READERS.register("folder")
def read(root: Path) -> list[Entry]:
    """Lists the images, at any depth, with their rows of `fixations.csv` or, where they have none, their map.

    An image is named by its path below the folder of images. Its map has the same path below `maps/`, of
    any suffix. Images that the table names and that are not there are told of in the log. `faces.csv` in the folder
    tells where heads are.

    Raises:
        DataError: there are no images or no gaze, or the table is not one of fixations.
    """
    return with_heads(read_folder(root, LAYOUT), root)


def read_folder(root: Path, layout: str) -> list[Entry]:
    """As `read`; where there are no images or no gaze, the message of the `DataError` gives `layout`."""
    folder = next((root / name for name in ("images", "stimuli") if (root / name).is_dir()), root)
    table, maps = root / "fixations.csv", root / "maps"
    images = [path for path in sorted(folder.rglob("*")) if is_image(path) and maps not in path.parents]
    require(root, layout, images, [path for path in (table, maps) if path.exists()])
    rows = read_table(table) if table.exists() else {}
    drawn = {path.relative_to(maps).with_suffix(""): path for path in maps.rglob("*") if is_image(path)}
    entries = []
    for path in images:
        name = path.relative_to(folder)
        gaze = partial(_gaze, rows, name.as_posix(), drawn.get(name.with_suffix("")))
        entries.append(Entry(name.as_posix(), path, gaze))
    _tell_missing(table, rows, entries)
    return entries


def _tell_missing(table: Path, rows: Collection[str], entries: Iterable[Entry]) -> None:
    """Says in one line which images a table names that are not there."""
    missing = sorted(set(rows) - {entry.name for entry in entries})
    if missing:
        _log.warning(
            "%s: %d of %d images that it names are not there, the first %s",
            table, len(missing), len(rows), one_line(missing[0]),
        )  # fmt: skip


def _gaze(rows: dict[str, Columns], name: str, drawn: Path | None, size: Size) -> Gaze:
    if name in rows:
        return table_fixations(rows, name)
    if drawn is None:
        raise DataError("no row in fixations.csv and no map in maps/")
    return read_grey(drawn, size)
