"""What Pillow and libtiff say beside their exceptions: the library leaves it and the process alone, commands do not."""

import io
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pictures import AVIF, corners, stored
from PIL import Image

import gaze
from gaze.crop.cli import main
from gaze.errors import ImageError
from gaze.images import Keep, as_rgb, decode, open_photo
from gaze.images.diagnostics import silence_pillow, without_stderr
from gaze.predictor import Predictor

BROKEN_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 20


def broken_exif(kind: str = "JPEG") -> bytes:
    return stored(corners(), kind, exif=BROKEN_EXIF)


def broken_tiff() -> bytes:
    """Of which libtiff tells on file descriptor 2."""
    file = bytearray(stored(corners(), "TIFF", compression="tiff_adobe_deflate"))
    start = Image.open(io.BytesIO(file)).tag_v2[0x0111][0]  # type: ignore[attr-defined]
    file[start : start + 4] = b"\xff" * 4
    return bytes(file)


def clear_palette() -> bytes:
    palette = corners().quantize(4)
    return stored(palette, "PNG", transparency=bytes([0, 128, 255, 255]))


def crop_or_refuse(content: bytes, predictor: Predictor) -> bool:
    try:
        gaze.saliency(content, predictor)
        return gaze.crop(content, predictor=predictor).score > 0
    except ImageError:
        return False


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_many_threads_leave_filters_and_stderr_as_they_were(bright_model: Path, capfd: pytest.CaptureFixture[str]):
    large = stored(corners().resize((1200, 800)), "TIFF", compression="tiff_adobe_deflate")
    odd = [broken_exif(), broken_tiff(), clear_palette(), large, stored(corners("CMYK"), "JPEG")]
    predictor, done, lines = Predictor(bright_model), threading.Event(), 0
    filters, before, error = warnings.filters, list(warnings.filters), os.fstat(2)

    def talk() -> None:
        nonlocal lines
        while not done.is_set():
            os.write(2, b"heard\n")
            lines += 1

    talker = threading.Thread(target=talk)
    talker.start()
    with ThreadPoolExecutor(6) as pool:
        good = list(pool.map(lambda number: crop_or_refuse(odd[number % len(odd)], predictor), range(60)))
    done.set()
    talker.join()
    assert good == [True, False, True, True, True] * 12
    assert warnings.filters is filters
    assert warnings.filters == before
    assert os.path.samestat(os.fstat(2), error)
    assert capfd.readouterr().err.count("heard\n") == lines > 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM"] + ["AVIF"] * AVIF)
def test_a_large_photo_is_no_warning(monkeypatch: pytest.MonkeyPatch, kind: str):
    file = stored(corners(), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 32 - 1)  # from where on Pillow warns
    assert decode(file).shape == (32, 48, 3)


def test_a_palette_with_transparency_is_no_warning():
    assert open_photo(clear_palette()).image.mode == "RGBA"
    assert as_rgb(Image.open(io.BytesIO(clear_palette()))).shape == (32, 48, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_metadata_is_a_warning_and_no_damage(kind: str):
    file = broken_exif(kind)
    with pytest.warns(UserWarning, match="EXIF"):
        assert open_photo(file, keep=Keep(metadata=True)).exif is None
    with pytest.raises(UserWarning, match="EXIF"):  # as the tests' filters make errors of warnings
        open_photo(file, keep=Keep(metadata=True))


class Complaining(Image.Image):
    """A lazily loaded image of which Pillow warns as it is loaded."""

    def convert(self, *arguments: object, **options: object) -> Image.Image:
        warnings.warn("Metadata Warning", stacklevel=1)
        return corners()


def test_a_warning_about_an_image_at_hand_is_no_damage():
    image = Complaining()
    image._mode, image._size = "YCbCr", (48, 32)
    with pytest.warns(UserWarning, match="Metadata"):
        assert np.array_equal(as_rgb(image), np.asarray(corners()))
    with pytest.raises(UserWarning, match="Metadata"):
        as_rgb(image)


def test_a_command_drops_what_pillow_says():
    silence_pillow()
    assert decode(broken_exif()).shape == (32, 48, 3)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_what_is_dropped_from_stderr_ends_with_the_block(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(KeyError), without_stderr():
        raise KeyError(os.write(2, b"dropped\n"))
    os.write(2, b"heard\n")
    assert capfd.readouterr() == ("", "heard\n")


@pytest.mark.parametrize("make", [broken_exif, broken_tiff])
def test_crop_says_nothing_besides_its_error(
    make: Callable[[], bytes], tmp_path: Path, bright_model: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "photos").mkdir()
    photo = tmp_path / "photos" / "a.jpg"
    photo.write_bytes(make())
    expected = [f"gaze.crop: {photo}: damaged, truncated or unsupported TIFF file"] * (make is broken_tiff)
    for source, output in ((photo, tmp_path / "b.jpg"), (photo, "-"), (photo.parent, tmp_path / "out")):
        folder = ["--quiet", "--jobs", "1"] if source.is_dir() else []
        code = main([str(source), str(output), "--model", str(bright_model), *folder])
        told = capfd.readouterr().err.splitlines()  # of a folder with a failure also the counts
        assert code == len(expected)
        assert [line.partition(" (")[0] for line in told][:1] == expected
        assert len(told) == (2 if expected and source.is_dir() else len(expected))
