"""Changes that know how a file is built: its parts are changed, lost, repeated and exchanged, their lengths stay right.

So what is damaged lies deeper than where a decoder looks first.
"""

import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Part(NamedTuple):
    """A piece of a file: a name, from which `join` makes what stands before the content, and the content."""

    name: bytes
    content: bytes


Change = Callable[[random.Random, bytearray], Any]
Split = Callable[[bytes], list[Part]]
Join = Callable[[list[Part]], bytes]

TAGS = (254, 256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 317, 320, 322, 324, 330, 338, 339, 700, 34665, 34675)
"""Of TIFF: sizes, places, kinds, and where more tags are."""

NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 255, 256, 1000, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def split_jpeg(file: bytes) -> list[Part]:
    """Segments, and the data of scans between restarts; a part without a name is data."""
    parts, at = [], 2
    while at + 4 <= len(file):
        if file[at] == 0xFF and file[at + 1] not in (0, 0xFF) and file[at + 1] not in range(0xD0, 0xDA):
            length = int.from_bytes(file[at + 2 : at + 4], "big")
            parts.append(Part(file[at : at + 2], file[at + 4 : at + 2 + length]))
            at += 2 + max(2, length)
            continue
        end = re.compile(rb"\xff[\x01-\xfe]").search(file, at + 2)
        stop = end.start() if end else len(file)
        parts.append(Part(b"", file[at:stop]))
        at = stop
    return parts


def join_jpeg(parts: list[Part]) -> bytes:
    """The file again."""
    body = [
        name + struct.pack(">H", min(len(content) + 2, 65535)) + content if name else content for name, content in parts
    ]
    return b"\xff\xd8" + b"".join(body) + (b"" if parts and parts[-1].content.endswith(b"\xff\xd9") else b"\xff\xd9")


def split_png(file: bytes) -> list[Part]:
    """Chunks."""
    parts, at = [], 8
    while at + 12 <= len(file):
        length = int.from_bytes(file[at : at + 4], "big")
        parts.append(Part(file[at + 4 : at + 8], file[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def join_png(parts: list[Part]) -> bytes:
    """The file again, its checksums right."""
    body = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def split_webp(file: bytes) -> list[Part]:
    """Chunks."""
    parts, at = [], 12
    while at + 8 <= len(file):
        length = int.from_bytes(file[at + 4 : at + 8], "little")
        parts.append(Part(file[at : at + 4], file[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return parts


def join_webp(parts: list[Part]) -> bytes:
    """The file again."""
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def split_gif(file: bytes) -> list[Part]:
    """The header, then blocks: extensions, images."""
    at = 13 + _palette(file[10])
    parts = [Part(b"", file[:at])]
    while at < len(file) and file[at] in b"!,":
        start = at
        at += 2 if file[at] == 0x21 else 11 + _palette(file[at + 9])
        while at < len(file) and file[at]:
            at += 1 + file[at]
        at += 1
        parts.append(Part(b"", file[start:at]))
    return [*parts, Part(b"", file[at:])]


def _palette(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 128 else 0


def join_plain(parts: list[Part]) -> bytes:
    """The parts in their order."""
    return b"".join(part.content for part in parts)


CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
"""Boxes that hold boxes, behind so many bytes of their own."""


def split_boxes(file: bytes) -> list[Part]:
    """Boxes of an AVIF or HEIF."""
    parts, at = [], 0
    while at + 8 <= len(file):
        length = max(8, int.from_bytes(file[at : at + 4], "big"))
        parts.append(Part(file[at + 4 : at + 8], file[at + 8 : at + length]))
        at += length
    return parts


def join_boxes(parts: list[Part]) -> bytes:
    """The boxes again."""
    return b"".join(struct.pack(">I", len(content) + 8) + name + content for name, content in parts)


def change_boxes(draw: random.Random, content: bytes, changes: tuple[Change, ...]) -> bytes:
    """Changes a box, or goes into one that holds boxes."""
    parts = split_boxes(content)
    inner = [number for number, part in enumerate(parts) if part.name in CONTAINERS]
    if not inner or draw.random() < 0.2:
        return join_boxes(change_parts(draw, parts, changes))
    number = draw.choice(inner)
    own = CONTAINERS[parts[number].name]
    name, old = parts[number]
    parts[number] = Part(name, old[:own] + change_boxes(draw, old[own:], changes))
    return join_boxes(parts)


def change_tiff(draw: random.Random, content: bytes) -> bytes:
    """Changes entries of the directories of a TIFF, or of EXIF, which is one."""
    file = bytearray(content)
    if len(file) < 14 or file[2:4] not in (b"*\0", b"\0*"):
        return content
    order = "<" if file[:2] == b"II" else ">"
    at = struct.unpack_from(f"{order}I", file, 4)[0]
    if at + 2 > len(file):
        return content
    count = struct.unpack_from(f"{order}H", file, at)[0]
    for _ in range(draw.choice([1, 1, 2, 5])):
        entry = at + 2 + 12 * draw.randrange(count + 1)
        if entry + 12 > len(file):
            continue
        what = draw.randrange(6)
        if what == 0:
            struct.pack_into(f"{order}H", file, entry, draw.choice(TAGS))
        elif what == 1:
            struct.pack_into(f"{order}H", file, entry + 2, draw.randrange(19))
        elif what == 2:
            struct.pack_into(f"{order}I", file, entry + 4, draw.choice(NUMBERS))
        elif what in (3, 4):
            struct.pack_into(f"{order}I", file, entry + 8, draw.choice([*NUMBERS, at, len(file) - 1]))
        else:
            other = at + 2 + 12 * draw.randrange(max(1, count))
            if other + 12 <= len(file):
                file[entry : entry + 12] = file[other : other + 12]
    if draw.random() < 0.1 and at + 2 + 12 * count + 4 <= len(file):  # the next directory
        struct.pack_into(f"{order}I", file, at + 2 + 12 * count, draw.choice([at, 8, 2**32 - 1]))
    return bytes(file)


def change_profile(draw: random.Random, content: bytes) -> bytes:
    """Changes the header or the table of tags of an ICC profile."""
    file = bytearray(content)
    if len(file) < 144:
        return content
    place = draw.choice([0, 8, 12, 16, 20, 36, 64, 128, 132 + 12 * draw.randrange(12) + 4 * draw.randrange(3)])
    words = [b"GRAY", b"CMYK", b"Lab ", b"XYZ ", b"RGB ", b"curv", b"para", b"mft2", b"mAB ", b"link", b"abst"]
    change = draw.choice([*words, *(struct.pack(">I", number) for number in NUMBERS)])
    file[place : place + 4] = change
    return bytes(file)


def change_xmp(draw: random.Random, content: bytes) -> bytes:
    """Puts something long or wrong into XMP."""
    words = [
        b"<xmp:Thumbnails>",
        b"</xmp:Thumbnails>",
        b" tiff:Orientation='",
        b"<tiff:Orientation>",
        b" ",
        b"\0",
        b"\xff",
    ]
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice(words) * draw.choice([1, 3, 3000]) + content[at:]


def change_inner(draw: random.Random, part: Part, changes: tuple[Change, ...]) -> Part:
    """A part whose content is changed, by what it is where that is known."""
    content = part.content
    if content.startswith(b"Exif\0\0") and draw.random() < 0.8:
        return Part(part.name, content[:6] + change_tiff(draw, content[6:]))
    if part.name in (b"eXIf", b"EXIF") and draw.random() < 0.8:
        return Part(part.name, change_tiff(draw, content))
    if content.startswith(b"ICC_PROFILE\0"):
        return Part(part.name, content[:14] + change_profile(draw, content[14:]))
    if part.name in (b"ICCP", b"colr"):
        return Part(part.name, change_profile(draw, content))
    if part.name == b"iCCP" and draw.random() < 0.8:
        name, _, packed = content.partition(b"\0")
        try:
            return Part(part.name, name + b"\0\0" + zlib.compress(change_profile(draw, zlib.decompress(packed[1:]))))
        except zlib.error:
            pass
    if part.name == b"XMP " or b"xap/1.0/" in content[:40] or content.startswith(b"XML:com.adobe.xmp"):
        return Part(part.name, content[:29] + change_xmp(draw, content[29:]))
    if part.name == b"IDAT" and draw.random() < 0.5:
        try:
            return Part(part.name, zlib.compress(any_change(draw, zlib.decompress(content), changes)))
        except zlib.error:
            pass
    return Part(part.name, any_change(draw, content, changes))


def any_change(draw: random.Random, content: bytes, changes: tuple[Change, ...]) -> bytes:
    """One of the changes that know nothing of a file, or a number in the place of one."""
    changed = bytearray(content or b"\0")
    if draw.random() < 0.4 and len(changed) >= 4:
        layout = draw.choice(["B", ">H", "<H", ">I", "<I"])
        size = struct.calcsize(layout)
        number = min(draw.choice(NUMBERS), 256**size - 1)
        struct.pack_into(layout, changed, draw.randrange(min(40, len(changed) - size + 1)), number)
    else:
        draw.choice(changes)(draw, changed)
    return bytes(changed)


def restarts(draw: random.Random, parts: list[Part]) -> list[Part]:
    """Puts restarts, or an interval for them, into a JPEG."""
    if draw.random() < 0.5:
        interval = Part(b"\xff\xdd", struct.pack(">H", draw.choice([0, 1, 2, 7, 100, 65535])))
        parts.insert(draw.randrange(len(parts) + 1), interval)
    data = [number for number, part in enumerate(parts) if not part.name]
    for _ in range(draw.choice([0, 1, 9])):
        number = draw.choice(data) if data else 0
        if number < len(parts) and not parts[number].name:
            content, at = parts[number].content, draw.randrange(len(parts[number].content) + 1)
            parts[number] = Part(b"", content[:at] + bytes([0xFF, 0xD0 + draw.randrange(8)]) + content[at:])
    return parts


def change_parts(draw: random.Random, parts: list[Part], changes: tuple[Change, ...]) -> list[Part]:
    """Changes, loses, repeats or exchanges parts."""
    for _ in range(draw.choice([1, 1, 2, 4])):
        if not parts:
            break
        one, other = draw.randrange(len(parts)), draw.randrange(len(parts))
        what = draw.randrange(8)
        if what == 0:
            del parts[one]
        elif what == 1:
            parts[other:other] = [parts[one]] * draw.choice([1, 1, 2, 300])
        elif what == 2:
            parts[one], parts[other] = parts[other], parts[one]
        elif what == 3:
            parts[one] = Part(parts[other].name, parts[one].content)
        else:
            parts[one] = change_inner(draw, parts[one], changes)
    return parts


KINDS: dict[str, tuple[Split, Join]] = {
    "JPEG": (split_jpeg, join_jpeg),
    "PNG": (split_png, join_png),
    "WEBP": (split_webp, join_webp),
    "GIF": (split_gif, join_plain),
}


def restructured(draw: random.Random, kind: str, content: bytes, changes: tuple[Change, ...]) -> bytes:
    """A sound file of a format, changed within its structure; of another format, as it is."""
    if kind == "TIFF":
        return change_tiff(draw, content)
    if kind in ("AVIF", "HEIF"):
        return change_boxes(draw, content, changes)
    if kind not in KINDS:
        return content
    split, join = KINDS[kind]
    parts = split(content)
    if kind == "JPEG" and draw.random() < 0.3:
        parts = restarts(draw, parts)
    return join(change_parts(draw, parts, changes))
