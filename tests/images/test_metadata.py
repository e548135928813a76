import io
import zlib
from typing import Any

import numpy as np
import pytest
from pictures import AVIF, chunk, corners, png, stored, swapped_profile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from gaze.geometry import Box, Size
from gaze.images import Encoding, Keep, Photo, cut, encode, open_photo
from gaze.images.metadata import kept_xmp

KINDS = ["JPEG", "PNG", "WEBP", "TIFF"] + ["AVIF"] * AVIF
SECRET = "48 Elm Street"
XMP = "<x:xmpmeta tiff:Orientation='6' dc:title='48 Elm Street'><xmp:Thumbnails>picture</xmp:Thumbnails></x:xmpmeta>"
ALL = Keep(metadata=True, profile=True)


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112], tags[0x010E], tags[0x010F] = 6, SECRET, "maker"
    tags[0x8769] = {0x9003: "2020:02:03 04:05:06", 0xA002: 48, 0xA003: 32, 0x829A: 0.5}
    tags[0x8825] = {1: "N", 2: (48.0, 1.0, 2.0)}
    return tags


def tell_tale(kind: str, mode: str = "RGB") -> bytes:
    """A picture that tells where it was taken, in every way its format knows."""
    options: dict[str, Any] = {"exif": exif().tobytes(), "icc_profile": swapped_profile()}
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", SECRET)
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP)
    elif kind == "TIFF":
        options["exif"] = Image.Exif()
        options["exif"].load(exif().tobytes())
        options["exif"][700] = XMP.encode()
    else:
        options["xmp"] = XMP.encode()
    if kind == "JPEG":
        options["comment"] = SECRET.encode()
    return stored(corners(mode), kind, **options)


def thumbnail(photo: Photo, kind: str) -> bytes:
    small = cut(photo.image, photo.size, Box(0, 0, 30, 30), Size(20, 20))
    return encode(small, kind, photo=photo)


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_is_left_out(kind: str):
    before = tell_tale(kind)
    assert SECRET.encode() in before
    after = thumbnail(open_photo(before), kind)
    assert SECRET.encode() not in after
    reopened = Image.open(io.BytesIO(after))
    assert 0x8825 not in reopened.getexif()
    assert not {"exif", "xmp", "comment", "icc_profile"} & reopened.info.keys()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_metadata_goes_along_on_request(kind: str, target: str):
    reopened = Image.open(io.BytesIO(thumbnail(open_photo(tell_tale(kind), keep=ALL), target)))
    tags = reopened.getexif()
    assert (tags[0x010E], tags[0x010F], tags.get(0x0112, 1)) == (SECRET, "maker", 1)
    assert tags.get_ifd(0x8825)[1] == "N"
    assert tags.get_ifd(0x8825)[2] == (48, 1, 2)
    assert tags.get_ifd(0x8769)[0x9003] == "2020:02:03 04:05:06"
    assert 0xA002 not in tags.get_ifd(0x8769)
    assert reopened.info["icc_profile"] == swapped_profile()
    xmp = reopened.info.get("xmp") or reopened.info["XML:com.adobe.xmp"].encode()
    assert SECRET.encode() in xmp
    assert b"Orientation" not in xmp
    assert b"Thumbnails" not in xmp
    assert reopened.size == (20, 20)


def test_the_embedded_thumbnail_stays_behind():
    file = exif().tobytes()[6:]
    order: Any = "big" if file[:2] == b"MM" else "little"
    start = int.from_bytes(file[4:8], order)
    end = start + 2 + 12 * int.from_bytes(file[start : start + 2], order)
    # a second directory, which says where a JPEG lies behind it
    second = (2).to_bytes(2, order)
    for entry in ((0x0201, 4, 1, len(file) + 30), (0x0202, 4, 1, 9)):
        second += b"".join(value.to_bytes(size, order) for value, size in zip(entry, (2, 2, 4, 4), strict=True))
    patched = file[:end] + len(file).to_bytes(4, order) + file[end + 4 :] + second + bytes(4) + b"THUMBNAIL"
    photo = stored(corners(), "JPEG", exif=b"Exif\0\0" + patched)
    assert Image.open(io.BytesIO(photo)).getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == 9
    kept = open_photo(photo, keep=ALL).exif
    assert kept is not None
    assert b"maker" in kept
    assert b"THUMBNAIL" not in kept


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("tags", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 20, b"Exif\0\0nonsense", b"Exif\0\0"])
def test_damaged_exif_is_not_kept_and_no_reason_to_refuse(tags: bytes):
    photo = open_photo(stored(corners(), "JPEG", exif=tags), keep=ALL)
    assert photo.size == Size(48, 32)
    assert encode(photo.image, "JPEG", photo=photo)


def described(kind: str, xmp: bytes) -> bytes:
    if kind == "PNG":
        return png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)))
    return stored(corners(), kind, xmp=xmp)


UNENDING = [
    b" ",
    b" tiff:Orientation",
    b" tiff:Orientation =",
    b" tiff:Orientation='",
    b"<tiff:Orientation>",
    b"<tiff:Orientation ",
    b"<tiff:Orientation>6",
    b"<xmp:Thumbnails>",
    b"<xmp:Thumbnails ",
    b"<xap:Thumbnails><xmp:Thumbnails/>",
    b"</xmp:Thumbnails>",
    b"<",
]


@pytest.mark.parametrize("text", UNENDING)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_xmp_of_a_megabyte_of_the_same_takes_no_minutes(kind: str, text: bytes):
    xmp = (text * (2**20 // len(text)))[: 2**20 - 99]
    photo = open_photo(described(kind, xmp), keep=ALL)
    assert photo.xmp is None or len(photo.xmp) <= len(xmp)
    assert encode(photo.image, "JPEG", photo=photo)  # which cannot hold so much


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_xmp_has_a_limit(kind: str):
    short, long = b"<x>" + b" " * 1000 + b"</x>", b"<x>" + b" " * 2**20 + b"</x>"
    assert open_photo(described(kind, short), keep=ALL).xmp == short
    assert open_photo(described(kind, long), keep=ALL).xmp is None


@pytest.mark.parametrize(
    ("xmp", "kept"),
    [
        (b"<a tiff:Orientation='6' b=''/>", b"<a b=''/>"),
        (b'<a\n  tiff:Orientation = "6"\n/>', b"<a\n \n/>"),
        (b"<a><tiff:Orientation>6</tiff:Orientation></a>", b"<a></a>"),
        (b"<a><xmp:Thumbnails><b/></xmp:Thumbnails>c<xap:Thumbnails/></a>", b"<a>c</a>"),
        (b"<a><xmp:Thumbnails><xmp:Thumbnails>d</xmp:Thumbnails></xmp:Thumbnails>c</a>", b"<a>c</a>"),
        (b"<a><xmp:Thumbnails>c</a>", None),
    ],
)
def test_what_no_longer_holds_goes(xmp: bytes, kept: bytes | None):
    assert kept_xmp(xmp) == kept


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"] + ["AVIF"] * AVIF)
@pytest.mark.parametrize("tags", [b"", exif().tobytes()])
def test_orientation_that_stands_in_xmp_alone_turns_nothing(kind: str, tags: bytes):
    xmp = b"<x:xmpmeta xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"8\"/>"
    if kind == "TIFF":
        options: dict[str, Any] = {"tiffinfo": {700: xmp, 274: 6} if tags else {700: xmp}}
    elif kind == "PNG":
        options = {"pnginfo": PngImagePlugin.PngInfo(), "exif": tags}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    else:
        options = {"xmp": xmp, "exif": tags}
    photo = open_photo(stored(corners(), kind, **options))
    expected = np.asarray(corners().transpose(Image.Transpose.ROTATE_270) if tags else corners()).astype(int)
    assert photo.image.size == (expected.shape[1], expected.shape[0])
    assert np.abs(np.asarray(photo.image.convert("RGB")) - expected)[4:12, 4:12].max() < 20


def test_a_profile_that_is_kept_leaves_the_pixels_alone():
    for keep in (Keep(profile=True), Keep()):
        photo = open_photo(tell_tale("PNG"), keep=keep)
        expected = corners().transpose(Image.Transpose.ROTATE_270)
        assert np.array_equal(np.asarray(photo.image), np.asarray(expected)) == keep.profile
        assert (photo.profile == swapped_profile()) == keep.profile
        assert photo.exif is photo.xmp is None


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:200]])
def test_a_damaged_profile_is_not_kept(profile: bytes):
    photo = open_photo(stored(corners(), "PNG", icc_profile=profile), keep=ALL)
    assert photo.profile is None
    assert np.array_equal(np.asarray(photo.image), np.asarray(corners()))


def test_a_profile_for_other_channels_is_not_kept():
    assert open_photo(stored(corners("L"), "PNG", icc_profile=swapped_profile()), keep=ALL).profile is None
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert open_photo(stored(corners(), "PNG", icc_profile=lab), keep=ALL).profile is None


def test_a_gif_has_no_profile_and_so_is_in_srgb():
    kept, converted = (open_photo(tell_tale("PNG"), keep=keep) for keep in (ALL, Keep()))
    colours = open_photo(encode(kept.image, "GIF", Encoding(), kept)).image
    assert np.array_equal(np.asarray(colours), np.asarray(converted.image))
