import io

import numpy as np
import pytest
from pictures import AVIF, corners, stored
from PIL import Image, JpegImagePlugin

from gaze.errors import ImageError
from gaze.images import Encoding, encode, open_photo


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


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_png_of_a_palette_keeps_one_and_all_its_colours(mode: str):
    source = corners(mode).quantize(200, Image.Quantize.FASTOCTREE)
    photo = open_photo(stored(source, "PNG"))
    assert photo.indexed
    reopened = Image.open(io.BytesIO(encode(photo.image, "PNG", photo=photo)))
    assert (reopened.mode, photo.image.mode) == ("P", mode)
    assert reopened.convert(mode).tobytes() == photo.image.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_that_scaling_made_are_kept_nearly_and_in_a_smaller_file(mode: str):
    lines = Image.effect_mandelbrot((600, 600), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    source = Image.merge("RGB", (lines.getchannel(0), lines.getchannel(1).rotate(90), lines.getchannel(2).rotate(180)))
    source = source.convert(mode).quantize(8, Image.Quantize.FASTOCTREE)
    if mode == "RGBA":
        source.info["transparency"] = bytes(range(255, 247, -1))
    photo = open_photo(stored(source, "PNG"))
    small = photo.image.resize((200, 200))
    assert small.getcolors(256) is None
    content = encode(small, "PNG", photo=photo)
    reopened = Image.open(io.BytesIO(content))
    assert reopened.mode == "P"
    assert np.abs(np.asarray(reopened.convert(mode)).astype(int) - np.asarray(small)).mean() < 6
    assert len(content) < 0.8 * len(encode(small, "PNG"))


def test_only_a_png_of_a_palette_has_one():
    photo = open_photo(stored(corners(), "PNG"))
    assert not photo.indexed
    assert Image.open(io.BytesIO(encode(photo.image, "PNG", photo=photo))).mode == "RGB"
    indexed = open_photo(stored(corners().quantize(4), "PNG"))
    assert Image.open(io.BytesIO(encode(indexed.image, "TIFF", photo=indexed))).mode == "RGB"
    assert Image.open(io.BytesIO(encode(indexed.image.convert("L"), "PNG", photo=indexed))).mode == "L"


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_palette_is_found_in_bands(mode: str, monkeypatch: pytest.MonkeyPatch):
    photo = open_photo(stored(corners(mode).quantize(200, Image.Quantize.FASTOCTREE), "PNG"))
    whole = encode(photo.image, "PNG", photo=photo)
    monkeypatch.setattr("gaze.images.color._BAND", 100)
    assert encode(photo.image, "PNG", photo=photo) == whole


def test_a_large_picture_of_more_colours_than_a_palette_holds_keeps_them(monkeypatch: pytest.MonkeyPatch):
    photo = open_photo(stored(corners().quantize(4), "PNG"))
    shades = Image.linear_gradient("L")
    many = Image.merge("RGB", (shades, shades.rotate(90), shades))
    assert Image.open(io.BytesIO(encode(many, "PNG", photo=photo))).mode == "P"
    monkeypatch.setattr("gaze.images.encoding.LARGE", 256 * 256 - 1)
    assert Image.open(io.BytesIO(encode(many, "PNG", photo=photo))).tobytes() == many.tobytes()
