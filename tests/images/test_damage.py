"""Damaged files: cropped where nearly all of the picture is there, and said to be damaged; refused otherwise."""

import io
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from pictures import stored
from PIL import Image, ImageFile

from gaze.errors import ImageError
from gaze.images import encode, open_photo
from gaze.images.jpeg import JpegFrame, WatchedJpeg


def scene(mode: str = "RGB", size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Smooth noise, of which every row differs."""
    random = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    return Image.fromarray(random).resize(size, Image.Resampling.BICUBIC).convert(mode)


def jpeg(**options: Any) -> bytes:
    return stored(scene(options.pop("mode", "RGB")), "JPEG", **{"quality": 90, **options})


SOUND = {
    "baseline": {},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "full colour": {"subsampling": 0},
    "restarts": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
    "optimized": {"optimize": True},
    "low": {"quality": 1},
}


@pytest.mark.parametrize("factor", [1, 2, 8])
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_jpeg_is_not_said_to_be_damaged(name: str, factor: int):
    file = jpeg(**SOUND[name])
    assert open_photo(file, shrink=lambda size: factor, strict=True).damage == ""
    assert open_photo(file + b"a trailer \xff\xd9\xff\xda", strict=True).damage == ""


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (17, 3), (2000, 1), (1, 2000)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_sound_jpeg_may_be_of_any_size(mode: str, size: tuple[int, int]):
    flat = stored(Image.new(mode, size), "JPEG")
    assert open_photo(flat, strict=True).damage == ""
    assert open_photo(stored(scene(mode, size), "JPEG"), strict=True).damage == ""


def one_scan_each() -> bytes:
    """Three grey JPEGs as the channels of one, each in a scan of its own."""
    channels = [stored(channel, "JPEG", quality=90) for channel in scene().split()]
    start = channels[0].index(b"\xff\xda")
    frame = channels[0].index(b"\xff\xc0")
    size = channels[0][frame + 4 : frame + 9]
    header = b"\xff\xc0\0\x11" + size + b"\3" + b"".join(bytes([number, 0x11, 0]) for number in b"RGB")
    scans = [
        b"\xff\xda\0\x08\1" + bytes([number]) + b"\0\0\x3f\0" + channel[channel.index(b"\xff\xda") + 10 : -2]
        for number, channel in zip(b"RGB", channels, strict=True)
    ]
    return channels[0][:frame] + header + channels[0][frame + 13 : start] + b"".join(scans) + b"\xff\xd9"


def test_a_scan_for_each_channel():
    file = one_scan_each()
    photo = open_photo(file, strict=True)
    assert photo.image.mode == "RGB"
    assert photo.damage == ""
    assert open_photo(file[:-2]).damage == "the end is missing"
    with pytest.raises(ImageError, match="damaged"):
        open_photo(file[: len(file) * 3 // 4])


@pytest.mark.parametrize("block", [5, 999])
@pytest.mark.parametrize("name", SOUND)
def test_files_are_watched_alike_however_they_are_read(name: str, block: int, monkeypatch: pytest.MonkeyPatch):
    """Wherever one block ends and the next begins, be it within a marker."""
    sound = jpeg(**SOUND[name])
    middle, quarter = len(sound) // 2, len(sound) // 4
    marked = sound[:middle] + b"\xff\xff\x02\xff\xd3" + sound[middle:]
    files = [sound, sound[:-2], sound[:-1], marked, sound[:middle] + sound[middle + quarter :]]
    expected = [watched(file) for file in files]
    monkeypatch.setattr("gaze.images.jpeg._BLOCK", block)
    for long in (0, 2**20):
        monkeypatch.setattr("gaze.images.jpeg._LONG", long)
        assert [watched(file) for file in files] == expected


def watched(file: bytes) -> tuple[bytes, str]:
    """What a decoder that asks for all gets of a file, and what is said of the file."""
    pieces = WatchedJpeg(Image.open(io.BytesIO(file)))
    pieces.seek(0)
    return b"".join(iter(pieces.read, b"")), pieces.damage


def test_watching_changes_no_pixel():
    for options in SOUND.values():
        file = jpeg(**options)
        parser = ImageFile.Parser()
        parser.feed(file)
        expected = parser.close().convert("L" if options.get("mode") == "L" else "RGB")
        assert np.array_equal(np.asarray(open_photo(file).image), np.asarray(expected))


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("lost", [1, 2, 20])
def test_a_jpeg_that_lacks_its_last_bytes_is_a_picture(name: str, lost: int):
    file = jpeg(**SOUND[name])
    photo = open_photo(file[:-lost])
    assert photo.damage == "the end is missing"
    assert np.abs(np.asarray(photo.image)[:200].astype(int) - np.asarray(open_photo(file).image)[:200]).max() <= 40
    with pytest.raises(ImageError, match=r"^image: damaged, truncated or unsupported JPEG file \(the end is missing"):
        open_photo(file[:-lost], strict=True)


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.85])
def test_a_jpeg_of_which_much_is_missing_is_refused(name: str, share: float):
    file = jpeg(**SOUND[name])
    with pytest.raises(ImageError, match="damaged, truncated or unsupported JPEG"):
        open_photo(file[: int(share * len(file))])


def test_a_progressive_jpeg_that_lacks_a_scan_is_refused():
    file = jpeg(progressive=True)
    last = file.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="whole scans"):
        open_photo(file[:last])


@pytest.mark.parametrize("name", ["baseline", "grey", "full colour"])
def test_broken_data_in_the_middle_are_seen(name: str):
    """What stands there seldom makes as many pixels as what stood there before."""
    file, seen = jpeg(**SOUND[name]), 0
    for start in range(len(file) // 3, len(file) // 3 + 500, 50):
        broken = bytearray(file)
        broken[start : start + 60] = np.random.default_rng(start).integers(0, 255, 60, np.uint8).tobytes()
        try:
            seen += bool(open_photo(bytes(broken)).damage)
        except ImageError:
            seen += 1
    assert seen >= 8


def test_data_that_are_missing_in_the_middle_are_seen():
    file = jpeg()
    middle = len(file) // 2
    photo = open_photo(file[:middle] + file[middle + 200 :])
    assert photo.damage == "fewer data than pixels"
    with pytest.raises(ImageError, match=r"fewer data than pixels; \d\d% of it could be decoded"):
        open_photo(file[:middle] + file[middle + len(file) // 5 :])


def test_a_marker_among_the_data_does_not_end_the_picture():
    for name in ("baseline", "progressive"):
        file = bytearray(jpeg(**SOUND[name]))
        middle = len(file) * 2 // 3
        file[middle : middle + 2] = b"\xff\x02"
        photo = open_photo(bytes(file))
        assert photo.damage == "a marker stands where there should be data"
        assert np.ptp(np.asarray(photo.image)[-8:]) > 100


RESTARTS = [{"restart_marker_rows": 2}, {"restart_marker_blocks": 5}, {"restart_marker_blocks": 1}]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("options", RESTARTS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_restarts_that_are_missing_are_seen(progressive: bool, options: dict[str, int], mode: str):
    file = jpeg(mode=mode, progressive=progressive, **options)
    assert open_photo(file, strict=True).damage == ""
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", file)]
    first, other = restarts[len(restarts) // 2], restarts[len(restarts) // 2 + 3]
    with pytest.raises(ImageError, match="a restart is missing"):
        open_photo(file[:first] + file[other:], strict=True)


@pytest.mark.parametrize("options", [SOUND["restarts"], {"progressive": True, "restart_marker_rows": 1}])
def test_a_whole_round_of_restarts_that_is_missing_is_seen(options: dict[str, Any]):
    file = jpeg(**options)
    first = file.index(b"\xff\xd1")
    other = file.index(b"\xff\xd1", first + 1)
    with pytest.raises(ImageError, match="fewer or more restarts than pixels"):
        open_photo(file[:first] + file[other:], strict=True)


def test_a_restart_behind_the_last_interval_is_no_damage():
    file = jpeg(progressive=True, restart_marker_rows=15)
    last = file[file.rindex(b"\xff\xda") :]
    assert re.findall(rb"\xff[\xd0-\xd7]", last) == [b"\xff\xd0"]
    assert open_photo(file[:-2] + b"\xff\xd1\xff\xd9", strict=True).damage == ""


@pytest.mark.parametrize("components", [b"", b"\1", b"\1\2", b"\1\4"])
@pytest.mark.parametrize("header", ["", "00", "000008000001", "000008000801031100", "080008000802010000021100"])
def test_a_header_of_any_kind_is_read(header: str, components: bytes):
    """Where it says nothing of the units, nothing is made of them."""
    frame = JpegFrame.parse(bytes.fromhex(header).ljust(6, b"\0"))
    assert frame.units(components) == 0


def test_units_of_a_scan():
    """T.81, A.2: blocks of one component alone, else of all as they are sampled."""
    frame = JpegFrame(100, 50, {1: (2, 2), 2: (1, 1), 3: (1, 1)})
    assert [frame.units(each) for each in (b"\1\2\3", b"\1", b"\2")] == [7 * 4, 13 * 7, 7 * 4]
    assert JpegFrame(100, 50, {1: (2, 2)}).units(b"\1") == 13 * 7


def test_a_scan_that_another_needs_is_missed():
    file = jpeg(progressive=True)
    needed = [part for part in re.split(rb"(?=\xff[\xda\xc4])", file[:-2]) if part.startswith(b"\xff\xda")]
    assert len(needed) == 10
    for scan in needed[:6]:  # upon the other four, which make all more precise, nothing builds
        assert "a scan is missing" in open_photo(file.replace(scan, b"")).damage
        with pytest.raises(ImageError, match="a scan is missing"):
            open_photo(file.replace(scan, b""), strict=True)
    with pytest.raises(ImageError, match="a component has no scan, and whole scans are missing"):
        open_photo(file.replace(needed[0], b"").replace(needed[6], b""))  # of what each block has on average


def chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of a PNG's chunks."""
    found, at = [], 8
    while at < len(file):
        length = int.from_bytes(file[at : at + 4], "big")
        found.append((file[at + 4 : at + 8], file[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def cut(kind: str, share: float, **options: Any) -> bytes:
    """A file that ends early; the share is of its pixels' data."""
    file = stored(scene(options.pop("mode", "RGB")), kind, **options)
    start = {"PNG": 41, "BMP": 54, "PPM": 15, "TIFF": 8, "GIF": 800}[kind]
    return file[: start + int(share * (len(file) - start))]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", {"mode": "L"}),
        ("PNG", {"mode": "P"}),
        ("PNG", {"mode": "1"}),
        ("BMP", {}),
        ("PPM", {}),
        ("GIF", {"mode": "P", "interlace": 0}),
    ],
)
def test_other_files_that_end_early(kind: str, options: dict[str, Any]):
    photo = open_photo(cut(kind, 0.985, **options))
    assert photo.damage
    whole = open_photo(cut(kind, 1, **options))
    assert whole.damage == ""
    assert np.array_equal(np.asarray(photo.image)[15:225], np.asarray(whole.image)[15:225])
    for file, strict in ((cut(kind, 0.985, **options), True), (cut(kind, 0.8, **options), False)):
        with pytest.raises(ImageError, match=f"damaged, truncated or unsupported {kind}"):
            open_photo(file, strict=strict)


def test_a_tiff_whose_last_strip_is_missing():
    values = np.asarray(scene("L"))
    strips = [zlib.compress(values[row : row + 8].tobytes()) for row in range(0, 240, 8)]
    places = [8 + sum(map(len, strips[:number])) for number in range(30)]
    end = 8 + sum(map(len, strips))
    tags = [(256, 3, 320), (257, 3, 240), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1), (278, 3, 8)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    arrays = end + 2 + 12 * 9 + 4
    table = table[:60] + struct.pack("<HHII", 273, 4, 30, arrays) + table[60:]
    table += struct.pack("<HHII", 279, 4, 30, arrays + 120)

    def file(broken: int) -> bytes:
        body = b"".join(bytes(len(strip)) if number >= broken else strip for number, strip in enumerate(strips))
        directory = struct.pack("<H", 9) + table + bytes(4)
        lengths = struct.pack("<30I", *places) + struct.pack("<30I", *map(len, strips))
        return b"II*\0" + struct.pack("<I", end) + body + directory + lengths

    assert np.array_equal(np.asarray(open_photo(file(30)).image), values)
    photo = open_photo(file(29))
    assert photo.damage
    assert np.array_equal(np.asarray(photo.image)[:232], values[:232])
    with pytest.raises(ImageError, match="damaged, truncated or unsupported TIFF"):
        open_photo(file(20))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_nothing_of_the_process_changes(kind: str, monkeypatch: pytest.MonkeyPatch):
    touched: list[object] = []
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    monkeypatch.setattr(ImageFile, "_touched", touched, raising=False)
    open_photo(stored(scene(), kind)[:-6])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_damaged_photo_is_written_whole():
    photo = open_photo(jpeg()[:-20])
    assert open_photo(encode(photo.image, "JPEG"), strict=True).damage == ""


def test_a_tall_damaged_picture_is_judged_at_once():
    """By bands, and not row by row."""
    tall = stored(Image.new("L", (3, 60_000), 9), "PNG", compress_level=0)
    assert open_photo(tall[:-2000]).damage
    with pytest.raises(ImageError, match=r"5\d% of it could be decoded"):
        open_photo(tall[: int(0.55 * len(tall))])
