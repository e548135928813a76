"""One reader per data set: a folder in, a list of images out, each with its gaze read when its turn comes.

A file here whose function is decorated with `@READERS.register(name)` is a reader; nothing else names it.
"""

from gaze.data.readers.entry import READERS, Entry, Gaze, Reader

__all__ = ["READERS", "Entry", "Gaze", "Reader"]
