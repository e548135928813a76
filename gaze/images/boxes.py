"""Colours that an AVIF or HEIF file names by numbers: its box `colr` of type `nclx` (ISO/IEC 14496-12, 12.1.5)."""

from collections.abc import Iterator
from typing import BinaryIO

_LONGEST = 2**20
"""A longer box of properties is not looked into."""

_MOST = 1000
"""Boxes that are looked at in one place."""


def colors_of(file: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer function, after ITU-T H.273, of the first picture that states them."""
    for name, start, end in _boxes_of(file):
        if name == b"meta":
            if end - start > _LONGEST:
                return None
            file.seek(start)
            return _nclx(file.read(end - start)[4:])
    return None


def _boxes_of(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the outermost boxes' contents."""
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        begin = 16 if length == 1 else 8
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        if len(head) < 8 or length < begin:
            return
        yield head[4:8], at + begin, at + length
        at += length


def _nclx(content: bytes) -> tuple[int, int] | None:
    for path in (b"iprp", b"ipco"):
        content = next((box for name, box in _boxes_in(content) if name == path), b"")
    for name, box in _boxes_in(content):
        if name == b"colr" and box[:4] == b"nclx" and len(box) >= 10:
            return int.from_bytes(box[4:6], "big"), int.from_bytes(box[6:8], "big")
    return None


def _boxes_in(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box."""
    at = 0
    for _ in range(_MOST):
        length = int.from_bytes(content[at : at + 4], "big")
        if length < 8:
            return
        yield content[at + 4 : at + 8], content[at + 8 : at + length]
        at += length
