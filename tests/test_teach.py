"""Variations of photographs with the densities that a network predicts of them."""

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_module

from gaze.config import validate
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, DataError
from gaze.images import decode
from gaze.predictor import Predictor
from gaze.teach import TeachConfig, teach


@pytest.fixture
def run(small_store, tmp_path):
    def make(*overrides: str, out: str = "taught.h5") -> FixationStore:
        given = [f"sets.folder.store={small_store}", "network=fast", "views=2", f"out={tmp_path / out}"]
        with initialize_config_module("gaze.conf", version_base="1.3"):
            teach(validate(compose("teach", ["data=folder", *given, *overrides]), TeachConfig))
        return FixationStore(tmp_path / out)

    return make


def test_every_training_photograph_is_varied_and_no_other(run, small_store):
    photos, taught = FixationStore(small_store), run()
    names = [f"small/{photos.names[i]}/{view}" for i in photos.indices("train") for view in range(2)]
    assert taught.names == names
    assert set(taught.splits) == {"train"}
    assert (taught.attributes.name, taught.attributes.license) == ("taught", "MIT")
    assert taught.attributes.teacher == f"fast {Predictor('fast').card.version}"
    assert photos.attributes.teacher is None


def test_each_variation_has_the_density_that_the_teacher_predicts_of_it(run):
    taught, predictor = run(), Predictor("fast")
    for index in range(len(taught)):
        stimulus = taught[index]
        image = decode(stimulus.image)
        assert max(image.shape) == predictor.card.input.longer_side
        assert stimulus.density is not None
        assert stimulus.density.shape == image.shape[:2]
        assert len(stimulus.fixations) == 0
        expected = np.exp(predictor.log_density(image))
        assert np.abs(stimulus.density - expected).sum() / 2 < 0.05  # JPEG lies between the two


def test_a_seed_fixes_the_variations_and_another_makes_others(run):
    first, again, other = run(out="1.h5"), run(out="2.h5"), run("seed=2", out="3.h5")
    assert [first[i].image for i in range(len(first))] == [again[i].image for i in range(len(again))]
    assert len({store[i].image for store in (first, other) for i in range(len(store))}) == 2 * len(first)


def test_a_photograph_that_is_not_varied_stays_as_it_is(run, small_store):
    taught = run("views=1", "augment={flip: 0, crop: 0, color: 0}")
    photos = FixationStore(small_store)
    original = decode(photos[int(photos.indices("train")[0])].image)
    seen = decode(taught[0].image)
    scaled = cv2.resize(original, seen.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(float) - scaled).mean() < 5  # JPEG


def test_a_store_that_is_there_is_replaced_only_where_that_is_asked_for(run, tmp_path):
    (tmp_path / "taught.h5").write_text("mine")
    with pytest.raises(ConfigError, match=r"^out: \S*taught\.h5 exists already; give another out, or overwrite=true$"):
        run("network=nobody")
    assert (tmp_path / "taught.h5").read_text() == "mine"
    assert len(run("overwrite=true", "views=1")) == 4


def test_wrong_settings_are_one_line_and_nothing_is_written(run, tmp_path):
    for override, message in (("views=0", "views: expected at least 1"), ("network=nobody", "nobody")):
        with pytest.raises(ConfigError, match=message) as caught:
            run(override)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no such store"):
        run(f"sets.folder.store={tmp_path / 'nowhere.h5'}")
    assert not list(tmp_path.glob("*.h5"))
