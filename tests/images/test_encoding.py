import io

import numpy as np
import pytest
from pictures import AVIF, corners
from PIL import Image, JpegImagePlugin

from gaze.errors import ImageError
from gaze.images import Encoding, encode


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_encoded_picture_is_the_picture(kind: str, mode: str):
    if kind == "AVIF" and not AVIF:
        pytest.skip("this Pillow has no AVIF")
    reopened = Image.open(io.BytesIO(encode(corners(mode), kind)))
    assert reopened.format == kind
    assert np.abs(np.asarray(reopened.convert(mode)).astype(int) - np.asarray(corners(mode))).mean() < 6
    if mode == "RGBA" and kind != "JPEG":
        assert reopened.mode == "RGBA"


def noise(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).convert(mode)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lower_quality_is_a_smaller_file(kind: str):
    if kind == "AVIF" and not AVIF:
        pytest.skip("this Pillow has no AVIF")
    lengths = [len(encode(noise(), kind, Encoding(quality=quality))) for quality in (1, 50, 100)]
    assert lengths == sorted(set(lengths))


def test_jpeg_is_progressive_on_request():
    assert "progressive" not in Image.open(io.BytesIO(encode(corners(), "JPEG"))).info
    assert Image.open(io.BytesIO(encode(corners(), "JPEG", Encoding(progressive=True)))).info["progressive"]


@pytest.mark.parametrize(("chroma", "number"), [(None, 2), ("420", 2), ("422", 1), ("444", 0)])
def test_jpeg_chroma(chroma: str | None, number: int):
    file = Image.open(io.BytesIO(encode(corners(), "JPEG", Encoding(chroma=chroma))))
    assert JpegImagePlugin.get_sampling(file) == number


@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
def test_avif_chroma():
    """Full chroma keeps colours that change from pixel to pixel."""
    errors = []
    for chroma in ("420", "444"):
        again = Image.open(io.BytesIO(encode(noise(), "AVIF", Encoding(quality=100, chroma=chroma))))
        errors.append(np.abs(np.asarray(again, dtype=int) - np.asarray(noise())).mean())
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_settings_that_a_format_does_not_know_do_no_harm(kind: str):
    setting = Encoding(quality=55, progressive=True, chroma="444")
    assert Image.open(io.BytesIO(encode(corners("RGBA"), kind, setting))).size == (48, 32)


def test_picture_too_large_for_its_format_is_an_error():
    with pytest.raises(ImageError, match="cannot encode 70000x1 as JPEG"):
        encode(Image.new("L", (70000, 1)), "JPEG")
