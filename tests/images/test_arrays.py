import io

import numpy as np
import pytest
from pictures import corners, stored
from PIL import Image

from gaze.errors import ImageError
from gaze.images import as_rgb, decode, open_photo


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
        as_rgb(Image.open(io.BytesIO(stored(corners().resize((480, 320)), "JPEG")[:-800])))
