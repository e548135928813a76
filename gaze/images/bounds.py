"""What a small file could make Pillow work on for minutes: refused before it does."""

import re
from typing import BinaryIO

from gaze.errors import ImageError

_HEADER = 2**16
"""Bytes that a PPM's header has at most; Pillow reads it byte by byte."""

_COMMENTS = 1000
"""Comments among the numbers of a plain PPM at most; Pillow moves a megabyte for each."""

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PPM = re.compile(rb"P(?:[14](?:%s\d+){2}|[2356](?:%s\d+){3})[\s#]" % (_GAP, _GAP))

MAX_FRAMES = 10_000
"""An animation has no more."""


def check_ppm(file: BinaryIO) -> None:
    """Refuses a PPM of a long header or of many comments.

    Raises:
        ImageError: it is one, or no PPM.
    """
    file.seek(0)
    head = file.read(_HEADER)
    if not _PPM.match(head):
        raise ImageError(f"not an image that gaze can read: its PPM header is damaged, or longer than {_HEADER} bytes")
    if head[1:2] in b"123":
        comments = head.count(b"#")
        while comments <= _COMMENTS and (block := file.read(2**20)):
            comments += block.count(b"#")
        if comments > _COMMENTS:
            raise ImageError(f"a PPM file of more than {_COMMENTS} comments")


def check_gif_frames(file: BinaryIO) -> None:
    """Refuses a GIF of more than `MAX_FRAMES` frames, without looking at what is in them.

    Raises:
        ImageError: it is one.
    """
    file.seek(10)
    flags = file.read(3)[:1]
    file.seek(13 + _palette(flags))
    frames = 0
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b",":
            frames += 1
            file.seek(_palette(file.read(9)[8:]) + 1, 1)
        else:
            file.seek(1, 1)
        while length := file.read(1)[:1]:
            if length == b"\0":
                break
            file.seek(length[0], 1)
        if frames > MAX_FRAMES:
            raise ImageError(f"an animation of more than {MAX_FRAMES} frames")


def _palette(flags: bytes) -> int:
    """Bytes of the palette that the flags announce."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 128 else 0
