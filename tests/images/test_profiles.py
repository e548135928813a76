"""Colours that a file names by a profile or by numbers become sRGB, as standards have it."""

import struct
from io import BytesIO

import numpy as np
import pytest
from pictures import AVIF, chunk, corners, png, stored
from PIL import Image, ImageCms

from gaze.images import Keep, as_rgb, open_photo
from gaze.images.boxes import colors_of
from gaze.images.profiles import named_profile

P3_TO_SRGB = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
"""Of linear light; CSS Color 4, 10, by way of D65."""


def linear(values: np.ndarray) -> np.ndarray:
    values = values / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1


def encoded(light: np.ndarray) -> np.ndarray:
    light = light.clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def colors() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))


def as_p3(image: Image.Image) -> np.ndarray:
    return encoded(linear(np.asarray(image)) @ P3_TO_SRGB.T)


def test_cicp_of_a_png():
    expected = as_p3(colors())
    shown = np.asarray(open_photo(png(chunk(b"cICP", bytes([12, 13, 0, 1])), image=colors())).image)
    assert np.abs(shown - expected).max() <= 2
    assert np.abs(np.asarray(colors()) - expected).max() > 40


@pytest.mark.parametrize("numbers", [(1, 13), (2, 2), (1, 1), (12, 2), (0, 0), (9, 16), (9, 18), (99, 13)])
def test_cicp_of_srgb_or_of_what_is_not_known_changes_nothing(numbers: tuple[int, int]):
    file = png(chunk(b"cICP", bytes([*numbers, 0, 1])), image=colors())
    assert np.array_equal(np.asarray(open_photo(file).image), np.asarray(colors()))


def test_linear_light():
    file = png(chunk(b"cICP", bytes([1, 8, 0, 1])), image=colors())
    assert np.abs(np.asarray(open_photo(file).image) - encoded(np.asarray(colors()) / 255)).max() <= 2


def test_cicp_comes_before_a_profile():
    file = png(chunk(b"cICP", bytes([12, 13, 0, 1])), image=colors(), icc_profile=named_profile(9, 13))
    assert np.abs(np.asarray(open_photo(file).image) - as_p3(colors())).max() <= 2


def test_the_colours_are_kept_as_a_profile_on_request():
    file = png(chunk(b"cICP", bytes([12, 13, 0, 1])), image=colors())
    photo = open_photo(file, keep=Keep(profile=True))
    assert np.array_equal(np.asarray(photo.image), np.asarray(colors()))
    again = open_photo(stored(photo.image, "PNG", icc_profile=photo.profile))
    assert np.abs(np.asarray(again.image) - as_p3(colors())).max() <= 2


def with_colors(file: bytes, primaries: int, transfer: int) -> bytes:
    at = file.index(b"colrnclx") + 8
    return file[:at] + struct.pack(">HH", primaries, transfer) + file[at + 4 :]


@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
def test_nclx_of_an_avif():
    flat = Image.new("RGB", (64, 64), (230, 60, 40))
    file = stored(flat, "AVIF", quality=100, subsampling="4:4:4")
    before = np.asarray(open_photo(file).image)[9, 9]
    shown = np.asarray(open_photo(with_colors(file, 12, 13)).image)[9, 9]
    assert np.abs(shown - as_p3(Image.new("RGB", (1, 1), tuple(map(int, before))))[0, 0]).max() <= 2
    assert np.abs(shown - before.astype(int)).max() > 10
    assert np.array_equal(np.asarray(open_photo(with_colors(file, 1, 13)).image)[9, 9], before)


@pytest.mark.parametrize("cut", range(0, 400, 7))
@pytest.mark.skipif(not AVIF, reason="this Pillow has no AVIF")
def test_boxes_that_lie_are_looked_at_without_an_error(cut: int):
    file = stored(corners(), "AVIF")
    for lie in (b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"\0\0\0\x08"):
        found = colors_of(BytesIO(file[:cut] + lie + file[cut + len(lie) :]))
        assert found is None or len(found) == 2


def renamed_linear() -> bytes:
    """A profile of linear light that calls itself sRGB."""
    profile = named_profile(1, 8)
    assert profile is not None
    return profile.replace("H.273 1/8".encode("utf-16-be"), "sRGB v1.8".encode("utf-16-be"))


def test_a_profile_is_known_by_what_it_does():
    profile = renamed_linear()
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).startswith("sRGB")
    shown = np.asarray(open_photo(stored(colors(), "PNG", icc_profile=profile)).image)
    assert np.abs(shown - encoded(np.asarray(colors()) / 255)).max() <= 2


def test_srgb_is_left_alone():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("RGB", "RGBA", "L"):
        file = stored(colors().convert(mode), "PNG", icc_profile=profile)
        assert np.array_equal(np.asarray(open_photo(file).image), np.asarray(colors().convert(mode)))


def test_conversion_of_a_file_leaves_a_callers_image_alone():
    image = colors()
    image.info["icc_profile"] = named_profile(12, 13)
    assert np.abs(as_rgb(image) - as_p3(colors())).max() <= 2
    assert np.array_equal(np.asarray(image), np.asarray(colors()))
