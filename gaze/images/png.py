"""What of a PNG file makes its picture: a view of the file without the chunks that gaze does not need.

Pillow refuses a file for a checksum or the length of a text that has nothing to do with the pixels. After the PNG
specification (third edition, 13.2) such chunks are left out instead, as libpng does.
"""

import bisect
import io
import re
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from gaze.images.metadata import MAX_PROFILE, MAX_XMP

_LONGEST = 2**24
"""Longer chunks that describe the picture are left out."""

_PICTURE = frozenset({b"tRNS", b"acTL", b"fcTL"})
"""Ancillary chunks that make the picture, with `fdAT`, whose checksum nobody looks at."""

_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")
_XMP = b"XML:com.adobe.xmp"
_NAMED = (b"tEXt", b"zTXt", b"iTXt")


@dataclass
class PngNotes:
    """What the chunks that Pillow is not shown, or does not know, say of the picture."""

    bits: int = 8
    """Of a channel."""
    cicp: tuple[int, int] | None = None
    """Colour primaries and transfer function, after ITU-T H.273."""
    profile: bytes | None = None
    xmp: bytes | None = None


def picture_of(file: BinaryIO) -> tuple[BinaryIO, PngNotes]:
    """A PNG file without the chunks that are damaged or not needed, and what those say that are read here.

    Args:
        file: at any position; must stay open as long as the view is read.
    """
    notes, kept = PngNotes(), [(0, 8)]
    at = 8
    file.seek(at)
    while len(head := file.read(8)) == 8 and (name := head[4:]).isalpha():
        length = int.from_bytes(head[:4], "big")
        if _stays(file, name, length, notes):
            kept.append((at, length + 12))
        at += length + 12
        file.seek(at)
        if name == b"IEND":
            break
    else:  # the rest is no PNG, which is for the decoder to say
        kept.append((at, file.seek(0, io.SEEK_END) - at))
    return io.BufferedReader(_View(file, _joined(kept)), 2**16), notes


def _stays(file: BinaryIO, name: bytes, length: int, notes: PngNotes) -> bool:
    """Whether Pillow is shown a chunk; otherwise `notes` have what it says, if anything."""
    if name[:1].isupper() or name == b"fdAT":
        if name == b"IHDR":
            notes.bits = file.read(9)[8] if length >= 13 else 8
        return True
    known = name in _PICTURE or name in (b"eXIf", b"iCCP", b"cICP") or name in _NAMED
    if not known or length > _LONGEST:
        return False
    content = file.read(length)
    if file.read(4) != struct.pack(">I", zlib.crc32(content, zlib.crc32(name))):
        return False
    return _read(name, content, notes)


def _read(name: bytes, content: bytes, notes: PngNotes) -> bool:
    """Takes what a sound chunk says into `notes`; whether Pillow is to read it as well."""
    if name == b"cICP" and len(content) == 4:
        notes.cicp = (content[0], content[1])
    elif name == b"iCCP":
        notes.profile = _unpacked(content.partition(b"\0")[2][1:], MAX_PROFILE)
    elif name == b"iTXt" and content.startswith(_XMP + b"\0"):
        notes.xmp = _international(content[len(_XMP) + 1 :])
    elif name == b"tEXt":
        return content.startswith(_EXIF)
    elif name == b"zTXt":
        return content.startswith(_EXIF) and _unpacked(content.partition(b"\0")[2][1:], MAX_XMP) is not None
    return name in _PICTURE or name == b"eXIf"


def _international(content: bytes) -> bytes | None:
    """The text of an iTXt chunk from its compression flag on."""
    match = re.match(rb"([\0\1])\0[^\0]*\0[^\0]*\0", content)
    if match is None:
        return None
    text = content[match.end() :]
    if match[1] == b"\1":
        return _unpacked(text, MAX_XMP)
    return text if len(text) <= MAX_XMP else None


def _unpacked(content: bytes, most: int) -> bytes | None:
    """What was compressed; None where it is damaged or longer than `most`."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(content, most + 1)
    except zlib.error:
        return None
    return text if len(text) <= most and reader.eof else None


def _joined(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in fewer parts, each its start and length."""
    joined: list[tuple[int, int]] = []
    for start, length in parts:
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((start, length))
    return joined


class _View(io.RawIOBase):
    """Parts of a file, one after the other, as a file of its own."""

    def __init__(self, file: BinaryIO, parts: list[tuple[int, int]]) -> None:
        self._file, self._parts, self._at = file, parts, 0
        self._starts = [0]
        for _, length in parts:
            self._starts.append(self._starts[-1] + length)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        part = bisect.bisect_right(self._starts, self._at) - 1
        if part >= len(self._parts):
            return 0
        start, length = self._parts[part]
        inside = self._at - self._starts[part]
        self._file.seek(start + inside)
        content = self._file.read(min(len(buffer), length - inside))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
