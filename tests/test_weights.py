"""The models that the package ships."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import gaze
from gaze.weights import DEFAULT, SHIPPED, shipped_model


@pytest.fixture(params=SHIPPED, scope="module")
def model(request: pytest.FixtureRequest) -> str:
    if not shipped_model(request.param).is_file():
        pytest.skip(f"this tree carries no model {request.param}")
    return request.param


def drawn_photo() -> Image.Image:
    """A head and shoulders on the right of an even wall."""
    image = Image.new("RGB", (600, 400), (150, 170, 180))
    draw = ImageDraw.Draw(image)
    draw.ellipse((420, 250, 600, 520), fill=(40, 40, 90))
    draw.ellipse((460, 110, 560, 250), fill=(225, 180, 150))
    draw.pieslice((455, 95, 565, 230), 180, 360, fill=(60, 40, 20))
    for x in (490, 530):
        draw.ellipse((x - 8, 165, x + 8, 177), fill="white")
        draw.ellipse((x - 4, 167, x + 4, 175), fill="black")
    draw.arc((485, 190, 535, 225), 20, 160, fill=(150, 50, 50), width=5)
    return image


def test_default_is_there():
    assert gaze.Predictor().path == shipped_model(DEFAULT)


def test_model_is_small_and_says_what_it_is(model: str):
    card = gaze.Predictor(model).card
    assert card.name == model
    assert shipped_model(model).stat().st_size <= 12_000_000
    assert card.license
    assert card.trained_on
    assert card.command
    assert set(card.metrics) >= set(card.trained_on)


def test_the_card_tells_how_well_unseen_sets_are_predicted():
    card = gaze.Predictor("quality").card
    assert set(card.left_out) >= set(card.trained_on)


def test_crop_follows_a_face(model: str):
    crop = gaze.crop(drawn_photo(), ratio="1:1", model=model)
    assert crop.box.right >= 560
    assert crop.score > crop.center_score


def test_saliency_is_a_density(model: str):
    density = gaze.saliency(np.asarray(drawn_photo()), model=model)
    assert density.shape == (400, 600)
    assert density.dtype == np.float32
    assert density.sum(dtype=np.float64) == pytest.approx(1, abs=1e-4)
