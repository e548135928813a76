import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin, features

from gaze.errors import ImageError
from gaze.geometry import Box, Size
from gaze.images import (
    WRITTEN,
    Limits,
    as_rgb,
    cut,
    decode,
    encode,
    open_photo,
    output_format,
    output_suffix,
    write_atomic,
)

UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
"""EXIF orientation -> how a viewer turns what is stored, after the EXIF 2.3 table of tag 0x0112."""


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


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(kind: str, orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    photo = open_photo(stored(corners(), kind, exif=exif, **options))
    expected = UPRIGHT[orientation](np.asarray(corners()))
    assert (photo.size.height, photo.size.width) == expected.shape[:2]
    assert np.abs(np.asarray(photo.image).astype(int) - expected).max() <= 8


def test_damaged_exif_is_no_reason_to_refuse_a_photo():
    photo = open_photo(stored(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 20))
    assert photo.size == Size(48, 32)


def test_unknown_orientation_leaves_the_photo_as_it_is():
    exif = Image.Exif()
    exif[0x0112] = 9
    assert np.array_equal(decode(stored(corners(), "PNG", exif=exif)), np.asarray(corners()))


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


def test_floating_point_tiff():
    values = np.linspace(0, 1, 32 * 48, dtype=np.float32).reshape(32, 48)
    values[0, 1] = np.nan
    pixels = decode(stored(Image.fromarray(values), "TIFF"))[:, :, 0]
    assert (pixels[0, 0], pixels[0, 1], pixels[-1, -1]) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "P", "RGB", "LA"])
def test_transparent_parts_are_white_for_the_network_and_stay_transparent_in_the_photo(mode: str):
    if mode in ("RGBA", "LA"):
        image = corners(mode)
        image.paste(0, (0, 0, 24, 16))
        file = stored(image, "PNG")
    elif mode == "P":
        image = corners().quantize(4)
        file = stored(image, "PNG", transparency=image.getpixel((0, 0)))
    else:
        file = stored(corners(), "PNG", transparency=(200, 30, 30))
    photo = open_photo(file)
    assert photo.image.mode == "RGBA"
    assert photo.image.getpixel((0, 0))[3] == 0
    assert photo.image.getpixel((40, 30))[3] == 255
    assert decode(file)[0, 0].tolist() == [255, 255, 255]
    assert decode(file)[30, 40].tolist() == [200, 200, 200]


def swapped_profile() -> bytes:
    """The sRGB profile with its red and green primaries exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    return profile.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


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


def test_first_frame_of_an_animation():
    frames = [corners(), Image.new("RGB", (48, 32))]
    file = stored(frames[0].quantize(8), "GIF", save_all=True, append_images=[frames[1].quantize(8)])
    assert np.array_equal(decode(file), np.asarray(corners()))


def test_format_comes_from_the_content(tmp_path: Path):
    path = tmp_path / "liar.jpg"
    path.write_bytes(stored(corners(), "PNG"))
    photo = open_photo(path)
    assert photo.format == "PNG"
    assert output_suffix(photo, path.suffix) == ".png"


@pytest.mark.parametrize(
    ("kind", "suffix", "expected"),
    [("JPEG", ".JPEG", ".JPEG"), ("JPEG", ".jpg", ".jpg"), ("GIF", ".gif", ".gif"), ("BMP", "", ".png")],
)
def test_output_keeps_format_and_suffix_where_it_can(kind: str, suffix: str, expected: str):
    assert output_suffix(open_photo(stored(corners(), kind)), suffix) == expected
    assert output_format(expected) == (kind if kind in WRITTEN else "PNG")


def test_suffix_that_is_not_written_is_refused_with_the_choice():
    with pytest.raises(ImageError, match=r"^\.bmp: gaze writes \.jpg \.png"):
        output_format(".bmp")


def png_header(width: int, height: int) -> bytes:
    """A PNG file that says how large it is and then ends."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 10)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"this is no image\n", "not an image"),
    "zip": (zipped(), "not an image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "not an image"),
    "jpeg-start": (stored(corners(), "JPEG")[:2], "not an image"),
    "jpeg-half": (
        stored(corners().resize((480, 320)), "JPEG")[:-800],
        "damaged, truncated or unsupported JPEG",
    ),
    "png-half": (stored(corners(), "PNG")[:-60], "damaged, truncated or unsupported PNG"),
    "webp-half": (stored(corners(), "WEBP")[:-60], "damaged|not an image"),
    "gif-half": (stored(corners().quantize(4), "GIF")[:-40], "damaged"),
    "tiff-half": (stored(corners(), "TIFF")[:60], "damaged|not an image"),
    "bomb": (png_header(60000, 60000), "more than 178956970 pixels"),
    "zero": (png_header(0, 5), "damaged|not an image"),
    "lying": (png_header(900, 900), "damaged, truncated or unsupported PNG"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_line_with_its_name(tmp_path: Path, name: str):
    content, reason = BAD[name]
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as raised:
        decode(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(ImageError, match=r"gone\.jpg: cannot be read \(No such file or directory\)"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="not a file"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        decode("a\0b.jpg")


def test_too_many_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch):
    def load(self: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(ImageError, match="48x32 is more than 1535 pixels"):
        open_photo(stored(corners(), "PNG"), limits=Limits(pixels=48 * 32 - 1))


def test_pil_image_is_taken_as_it_lies():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(stored(corners(), "PNG", exif=exif)))
    assert np.array_equal(as_rgb(image), np.asarray(corners()))
    assert image.getexif()[0x0112] == 6


def test_array_is_passed_on_and_others_are_refused():
    array = np.asarray(corners())
    assert as_rgb(array) is array
    with pytest.raises(ImageError, match=r"^image: expected an H x W x 3 uint8 RGB array, got float64"):
        as_rgb(array / 255)
    with pytest.raises(ImageError, match="got list"):
        as_rgb([1])  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="cannot convert mode RGB"):
        as_rgb(Image.open(io.BytesIO(BAD["jpeg-half"][0])))


SECRET = "48 Elm Street"


def tell_tale(kind: str) -> bytes:
    """A picture that tells where it was taken, in every way its format knows."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif.get_ifd(0x8825)[1] = "N"
    options: dict[str, Any] = {"exif": exif}
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", SECRET)
    if kind in ("JPEG", "WEBP"):
        options["xmp"] = f"<x>{SECRET}</x>".encode()
    if kind == "JPEG":
        options["comment"] = SECRET.encode()
    if kind == "TIFF":
        options["description"] = SECRET
    return stored(corners(), kind, icc_profile=swapped_profile(), **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_metadata_is_left_out(kind: str):
    before = tell_tale(kind)
    assert SECRET.encode() in before
    after = encode(cut(open_photo(before).image, Size(48, 32), Box(0, 0, 30, 30), Size(30, 30)), kind)
    assert SECRET.encode() not in after
    reopened = Image.open(io.BytesIO(after))
    assert 0x8825 not in reopened.getexif()
    assert not {"exif", "xmp", "comment", "icc_profile"} & reopened.info.keys()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_encoded_picture_is_the_picture(kind: str, mode: str):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    reopened = Image.open(io.BytesIO(encode(corners(mode), kind)))
    assert reopened.format == kind
    assert np.abs(np.asarray(reopened.convert(mode)).astype(int) - np.asarray(corners(mode))).mean() < 6
    if mode == "RGBA" and kind != "JPEG":
        assert reopened.mode == "RGBA"


def test_picture_too_large_for_its_format_is_an_error():
    with pytest.raises(ImageError, match="cannot encode 70000x1 as JPEG"):
        encode(Image.new("L", (70000, 1)), "JPEG")


def test_cut_and_resize():
    assert cut(corners(), Size(48, 32), Box(24, 0, 24, 16), Size(24, 16)).getcolors() == [(24 * 16, (30, 200, 30))]
    small = cut(corners(), Size(48, 32), Box(24, 0, 24, 16), Size(12, 8))
    assert small.size == (12, 8)
    assert small.getcolors() == [(96, (30, 200, 30))]


def test_written_file_has_the_usual_permissions(tmp_path: Path):
    old = os.umask(0o022)
    try:
        write_atomic(tmp_path / "new" / "a.bin", b"content")
    finally:
        os.umask(old)
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new" / "a.bin").stat().st_mode) == 0o644


def test_existing_file_is_replaced_only_on_request(tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(ImageError, match="exists already"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*paths: Any) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot be written"):
        write_atomic(tmp_path / "file" / "a.bin", b"content")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ImageError, match=r"a\.bin: cannot be written \(No space left on device\)"):
        write_atomic(tmp_path / "a.bin", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
