"""What every host does: a look at a picture of any mode and size, and one line where that fails."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gaze import predictor
from gaze.errors import ModelError
from gaze.integrations import hosting
from gaze.integrations.hosting import look, step_aside
from gaze.predictor import Predictor

DOG = Path(__file__).parents[2] / "docs/dog.jpg"


@pytest.fixture(scope="module")
def dog() -> Image.Image:
    with Image.open(DOG) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "I", "LA"])
@pytest.mark.parametrize("side", [200, 3000])
def test_a_picture_of_any_mode_is_looked_at(dog: Image.Image, mode: str, side: int):
    picture = dog.convert(mode).resize((side, side // 2))
    density = look(picture).density
    assert density.sum() == pytest.approx(1, abs=1e-4)
    assert picture.size == (side, side // 2)


def test_a_large_picture_that_is_reduced_first_says_nearly_the_same(dog: Image.Image):
    large = dog.resize((3600, 2160))
    whole = Predictor().predict(np.asarray(large)).density
    assert np.abs(look(large).density - whole).sum() / 2 < 0.05


def test_many_threads_load_one_model_and_see_the_same(dog: Image.Image, monkeypatch: pytest.MonkeyPatch):
    loaded = []
    start = Predictor.__init__
    monkeypatch.setattr(Predictor, "__init__", lambda self, *names: loaded.append(names) or start(self, *names))
    predictor._loaded.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        densities = [seen.density for seen in pool.map(look, [dog] * 8)]
    assert loaded == [(None,)]
    assert all(np.array_equal(density, densities[0]) for density in densities)


def test_a_reason_is_told_once_in_one_line(caplog: pytest.LogCaptureFixture):
    hosting._warn.cache_clear()
    for reason in ("it is\ndamaged", "it is\ndamaged", "it is gone"):
        step_aside("the host", ModelError(reason))
    assert [record.getMessage() for record in caplog.records] == [
        "the host goes on without gaze: it is damaged",
        "the host goes on without gaze: it is gone",
    ]
