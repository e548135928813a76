import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import AVIF, corners, stored
from PIL import Image, PngImagePlugin

from gaze.errors import ImageError
from gaze.geometry import Size
from gaze.images import Limits, accept, decode, open_photo, output_suffix

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
    file = stored(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 20)
    with pytest.warns(UserWarning, match="EXIF"):
        photo = open_photo(file)
    assert photo.size == Size(48, 32)


def test_unknown_orientation_leaves_the_photo_as_it_is():
    exif = Image.Exif()
    exif[0x0112] = 9
    assert np.array_equal(decode(stored(corners(), "PNG", exif=exif)), np.asarray(corners()))


def test_format_comes_from_the_content(tmp_path: Path):
    path = tmp_path / "liar.jpg"
    path.write_bytes(stored(corners(), "PNG"))
    photo = open_photo(path)
    assert photo.format == "PNG"
    assert output_suffix(photo, path.suffix) == ".png"


def png_header(width: int, height: int) -> bytes:
    """A PNG file that says how large it is and then ends."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 10)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


BAD = {
    "empty": (b"", "the file is empty"),
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


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_line_with_its_name(tmp_path: Path, name: str):
    content, reason = BAD[name]
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as raised:
        decode(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_larger_images_than_pillow_takes_are_read_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    large = png_header(20_000, 10_000)
    with pytest.raises(ImageError, match="more than 178956970 pixels"):
        open_photo(large)
    accept(Limits(pixels=1000))  # lowers nothing
    accept(Limits(pixels=210_000_000))
    with pytest.raises(ImageError, match="damaged, truncated or unsupported PNG"):
        open_photo(large, limits=Limits(pixels=210_000_000))
    with pytest.raises(ImageError, match="20000x10000 is more than 1000 pixels"):
        open_photo(large, limits=Limits(pixels=1000))
    with pytest.raises(ImageError, match="more than 210000000 pixels"):
        open_photo(png_header(20_000, 20_000), limits=Limits(pixels=210_000_000))


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


@pytest.mark.parametrize("name", ["a\nb.jpg", "Größe 写真.jpg", "-rf.jpg", "a\udcff.jpg", "a b'\".jpg"])
def test_any_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(stored(corners(), "JPEG"))
    assert open_photo(name).size == Size(48, 32)
    Path(name).write_bytes(b"")
    with pytest.raises(ImageError, match="the file is empty") as raised:
        open_photo(name)
    assert str(raised.value).isprintable()
    assert str(raised.value).encode("utf-8")


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path):
    pipe, path = tmp_path / "pipe.jpg", tmp_path / "socket"
    os.mkfifo(pipe)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        for source, reason in {
            pipe: "not a file but a pipe",
            path: "not a file but a socket",
            tmp_path / "folder.jpg": "not a file but a folder",
            Path("/dev/null"): "not a file but a device",
            tmp_path / "loop.jpg": "cannot be read (Too many levels of symbolic links)",
        }.items():
            with pytest.raises(ImageError) as raised:
                open_photo(source)
            assert str(raised.value) == f"{source}: {reason}"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_unreadable_file(tmp_path: Path):
    path = tmp_path / "a.jpg"
    path.write_bytes(stored(corners(), "JPEG"))
    path.chmod(0)
    with pytest.raises(ImageError, match=r"a\.jpg: cannot be read \(Permission denied\)"):
        open_photo(path)


def test_too_long_a_file_is_not_even_opened(tmp_path: Path):
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ImageError, match=r"a\.jpg: 1099511627776 bytes, more than 1073741824$"):
        open_photo(path)
    with pytest.raises(ImageError, match=r"^image: 9 bytes, more than 8$"):
        open_photo(bytes(9), limits=Limits(bytes=8))


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (1, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_thin_pictures(kind: str, size: tuple[int, int]):
    photo = open_photo(stored(Image.new("L", size, 200), kind), shrink=lambda size: 8)
    assert photo.size == Size(*size)
    assert np.ptp(np.asarray(photo.image)) == 0


@pytest.mark.parametrize(
    ("factor", "scale"), [(0, 1), (1.99, 1), (2, 2), (3.9, 2), (4, 4), (7.9, 4), (8, 8), (1000, 8)]
)
def test_a_jpeg_is_decoded_as_small_as_allowed(factor: float, scale: int):
    photo = open_photo(stored(corners().resize((800, 600)), "JPEG"), shrink=lambda size: factor)
    assert photo.size == Size(800, 600)
    assert photo.image.size == (800 // scale, 600 // scale)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("size", [(480, 320), (481, 323)])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_reduced_photos_are_turned_too(mode: str, size: tuple[int, int], orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    sizes = []
    file = stored(corners().resize(size, Image.Resampling.BICUBIC).convert(mode), "JPEG", exif=exif, quality=95)
    photo = open_photo(file, shrink=lambda size: sizes.append(size) or 8)  # type: ignore[func-returns-value]
    whole = open_photo(file)
    assert sizes == [photo.size] == [whole.size]
    assert photo.image.size == tuple(-(-side // 8) for side in whole.image.size)
    expected = np.asarray(whole.image.resize(photo.image.size, Image.Resampling.BOX), dtype=int)
    assert np.abs(np.asarray(photo.image) - expected).mean() < 1


def test_other_formats_have_no_smaller_scale():
    photo = open_photo(stored(corners(), "PNG"), shrink=lambda size: 8)
    assert photo.image.size == (48, 32)


COMMENT = b"# of some length\n"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"P6\n" + COMMENT * 10**6 + b"1 1 255\n" + bytes(3), "PPM header is damaged, or longer than 65536 bytes"),
        (b"P6\n#" + b"a" * 10**7 + b"\n1 1 255\n" + bytes(3), "PPM header is damaged, or longer than 65536 bytes"),
        (b"P6\n1 1\n", "PPM header is damaged"),
        (b"P3\n2 1 255\n" + COMMENT * 10**6 + b"1 2 3 4 5 6", "a PPM file of more than 1000 comments"),
        (b"P1\n2 1\n" + b"#\n" * 10**6 + b"1 0", "a PPM file of more than 1000 comments"),
    ],
)
def test_a_ppm_of_comments_is_refused(file: bytes, message: str):
    with pytest.raises(ImageError, match=message):
        open_photo(file)


@pytest.mark.parametrize(
    "file",
    [
        b"P3\n" + COMMENT * 9 + b"2 1#c\n 255\n" + COMMENT * 9 + b"1 2 3 # d\n4 5 6",
        b"P6\n#a\n2 #b\r1\n255\n\1\2\3\4\5\6",
        b"P6 2 1 255 \1\2\3\4\5\6",
        b"P6\n" + COMMENT * 3000 + b"2 1 255\n\1\2\3\4\5\6",
    ],
)
def test_comments_of_a_ppm_are_passed_over(file: bytes):
    assert decode(file).reshape(-1).tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "AVIF"])
def test_formats_that_need_more_memory_have_fewer_pixels(monkeypatch: pytest.MonkeyPatch, kind: str):
    if kind == "AVIF" and not AVIF:
        pytest.skip("this Pillow has no AVIF")
    monkeypatch.setattr("gaze.images.decoding.MAX_PIXELS", 48 * 32)
    usual = Limits(pixels=48 * 32)
    assert open_photo(stored(corners(), "PNG"), limits=usual).size.width == 48
    with pytest.raises(ImageError, match=r"48x32 is more than (1024|768|512) pixels"):
        open_photo(stored(corners(), kind), limits=usual)
    assert open_photo(stored(corners(), kind), limits=Limits(pixels=48 * 32 + 1)).size.width == 48


def test_so_has_a_progressive_jpeg(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gaze.images.decoding.MAX_PIXELS", 48 * 32)
    assert open_photo(stored(corners(), "JPEG"), limits=Limits(pixels=48 * 32)).size.width == 48
    with pytest.raises(ImageError, match="48x32 is more than 1024 pixels"):
        open_photo(stored(corners(), "JPEG", progressive=True), limits=Limits(pixels=48 * 32))
