"""Binary PPM and PGM files of any largest value, whose samples Pillow would scale one by one in Python.

Pillow decodes those at once whose largest value is 255, or 65535 in grey. A file of another gets between it and its
decoder what scales its samples as they are read. Source: netpbm, ppm(5) and pgm(5).
"""

from typing import BinaryIO

import numpy as np
from PIL import ImageFile

_SLOW = "ppm"
"""Pillow's decoder that scales."""


class ScaledSamples:
    """A binary PPM or PGM file as if its largest value were the usual one.

    Args:
        file: the file.
        offset: where its samples begin.
        header: to read in place of its own.
        most: its largest value, 1 to 65535.
        white: what that becomes: 255 or 65535.
    """

    def __init__(self, file: BinaryIO, offset: int, header: bytes, most: int, white: int) -> None:
        self._file, self._offset, self._header, self._most, self._white = file, offset, header, most, white
        self._stored, self._told = (np.dtype(">u2" if top > 255 else "u1") for top in (most, white))
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """To a place of the file as it reads; only from its start."""
        assert whence == 0
        self._at = offset
        return offset

    def tell(self) -> int:
        """Where that is."""
        return self._at

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        head = self._header[self._at : self._at + size]
        self._at += len(head)
        samples = self._samples(self._at - len(self._header), size - len(head)) if len(head) < size else b""
        self._at += len(samples)
        return head + samples

    def _samples(self, start: int, size: int) -> bytes:
        """Bytes of the scaled samples, from the one that holds `start`."""
        each = self._told.itemsize
        first, after = start // each, -(-(start + size) // each)
        self._file.seek(self._offset + first * self._stored.itemsize)
        stored = self._file.read((after - first) * self._stored.itemsize)
        values = np.frombuffer(stored, self._stored, len(stored) // self._stored.itemsize)
        scaled = np.rint(values / self._most * self._white).clip(0, self._white).astype(self._told).tobytes()
        return scaled[start - first * each :][:size]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def scaled_samples(image: ImageFile.ImageFile, file: BinaryIO) -> ScaledSamples | None:
    """What is to be opened in place of `file`, of which `image` was opened; None: it is decoded at once as it is."""
    name, _, offset, arguments = image.tile[0]
    if name != _SLOW:
        return None
    grey = image.mode in ("L", "I")
    white = 65535 if image.mode == "I" else 255
    header = b"P%d %d %d %d\n" % (5 if grey else 6, *image.size, white)
    assert isinstance(arguments, tuple)  # its mode and its largest value
    most = arguments[-1]
    return ScaledSamples(file, offset, header, int(most), white)
