"""One reader per data set: a folder in, a list of images out, each with its gaze read when its turn comes."""

from gaze.data.readers import osie, table
from gaze.data.readers.entry import Entry, Reader

READERS: dict[str, Reader] = {
    "osie": osie.read,
    "table": table.read,
}

__all__ = ["READERS", "Entry", "Reader"]
