"""One reader per data set: a folder in, a list of images out, each with its gaze read when its turn comes."""

from gaze.data.readers import cat2000, folder, mit1003, osie, salicon
from gaze.data.readers.entry import Entry, Gaze, Reader

READERS: dict[str, Reader] = {
    "cat2000": cat2000.read,
    "folder": folder.read,
    "mit1003": mit1003.read,
    "osie": osie.read,
    "salicon": salicon.read,
}

__all__ = ["READERS", "Entry", "Gaze", "Reader"]
