import gzip
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pictures import corners, stored
from PIL import Image

from gaze.errors import ConfigError, ImageError
from gaze.geometry import Size
from gaze.images import SUFFIXES, WRITTEN, Encoding, decode, open_photo, output_format, output_suffix
from gaze.images.formats import check_no_raw, identify, readable


@pytest.mark.parametrize(
    ("kind", "suffix", "expected"),
    [("JPEG", ".JPEG", ".JPEG"), ("JPEG", ".jpg", ".jpg"), ("GIF", ".gif", ".gif"), ("BMP", "", ".png")],
)
def test_output_keeps_format_and_suffix_where_it_can(kind: str, suffix: str, expected: str):
    photo = open_photo(stored(corners(), kind))
    assert output_suffix(photo, suffix) == expected
    assert output_format(expected) == (kind if kind in WRITTEN else "PNG")
    assert output_suffix(photo, suffix, Encoding("WEBP")) == ".webp"


def test_mpo_is_the_first_of_its_jpegs():
    other = Image.new("RGB", (48, 32))
    photo = open_photo(stored(corners(), "MPO", save_all=True, append_images=[other]), frames=None)
    assert (photo.format, photo.size, len(photo.frames)) == ("JPEG", Size(48, 32), 1)
    assert photo.image.getpixel((40, 28))[0] > 150
    assert output_suffix(photo, ".MPO") == ".jpg"
    assert ".mpo" in {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
    with pytest.raises(ImageError, match=r"^\.mpo: gaze writes"):
        output_format(".mpo")


def test_suffix_that_is_not_written_is_refused_with_the_choice():
    with pytest.raises(ImageError, match=r"^\.bmp: gaze writes \.jpg \.png"):
        output_format(".bmp")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"format": "BMP"}, "^format: expected one of JPEG PNG WEBP TIFF AVIF GIF, got 'BMP'$"),
        ({"quality": 0}, "^quality: expected a whole number from 1 to 100, got 0$"),
        ({"quality": 90.5}, r"^quality: expected a whole number from 1 to 100, got 90\.5$"),
        ({"chroma": "411"}, "^chroma: expected 420, 422 or 444, got '411'$"),
    ],
)
def test_wrong_encoding_is_refused(setting: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Encoding(**setting)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


OTHERS = {
    "a text": "Grüße\n".encode(),
    "a ZIP archive": zipped(),
    "an SVG drawing": b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "an HTML page": b"<!DOCTYPE html>\n<html></html>",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "a PostScript file": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "a Photoshop document": b"8BPS\0\1",
    "a compressed archive": gzip.compress(b"a"),
    "a video": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
    "a sound recording": b"ID3\3\0\0",
    "a JPEG XL or JPEG 2000 image": b"\0\0\0\x0cJXL \r\n\x87\n",
    "a raw camera file": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "a Windows icon": b"\0\0\1\0\1\0",
    "a program": b"\x7fELF\2\1\1",
    "nothing but zero bytes": bytes(100),
}


@pytest.mark.parametrize("words", OTHERS)
def test_what_is_no_image_is_named(tmp_path: Path, words: str):
    path = tmp_path / "liar.jpg"
    path.write_bytes(OTHERS[words])
    with pytest.raises(ImageError) as raised:
        decode(path)
    assert str(raised.value) == f"{path}: not an image but {words}; gaze reads {' '.join(readable())}"


def test_a_message_names_what_can_be_read_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("PIL.Image.SAVE", {kind: None for kind in SUFFIXES if kind != "HEIF"})
    with pytest.raises(ImageError, match=r"gaze reads JPEG PNG GIF BMP PPM WEBP TIFF AVIF MPO$"):
        decode(OTHERS["a text"])
    monkeypatch.setattr("gaze.images.formats.find_spec", lambda name: name == "pillow_heif")
    monkeypatch.delitem(Image.SAVE, "AVIF")
    with pytest.raises(ImageError, match=r"gaze reads JPEG PNG GIF BMP PPM WEBP TIFF MPO HEIF$"):
        decode(b"\x01\x02\x03\x04")


def test_bytes_that_mean_nothing(tmp_path: Path):
    with pytest.raises(ImageError, match=r"^image: not an image, or its first bytes are damaged; gaze reads JPEG PNG"):
        decode(b"\x01\x02\x03\x04")


def test_a_long_line_of_comments_takes_no_time():
    with pytest.raises(ImageError, match="not an image but a text"):
        decode(b"<!-- a --> " * 400)


def heif(**options: Any) -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    return stored(corners(), "HEIF", quality=95, **options)


def test_heif_is_read():
    photo = open_photo(heif())
    assert (photo.format, photo.image.size) == ("HEIF", (48, 32))
    red, green, blue = photo.image.getpixel((5, 5))
    assert red > 150 > 80 > max(green, blue)
    assert output_suffix(photo, ".heic") == ".jpg"


def test_heif_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    file = heif()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("PIL.Image.OPEN", {})
    with pytest.raises(ImageError) as raised:
        decode(file)
    assert str(raised.value) == "image: a HEIF photo; to read it: pip install pillow-heif"


def raw_tiff(**tags: object) -> bytes:
    """A TIFF as raw camera files begin: a small preview, with tags that say where the photo is."""
    buffer = io.BytesIO()
    known = {"subfile": 254, "subfiles": 330, "dng": 50706, "photometric": 262}
    Image.new("RGB", (16, 12)).save(buffer, "TIFF", tiffinfo={known[name]: value for name, value in tags.items()})
    return buffer.getvalue()


@pytest.mark.parametrize("tags", [{"subfile": 1, "subfiles": 400}, {"dng": b"\1\4\0\0"}])
def test_a_raw_file_is_not_taken_for_its_preview(tags: dict[str, object]):
    with pytest.raises(ImageError, match=r"^image: not an image but a raw camera file, .*; develop it first$"):
        open_photo(raw_tiff(**tags))


@pytest.mark.parametrize("value", [32803, 34892])
def test_what_a_sensor_saw_is_no_picture(value: int):
    with pytest.raises(ImageError, match="a raw camera file"):
        check_no_raw({262: value})


@pytest.mark.parametrize("tags", [{}, {"subfile": 1}, {"subfile": 0, "subfiles": 400}])
def test_a_tiff_with_other_pages_is_a_picture(tags: dict[str, object]):
    assert open_photo(raw_tiff(**tags)).size.width == 16


@pytest.mark.parametrize(
    "head", [b"II*\0\x10\0\0\0CR\2\0", b"IIU\0\x18\0\0\0", b"IIRO\x08\0\0\0", b"MMOR", b"FOVb\0\0", b"\0MRM\0"]
)
def test_raw_files_of_makers_are_named(head: bytes):
    with pytest.raises(ImageError, match=r"^not an image but a raw camera file; gaze reads JPEG"):
        identify(head + bytes(99))
