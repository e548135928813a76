"""A PNG is its picture, whatever stands in the chunks beside it."""

import struct
import zlib

import numpy as np
import pytest
from pictures import chunk, corners, png, stored, swapped_profile
from PIL import Image, PngImagePlugin

from gaze.errors import ImageError
from gaze.images import Keep, open_photo
from gaze.images.metadata import MAX_PROFILE

XMP = b"XML:com.adobe.xmp\0\0\0\0\0"


def pixels(file: bytes, keep: Keep = Keep()) -> np.ndarray:
    return np.asarray(open_photo(file, keep=keep, strict=True).image)


@pytest.mark.parametrize(
    "name", [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"iCCP", b"eXIf", b"cICP", b"tRNS"]
)
@pytest.mark.parametrize("content", [b"", b"\0", b"a\0b", b"key\0text of some length, which is no number"])
def test_a_damaged_chunk_beside_the_picture_leaves_the_picture(name: bytes, content: bytes):
    extra = chunk(name, content, sound=False)
    for file in (png(extra), png(late=extra), png(extra, extra, late=extra)):
        assert np.array_equal(pixels(file), np.asarray(corners()))


def test_a_damaged_chunk_of_the_picture_is_an_error():
    file = bytearray(png())
    file[29] ^= 1  # of the header's checksum
    with pytest.raises(ImageError, match="its PNG header is damaged"):
        open_photo(bytes(file))


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt"])
def test_text_may_be_of_any_length(kind: str):
    text = b" " * 2**21
    packed = zlib.compress(text)
    content = {"zTXt": b"Comment\0\0" + packed, "iTXt": b"Comment\0\1\0\0\0" + packed, "tEXt": b"Comment\0" + text}[
        kind
    ]
    for file in (png(chunk(kind.encode(), content)), png(late=chunk(kind.encode(), content))):
        assert np.array_equal(pixels(file, Keep(metadata=True)), np.asarray(corners()))


def padded(length: int) -> bytes:
    """A profile of this length, which exchanges red and green."""
    profile = bytearray(swapped_profile())
    profile += np.random.default_rng(0).bytes(length - len(profile))
    profile[:4] = struct.pack(">I", length)
    return bytes(profile)


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


def test_a_long_profile_counts_up_to_its_limit():
    expected = pixels(png(iccp(swapped_profile())))
    assert not np.array_equal(expected, np.asarray(corners()))
    assert np.array_equal(pixels(png(iccp(padded(1_500_000)))), expected)
    assert np.array_equal(pixels(png(iccp(padded(MAX_PROFILE + 1)))), np.asarray(corners()))


def test_a_text_of_many_megabytes_is_not_unpacked_for_nothing():
    bomb = chunk(b"iTXt", XMP[:18] + b"\1\0\0\0" + zlib.compress(bytes(2**26), 9))
    photo = open_photo(png(bomb), keep=Keep(metadata=True))
    assert photo.xmp is None
    kept = open_photo(png(chunk(b"iTXt", XMP + b"<x/>")), keep=Keep(metadata=True))
    assert kept.xmp == b"<x/>"
    packed = chunk(b"iTXt", XMP[:18] + b"\1\0\0\0" + zlib.compress(b"<x/>"))
    assert open_photo(png(packed), keep=Keep(metadata=True)).xmp == b"<x/>"


def test_orientation_from_an_old_text_chunk_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = f"\nexif\n{len(raw):8}\n{raw.hex()}\n".encode()
    for extra in (chunk(b"tEXt", b"Raw profile type exif\0" + text),
                  chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))):  # fmt: skip
        assert open_photo(png(extra)).image.size == (32, 48)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_one_grey_may_be_transparent(bits: int):
    """The values 0 to 2**bits - 1, in a row; one of them is clear."""
    count = min(2**bits, 16)
    values = np.arange(count) * (2**bits // count)
    clear = int(values[count // 2])
    packed = np.array([[v >> k & 1 for k in reversed(range(bits))] for v in values], np.uint8).reshape(-1)
    row = np.packbits(packed).tobytes()
    header = struct.pack(">IIBBBBB", count, 1, bits, 0, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", clear))
    photo = open_photo(file + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b""))
    shown = np.asarray(photo.image)[0]
    assert photo.image.mode == "RGBA"
    assert (shown[:, 3] == 255 * (values != clear)).all()
    assert np.abs(shown[:, 0] - values * 255 / (2**bits - 1)).max() <= 0.5


def test_one_colour_of_sixteen_bits_may_be_transparent():
    values = np.array([[0x1234, 0x5678, 0x9ABC], [0xFFFF, 0, 0x8000]])
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", values[0].astype(">u2").tobytes())
    row = b"\0" + values.astype(">u2").tobytes()
    photo = open_photo(file + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b""))
    assert np.asarray(photo.image)[0, :, 3].tolist() == [0, 255]


def test_parts_of_an_animation_stay():
    frames = [Image.new("RGB", (48, 32), shade) for shade in ("red", "lime", "blue")]
    file = png(chunk(b"tEXt", b"a\0b", sound=False), image=frames[0], late=chunk(b"zTXt", b"no", sound=False),
               save_all=True, append_images=frames[1:], duration=70)  # fmt: skip
    photo = open_photo(file, frames=None)
    assert [frame.image.getpixel((5, 5)) for frame in photo.frames] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert [frame.milliseconds for frame in photo.frames] == [70] * 3


def test_metadata_of_a_sound_png_are_kept():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>", zip=True)
    assert open_photo(stored(corners(), "PNG", pnginfo=info), keep=Keep(metadata=True)).xmp == b"<x:xmpmeta/>"
