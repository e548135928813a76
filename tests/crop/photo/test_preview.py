import base64
from io import BytesIO

import numpy as np
from PIL import Image

from gaze.crop.photo.preview import preview


def decoded(text: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(text)))


def test_preview_holds_the_photo_its_density_and_the_crops():
    photo = Image.new("RGBA", (1200, 900), (250, 0, 0, 255))
    density = np.full((384, 512), 1e-6, np.float32)
    density[96:192, 384:448] = 1
    made = preview(photo, density, [photo.crop((0, 0, 900, 900)), Image.new("L", (50, 40), 128)])
    small, coarse = decoded(made.photo), decoded(made.density)
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (240, 180))
    assert np.abs(np.asarray(small).astype(int) - (250, 0, 0)).max() < 8
    assert (coarse.format, coarse.mode, coarse.size) == ("PNG", "L", (40, 30))
    assert (np.argwhere(np.asarray(coarse) == 255).mean(axis=0) / (30, 40)).round(1).tolist() == [0.4, 0.8]
    assert [decoded(text).size for text in made.thumbnails] == [(160, 160), (50, 40)]
    assert len(made.photo) + len(made.density) + sum(map(len, made.thumbnails)) < 20_000


def test_root_of_the_density_is_stored():
    made = preview(Image.new("L", (8, 4)), np.array([[1, 0.25, 0, 0]], np.float32), [])
    assert np.asarray(decoded(made.density)).tolist() == [[255, 127, 0, 0]]
