from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gaze
from gaze.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(bright_model: Path) -> Predictor:
    return Predictor(bright_model)


def test_path_picture_and_array_give_the_same_crop(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png")
    with Image.open(photo) as image:
        crops = [gaze.crop(x, "1:1", predictor) for x in (photo, str(photo), image, np.asarray(image))]
    assert crops == [crops[0]] * 4
    assert isinstance(crops[0], gaze.Crop)
    assert crops[0].ratio == gaze.AspectRatio(1, 1)
    assert crops[0].box.left > 45
    assert 1 >= crops[0].score > crops[0].center_score > 0


@pytest.mark.parametrize("ratio", ["3:2", 1.5, gaze.AspectRatio(3, 2)])
def test_ratio_is_text_number_or_ratio(predictor: Predictor, ratio: str | float | gaze.AspectRatio):
    crop = gaze.crop(np.zeros((60, 60, 3), np.uint8), ratio, predictor)
    assert crop.box == gaze.Box(0, 10, 60, 40)
    assert crop.score == crop.center_score == pytest.approx(2 / 3)


def test_score_is_the_share_of_the_full_density(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(1500, 900), x=0.7)
    crop = gaze.crop(photo, "1:1", predictor)
    box, density = crop.box, gaze.saliency(photo, predictor).astype(np.float64)
    columns = np.concatenate([[0], np.cumsum(density.sum(axis=0))])
    shares = columns[box.width :] - columns[: -box.width]
    assert crop.score == pytest.approx(shares.max(), abs=1e-3)
    assert shares[box.left] == pytest.approx(shares.max(), abs=1e-4)


def test_same_photo_in_another_size_gives_the_same_choice(draw: Callable[..., Path], predictor: Predictor):
    lefts = []
    for scale in (2, 4, 10):
        photo = draw(f"{scale}.png", size=(160 * scale, 120 * scale), x=0.7)
        lefts.append(gaze.crop(photo, "1:1", predictor).box.left / (160 * scale))
    assert lefts == pytest.approx([lefts[0]] * 3, abs=0.01)


def test_errors_name_the_argument(predictor: Predictor):
    with pytest.raises(gaze.ConfigError, match="ratio: expected"):
        gaze.crop(np.zeros((4, 4, 3), np.uint8), "wide", predictor)
    with pytest.raises(gaze.ImageError, match="got uint8"):
        gaze.crop(np.zeros((4, 4), np.uint8), "1:1", predictor)
