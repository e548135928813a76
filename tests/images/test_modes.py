import struct

import cv2
import numpy as np
import pytest
from pictures import corners, stored, swapped_profile
from PIL import Image

from gaze.images import as_rgb, decode, open_photo


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str):
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    expected = np.asarray(corners("L" if mode in ("1", "L", "LA", "I;16") else "RGB").convert("RGB")).astype(int)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(corners("L")).astype(np.uint16) * 257)
    elif mode == "1":
        image = Image.fromarray(np.asarray(corners("L")) > 100)
        expected = (expected > 100) * 255
    elif mode == "P":
        image = corners().quantize(4)
    else:
        image = corners(mode)
    pixels = decode(stored(image, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {})))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).max() <= 8


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_half(kind: str):
    values = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(np.uint16)
    pixels = decode(stored(Image.fromarray(values), kind))
    assert np.array_equal(pixels[:, :, 0], np.round(values / 257).astype(np.uint8))


def tiff(values: np.ndarray, photometric: int, bits: int, sample_format: int = 1) -> bytes:
    """Grey in one strip, stored as it is."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height),
            (279, values.nbytes), (339, sample_format)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, 4 if value > 65535 else 3, 1, value) for tag, value in tags)
    start = struct.pack("<I", 8 + values.nbytes)
    return b"II*\0" + start + values.tobytes() + struct.pack("<H", len(tags)) + table + bytes(4)


@pytest.mark.parametrize(("kind", "bits", "sample_format"), [("u1", 8, 1), ("<u2", 16, 1), ("<f4", 32, 3)])
def test_black_is_black_where_white_is_zero(kind: str, bits: int, sample_format: int):
    values = np.linspace(0, 1 if kind == "<f4" else 2**bits - 1, 32 * 48).reshape(32, 48).astype(kind)
    plain, negative = (decode(tiff(values, photometric, bits, sample_format))[:, :, 0] for photometric in (1, 0))
    assert (plain[0, 0], plain[-1, -1]) == (0, 255)
    assert np.abs(255 - negative.astype(int) - plain).max() <= 1


@pytest.mark.parametrize(("kind", "sample_format", "white"), [("<u4", 1, 2**32 - 1), ("<i4", 2, 2**31 - 1)])
def test_thirty_two_bits_keep_their_upper_eight(kind: str, sample_format: int, white: int):
    values = np.linspace(0, white, 32 * 48).reshape(32, 48).astype(kind)
    pixels = decode(tiff(values, 1, 32, sample_format))[:, :, 0]
    assert np.abs(pixels - values.astype(float) * 255 / white).max() <= 0.6
    small = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(kind)  # which 16 bits would hold
    assert np.abs(decode(tiff(small, 1, 32, sample_format))[:, :, 0] - small * (255 / 65535)).max() <= 0.6


@pytest.mark.parametrize("mode", ["I;16", "F", "LA", "RGBA"])
def test_work_in_bands_changes_no_pixel(mode: str, monkeypatch: pytest.MonkeyPatch):
    grey = np.asarray(corners("L").resize((47, 31), Image.Resampling.BICUBIC))
    if mode in ("I;16", "F"):
        image = Image.fromarray(grey.astype(np.uint16 if mode == "I;16" else np.float32) * 3)
    else:
        image = corners("RGB").resize((47, 31)).convert(mode)
        image.putalpha(Image.fromarray(grey))
    whole = as_rgb(image)
    monkeypatch.setattr("gaze.images.color._BAND", 200)
    assert np.array_equal(as_rgb(image), whole)


def test_floating_point_tiff():
    values = np.linspace(0, 1, 32 * 48, dtype=np.float32).reshape(32, 48)
    values[0, 1] = np.nan
    pixels = decode(stored(Image.fromarray(values), "TIFF"))[:, :, 0]
    assert (pixels[0, 0], pixels[0, 1], pixels[-1, -1]) == (0, 0, 255)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_profile_is_converted_to_srgb(kind: str, mode: str):
    if (kind, mode) == ("JPEG", "RGBA"):
        mode = "RGB"
    photo = open_photo(stored(corners(mode), kind, icc_profile=swapped_profile()))
    assert photo.image.mode == mode
    red, green, blue = photo.image.getpixel((5, 5))[:3]
    assert green > 150 > 80 > max(red, blue)
    assert "icc_profile" not in photo.image.info


def test_gray_photo_with_a_profile_stays_gray():
    photo = open_photo(stored(corners("L"), "PNG", icc_profile=swapped_profile()))
    assert photo.image.mode == "L"


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:200]])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_damaged_or_foreign_profile_is_ignored(profile: bytes, mode: str):
    expected = corners(mode).convert("RGB")
    assert np.array_equal(decode(stored(corners(mode), "TIFF", icc_profile=profile)), np.asarray(expected))


def cmyk() -> Image.Image:
    """Inks whose colours any naive conversion knows: 255 is full ink."""
    image = Image.new("CMYK", (64, 64), (0, 255, 255, 0))  # red
    image.paste((255, 0, 255, 0), (32, 0, 64, 32))  # green
    image.paste((0, 0, 0, 255), (0, 32, 32, 64))  # black
    image.paste((0, 0, 0, 0), (32, 32, 64, 64))  # white
    return image


INKS = {(16, 16): (255, 0, 0), (48, 16): (0, 255, 0), (16, 48): (0, 0, 0), (48, 48): (255, 255, 255)}


def test_cmyk_of_a_tiff_and_inverted_as_adobe_writes_it():
    for file in (stored(cmyk(), "TIFF"), stored(cmyk(), "JPEG", quality=100, subsampling=0)):
        pixels = decode(file)
        for (x, y), color in INKS.items():
            assert np.abs(pixels[y, x].astype(int) - color).max() <= 3
    assert b"Adobe" in file


def test_ycck():
    """Inks as YCbCr and black inverted, as in libjpeg's jccolor.c after Adobe; a 2 in Adobe's marker says so."""
    inks = np.asarray(cmyk())
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(inks[:, :, :3])).convert("YCbCr"))
    channels = np.concatenate([ycc, 255 - inks[:, :, 3:]], axis=2)
    # Pillow inverts what it writes, so this is inverted before
    file = stored(Image.fromarray(255 - channels, "CMYK"), "JPEG", quality=100, subsampling=0)
    at = file.index(b"Adobe") + 11
    assert file[at] == 0
    pixels = decode(file[:at] + b"\2" + file[at + 1 :])
    for (x, y), color in INKS.items():
        assert np.abs(pixels[y, x].astype(int) - color).max() <= 4


def test_lab():
    """D65 white, mid grey and the sRGB primaries' places in CIELAB (D50), after the ICC's table."""
    known = {(100, 0, 0): (255, 255, 255), (53.6, 0, 0): (128, 128, 128), (54.3, 80.8, 69.9): (255, 0, 0)}
    for (lightness, a, b), color in known.items():
        image = Image.new("LAB", (8, 8), (round(lightness * 2.55), round(a) + 128, round(b) + 128))
        assert np.abs(decode(stored(image, "TIFF"))[0, 0].astype(int) - color).max() <= 6


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_sixteen_bits_in_three_channels(kind: str):
    values = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), np.uint16)
    assert np.array_equal(decode(cv2.imencode(kind, values)[1].tobytes()), values[:, :, ::-1] // 256)


def gray_profile(gamma: float) -> bytes:
    """A profile of one grey channel with a gamma, after ICC.1:2001, 6.3.1.2."""

    def text(words: bytes) -> bytes:
        return b"desc" + bytes(4) + struct.pack(">I", len(words) + 1) + words + bytes(1 + 8 + 3 + 67)

    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags = {b"desc": text(b"grey"), b"wtpt": white, b"kTRC": curve, b"cprt": b"text" + bytes(4) + b"none\0"}
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = bytearray(128)
    header[8:12], header[12:24], header[36:40] = b"\2\x10\0\0", b"mntrGRAYXYZ ", b"acsp"
    header[68:80] = struct.pack(">iii", 63190, 65536, 54061)
    header[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    return bytes(header) + table + body


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_is_converted_from_its_profile(mode: str):
    linear = (np.linspace(0.05, 1, 48) * 255).astype(np.uint8)[None].repeat(32, 0)
    image = Image.fromarray(linear.astype(np.uint16) * 257 if mode == "I;16" else linear)
    if mode == "LA":
        image.putalpha(200)
    photo = open_photo(stored(image, "PNG", icc_profile=gray_profile(1.0)))
    assert photo.image.mode == ("RGBA" if mode == "LA" else "L")
    light = linear / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255  # IEC 61966-2-1
    shown = np.asarray(photo.image.convert("RGB"), dtype=float)[:, :, 1]
    assert np.abs(shown - expected).max() <= 2.5
