from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    crop = gaze.crop(photo, "1:1", predictor, padding=0)
    box, density = crop.box, gaze.saliency(photo, predictor).astype(np.float64)
    columns = np.concatenate([[0], np.cumsum(density.sum(axis=0))])
    shares = columns[box.width :] - columns[: -box.width]
    assert crop.score == pytest.approx(shares.max(), abs=3e-3)  # its cells count as evenly filled
    assert shares[box.left] == pytest.approx(shares.max(), abs=1e-3)


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


def test_focus_is_in_pixels_and_overrides_what_draws_the_eye(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(1200, 400), x=0.8)
    assert gaze.crop(photo, "1:1", predictor).box.left > 600
    crop = gaze.crop(photo, "1:1", predictor, focus=gaze.Point(250, 100))
    assert crop.box.left + 200 == pytest.approx(250, abs=20)
    assert not crop.centered
    pair = gaze.crop(photo, "1:1", predictor, focus=[gaze.Point(150, 10), gaze.Point(350, 390)], threshold=1)
    assert pair.box.left + 200 == pytest.approx(250, abs=20)
    assert gaze.crop(photo, "1:1", predictor, focus=gaze.Point(250, 100), focus_weight=0).box.left > 600


def test_settings_reach_the_choice(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(900, 600), x=0.8)
    assert gaze.crop(photo, "1:1", predictor, zoom=2).box.size == gaze.Size(300, 300)
    assert gaze.crop(photo, "1:1", predictor, zoom=(1, 4)).zoom > 1
    assert gaze.crop(photo, "9:16", predictor, keep=1).box == gaze.Box(0, 0, 900, 600)
    still = gaze.crop(photo, "1:1", predictor, threshold=1)
    assert (still.box, still.centered) == (gaze.Box(150, 0, 600, 600), True)
    assert still.confidence > 0
    best = gaze.crop(photo, "9:16", predictor, candidates=3)
    assert len(best.alternatives) == 2
    assert best.alternatives[0].score < best.score
    with pytest.raises(gaze.ConfigError, match="zoom: expected"):
        gaze.crop(photo, "1:1", predictor, zoom=0.5)
    with pytest.raises(gaze.ConfigError, match="focus: expected points inside the 900x600"):
        gaze.crop(photo, "1:1", predictor, focus=gaze.Point(900, 10))


def test_threads_get_what_one_gets(draw: Callable[..., Path], predictor: Predictor):
    photos = [draw(f"{k}.png", x=0.1 * k, y=0.3 + 0.04 * k) for k in range(1, 10)]

    def cropped(photo: Path) -> gaze.Crop:
        return gaze.crop(photo, "1:1", predictor, zoom=(1, 2), candidates=2)

    expected = [cropped(photo) for photo in photos]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(cropped, photos * 4)) == expected * 4
