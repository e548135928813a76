from io import BytesIO

import numpy as np
from PIL import Image

from gaze.evaluation.picture import Example, draw


def test_one_row_an_example_with_the_photograph_as_it_is():
    photo = np.full((60, 80, 3), (200, 30, 90), np.uint8)
    spot = np.zeros((60, 80), np.float32)
    spot[20:40, 30:50] = 1
    rows = [Example(name, photo, spot, spot) for name in ("best: a_b$c.jpg, IG 1.00", "worst: x.jpg")]
    one, two = (Image.open(BytesIO(draw(rows[:n]))).convert("RGB") for n in (1, 2))
    assert one.format is None
    assert two.height == 2 * one.height
    colors = {color for _, color in one.getcolors(1 << 20)}
    assert (200, 30, 90) in colors
