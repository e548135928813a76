"""Small pictures, and files made of them."""

import io
import struct
import zlib
from functools import cache
from typing import Any

from PIL import Image, ImageCms

Image.init()
AVIF = "AVIF" in Image.SAVE
"""Whether this Pillow has AVIF."""


def corners(mode: str = "RGB") -> Image.Image:
    """Four colours, one in each corner, 48 x 32."""
    image = Image.new("RGB", (48, 32), (200, 30, 30))
    image.paste((30, 200, 30), (24, 0, 48, 16))
    image.paste((30, 30, 200), (0, 16, 24, 32))
    image.paste((200, 200, 200), (24, 16, 48, 32))
    if mode == "RGBA":  # WebP drops an alpha channel that is opaque all over
        image = image.convert("RGBA")
        image.putpixel((47, 31), (200, 200, 200, 250))
    return image.convert(mode)


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache  # a profile tells the second it was made in
def swapped_profile() -> bytes:
    """The sRGB profile with its red and green primaries exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    return profile.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def chunk(name: bytes, content: bytes, sound: bool = True) -> bytes:
    sum_ = zlib.crc32(name + content) ^ (not sound)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum_)


def png(*chunks: bytes, image: Image.Image | None = None, late: bytes = b"", **options: object) -> bytes:
    """A PNG with chunks behind its header, and some before its end."""
    file = stored(image or corners(), "PNG", **options)
    return file[:33] + b"".join(chunks) + file[33:-12] + late + file[-12:]
