"""Binary PPM and PGM files of any largest value: as Pillow decodes them, at once and in little memory."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image, PpmImagePlugin

from gaze.errors import ImageError
from gaze.images import open_photo


def ppm(most: int, channels: int, size: tuple[int, int] = (30, 40), start: bytes = b"") -> bytes:
    """Noise from 0 to `most`, and values beyond it where its bytes can hold them."""
    width, height = size
    top = 255 if most < 256 else 65535
    random = np.random.default_rng(most).integers(0, top + 1, (height, width, channels))
    values = np.where(np.arange(width)[:, None] < 3, random, random % (most + 1))
    kind = b"P6" if channels == 3 else b"P5"
    return (
        kind + start + b" %d %d %d\n" % (width, height, most) + values.astype("u1" if most < 256 else ">u2").tobytes()
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("most", [1, 7, 100, 254, 255, 256, 1000, 32767, 65534, 65535])
def test_samples_are_scaled_as_pillow_scales_them(most: int, channels: int):
    file = ppm(most, channels)
    grey16 = channels == 1 and most > 255
    expected = np.asarray(Image.open(io.BytesIO(file)))
    found = np.asarray(open_photo(file).image)
    assert np.array_equal(found, (expected / 257 + 0.5).astype(np.uint8) if grey16 else expected)


def test_a_comment_in_the_header_is_passed_over():
    with_comment, without = (open_photo(ppm(100, 3, start=start)).image for start in (b" # 1 2 3\n", b""))
    assert np.array_equal(np.asarray(with_comment), np.asarray(without))


@pytest.mark.parametrize(("most", "channels"), [(1000, 1), (65534, 3), (100, 3)])
def test_a_file_that_ends_early_is_damaged(most: int, channels: int):
    file = ppm(most, channels)
    assert open_photo(file[:-60]).damage
    with pytest.raises(ImageError, match="damaged, truncated or unsupported PPM"):
        open_photo(file[: len(file) // 2])
    with pytest.raises(ImageError, match="damaged, truncated or unsupported PPM"):
        open_photo(file[:-60], strict=True)


def test_no_sample_is_scaled_by_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PpmImagePlugin.PpmDecoder, "decode", None)
    for most in (100, 1000, 65534):
        for channels in (1, 3):
            assert open_photo(ppm(most, channels)).damage == ""


def test_memory_is_that_of_the_picture():
    file = ppm(65534, 3, (1500, 1000))
    tracemalloc.start()
    open_photo(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1_500_000
