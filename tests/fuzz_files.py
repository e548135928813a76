"""Sound files of every format that gaze reads, and what damages them; the same each time."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from fuzz_structure import restructured
from PIL import Image, ImageCms


def picture(mode: str = "RGB", size: tuple[int, int] = (97, 61)) -> Image.Image:
    """A gradient with an edge, the same each time."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    rgb = np.stack([x * 255 // size[0], y * 255 // size[1], (x // 16 + y // 16) % 2 * 200], axis=-1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(Image.fromarray((x * 2).astype(np.uint8)))
    if mode in ("I", "I;16"):
        return Image.fromarray((x * 600).astype(np.int32 if mode == "I" else np.uint16))
    if mode == "F":
        return Image.fromarray((x / size[0]).astype(np.float32))
    if mode == "LAB":
        profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
        return ImageCms.profileToProfile(image, *profiles, outputMode="LAB")  # type: ignore[return-value]
    return image.quantize(16) if mode == "P" else image.convert(mode)


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """An encoded picture."""
    buffer = io.BytesIO()
    picture(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def moving(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """An encoded animation of three frames."""
    frames = [picture(mode).rotate(angle) for angle in (0, 90, 180)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=40, loop=2, **options)
    return buffer.getvalue()


def deep(suffix: str) -> bytes:
    """Three channels of 16 bits."""
    return cv2.imencode(suffix, np.asarray(picture()).astype(np.uint16) * 257)[1].tobytes()


def tagged(orientation: int) -> bytes:
    """EXIF with an orientation, a maker and a place."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    exif[0x8825] = {1: "N"}
    return exif.tobytes()


@cache
def whole() -> dict[str, list[bytes]]:
    """Sound files of every format that this Pillow has."""
    more = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "exif": tagged(6)}
    xmp = {"xmp": b"<x:xmpmeta tiff:Orientation='6'/>"}
    plain = b"P3 # text\n3 2\n255\n" + b" ".join(b"%d" % value for value in range(18))
    files = {
        "JPEG": [saved("JPEG", mode) for mode in ("RGB", "L", "CMYK")]
        + [saved("JPEG", progressive=True, **more), saved("JPEG", comment=b"c", subsampling=0, **more, **xmp)]
        + [moving("MPO"), saved("JPEG", "CMYK", progressive=True, restart_marker_rows=1)],
        "PNG": [saved("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
        + [moving("PNG", "RGBA"), moving("PNG", default_image=True), deep(".png"), saved("PNG", **more)]
        + [saved("PNG", "P", transparency=3), saved("PNG", transparency=(0, 0, 0))],
        "GIF": [saved("GIF", "P"), saved("GIF", "L", comment=b"c"), saved("GIF", "P", transparency=1)]
        + [moving("GIF", disposal=disposal) for disposal in (0, 2)]
        + [moving("GIF", "P", transparency=1, disposal=3), moving("GIF", "RGBA")],
        "BMP": [saved("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")],
        "PPM": [saved("PPM", mode) for mode in ("1", "L", "RGB", "I")] + [plain, b"P2 2 1 9 1 9", b"P1 2 2 1 0 0 1"],
        "WEBP": [saved("WEBP", mode) for mode in ("L", "RGB", "RGBA")]
        + [
            saved("WEBP", "RGBA", lossless=True),
            moving("WEBP", "RGBA"),
            moving("WEBP", lossless=True),
            saved("WEBP", **more, **xmp),
        ],
        "TIFF": [saved("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F")]
        + [saved("TIFF", compression=f"tiff_{name}") for name in ("lzw", "adobe_deflate", "jpeg")]
        + [saved("TIFF", "1", compression="group4"), saved("TIFF", compression="packbits"), saved("TIFF", **more)]
        + [moving("TIFF"), deep(".tiff"), saved("TIFF", big_tiff=True)],
    }
    Image.init()
    if "AVIF" in Image.SAVE:
        files["AVIF"] = [saved("AVIF"), saved("AVIF", "RGBA"), saved("AVIF", "L"), moving("AVIF", "RGBA")]
        files["AVIF"].append(saved("AVIF", **more, **xmp))
    with_heif(files, more)
    return files


def with_heif(files: dict[str, list[bytes]], more: dict[str, bytes]) -> None:
    """Adds HEIF where its package is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()
    files["HEIF"] = [saved("HEIF"), saved("HEIF", "RGBA"), saved("HEIF", "L"), moving("HEIF"), saved("HEIF", **more)]


Change = Callable[[random.Random, bytearray], Any]


def place(draw: random.Random, content: bytearray) -> int:
    """Anywhere, but half the time where headers are."""
    return draw.randrange(max(1, min(len(content), draw.choice([64, 1024, len(content), len(content)]))))


def flip(draw: random.Random, content: bytearray) -> None:
    for _ in range(draw.choice([1, 1, 4, 32])):
        content[place(draw, content)] ^= 1 << draw.randrange(8)


def overwrite(draw: random.Random, content: bytearray) -> None:
    at, length = place(draw, content), draw.choice([2, 16, 200])
    run = draw.choice([bytes(length), b"\xff" * length, draw.randbytes(length)])
    content[at : at + length] = run[: len(content) - at]


def insert(draw: random.Random, content: bytearray) -> None:
    at = place(draw, content)
    content[at:at] = draw.randbytes(draw.choice([1, 3, 100]))


def remove(draw: random.Random, content: bytearray) -> None:
    at = place(draw, content)
    del content[at : at + draw.choice([1, 3, 100])]


def truncate(draw: random.Random, content: bytearray) -> None:
    del content[place(draw, content) + 1 :]


def lie(draw: random.Random, content: bytearray) -> None:
    """Puts a number where there may have been another: sides, lengths, counts, offsets."""
    layout = draw.choice(["B", "<H", ">H", "<I", ">I"])
    value = draw.choice([0, 1, 2, 7, 255, 5000, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
    at = place(draw, content)
    number = struct.pack(layout, min(value, 256 ** struct.calcsize(layout) - 1))
    content[at : at + len(number)] = number


def swap(draw: random.Random, content: bytearray) -> None:
    """Exchanges two pieces."""
    a, b, c, d = sorted(draw.randrange(len(content) + 1) for _ in range(4))
    content[a:d] = content[c:d] + content[b:c] + content[a:b]


def repeat(draw: random.Random, content: bytearray) -> None:
    at = place(draw, content)
    content[at:at] = content[at : at + draw.choice([4, 30, 300])] * draw.choice([1, 3])


def join(draw: random.Random, content: bytearray) -> None:
    """Goes on with the end, or all, of a file of any format."""
    other = draw.choice(draw.choice(list(whole().values())))
    del content[draw.choice([len(content), place(draw, content)]) :]
    content += other[draw.choice([0, draw.randrange(len(other))]) :]


CHANGES: tuple[Change, ...] = (flip, overwrite, insert, remove, truncate, lie, lie, swap, repeat, join)


def with_sums(content: bytearray) -> None:
    """Makes the checksums of a PNG right again, without which a decoder would look no further."""
    at = 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[at + 4 : end]))[: max(0, len(content) - end)]
        at = end + 4


def damaged(seed: int, number: int) -> tuple[str, bytes]:
    """The format and the content of file `number` of a seed."""
    draw = random.Random(f"{seed}:{number}")
    kind = draw.choice(list(whole()))
    content = bytearray(draw.choice(whole()[kind]))
    if draw.random() < 0.6:
        content = bytearray(restructured(draw, kind, bytes(content), CHANGES)) or bytearray(b"\0")
        if draw.random() < 0.8:
            return kind, bytes(content)
    for _ in range(draw.choice([0, 1, 1, 2, 4])):
        draw.choice(CHANGES)(draw, content)
        content = content or bytearray(b"\0")
    if kind == "PNG" and draw.random() < 0.7:
        with_sums(content)
    return kind, bytes(content)
