"""Variations of photographs with the densities that a network predicts of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from gaze.config import validate
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, DataError
from gaze.images import decode
from gaze.models import build_network
from gaze.models.checkpoints import save_checkpoint
from gaze.predictor import Predictor
from gaze.teach import TeachConfig, teach
from tests.models.conftest import small_config
from tests.pruning.conftest import live


def run_teach(out: Path, *overrides: str) -> FixationStore:
    with initialize_config_module("gaze.conf", version_base="1.3"):
        teach(validate(compose("teach", [f"out={out}", *overrides]), TeachConfig))
    return FixationStore(out)


@pytest.fixture
def run(small_store, tmp_path):
    def make(*overrides: str, out: str = "taught.h5") -> FixationStore:
        given = ["data=folder", f"sets.folder.store={small_store}", "network=fast", "views=2"]
        return run_teach(tmp_path / out, *given, *overrides)

    return make


@pytest.fixture
def photos(tmp_path) -> Path:
    """Three photographs, one of them in a subfolder, and what is none."""
    folder = tmp_path / "holidays"
    for number, name in enumerate(("a.png", "b.jpg", "deep/down/c.JPG")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(values, (240, 180)))
    for name in (".hidden.jpg", "thumbnails/mine.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / "b.jpg").read_bytes())
    (folder / "notes.txt").write_text("words")
    return folder


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


OF_PHOTOS = ["license=CC BY 4.0", "network=fast", "views=2"]


@pytest.mark.parametrize("folder", ["'~/holidays'", "holidays"])
def test_any_photographs_can_be_varied(photos, tmp_path, monkeypatch, folder):
    monkeypatch.setenv("HOME", str(photos.parent))
    monkeypatch.chdir(photos.parent)
    taught = run_teach(tmp_path / "taught.h5", f"photos={folder}", *OF_PHOTOS)
    assert taught.names == [
        f"photos/{name}/{view}" for name in ("a.png", "b.jpg", "deep/down/c.JPG") for view in (0, 1)
    ]
    assert set(taught.splits) == {"train"}
    assert list(taught.indices("train")) == list(range(6))
    said = taught.attributes
    assert (said.name, said.license, said.source) == (
        "taught", "CC BY 4.0", "variations of the photographs of holidays",
    )  # fmt: skip
    assert said.teacher == f"fast {Predictor('fast').card.version}"
    for index in range(len(taught)):
        image, density = decode(taught[index].image), taught[index].density
        assert density is not None
        assert np.abs(density - np.exp(Predictor("fast").log_density(image))).sum() / 2 < 0.08


def test_a_file_that_cannot_be_read_is_said_and_left_out_and_changes_no_other(photos, tmp_path, capsys):
    whole = run_teach(tmp_path / "1.h5", f"photos={photos}", *OF_PHOTOS)
    capsys.readouterr()
    (photos / "a.png").write_text("no image")
    (photos / "aa.jpg").write_bytes((photos / "b.jpg").read_bytes()[:500])
    (photos / "empty.webp").touch()
    rest = run_teach(tmp_path / "2.h5", f"photos={photos}", *OF_PHOTOS)
    err = capsys.readouterr().err
    for name in ("a.png", "aa.jpg", "empty.webp"):
        assert [line.count("\n") for line in err.splitlines() if f"{name}: " in line] == [0]
        assert f"left out: {photos / name}: " in err
    assert "3 of 5 photographs left out, as they cannot be read" in err
    assert rest.names == whole.names[2:]
    assert [rest[i].image for i in range(4)] == [whole[i + 2].image for i in range(4)]


def test_sets_and_photographs_can_be_varied_together(run, photos, small_store):
    taught = run(f"photos={photos}", "license=CC0", "views=1")
    count = len(FixationStore(small_store).indices("train"))
    assert [name.partition("/")[0] for name in taught.names] == ["small"] * count + ["photos"] * 3
    assert taught.attributes.license == "CC0; MIT"
    assert taught.attributes.source == "variations of folder, the photographs of holidays"


def test_an_ensemble_teaches_the_mean_of_what_each_predicts_at_its_own_size(run, tmp_path, bright_model):
    torch.manual_seed(0)
    network = live(build_network(small_config()))
    save_checkpoint(tmp_path / "small.ckpt", network, ["drawn"], 5)
    names = [str(tmp_path / "small.ckpt"), str(bright_model), "fast"]
    taught = run(f"network=[{','.join(names)}]", "views=1")
    assert taught.attributes.teacher is not None
    assert taught.attributes.teacher.startswith("mean of small ")
    assert taught.attributes.teacher.endswith(f", bright 7, fast {Predictor('fast').card.version}")
    for index in range(len(taught)):
        image, density = decode(taught[index].image), taught[index].density
        assert max(image.shape) == 320  # what the finest sees
        height, width = image.shape[:2]
        small = cv2.resize(image, (64 * width // 320, 64 * height // 320), interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            coarse = network(torch.from_numpy(small)[None])[0].exp().numpy()
        each = [np.exp(Predictor(name).log_density(image)) for name in names[1:]]
        each.append(cv2.resize(coarse, (width, height)) / cv2.resize(coarse, (width, height)).sum())
        assert np.abs(density - np.mean(each, 0)).sum() / 2 < 0.05
        assert np.abs(density - each[2]).sum() / 2 > 0.1


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ([], ConfigError, r"^data: expected one set at least, data=NAME of cat2000, .*, or photos=FOLDER; got none$"),
        (["photos=FOLDER"], ConfigError, r"^license: expected the licence of the photographs of photos=, .* got null$"),
        (["photos=FOLDER", "license=''"], ConfigError, r"^license: expected the licence .* got ''$"),
        (["photos=nowhere", "license=CC0"], DataError, r"^photos=nowhere: no such folder$"),
        (["photos=FOLDER/a.png", "license=CC0"], DataError, r"^photos=\S*/a\.png: no such folder$"),
        (["photos=FOLDER/thumbnails/none", "license=CC0"], DataError, "no photograph in it"),
        (["photos=FOLDER/bad", "license=CC0"], DataError, "nothing to write"),
        (
            ["photos=FOLDER", "license=CC0", "network=[fast,nobody]"],
            ConfigError,
            r"^network: expected fast, .* 'nobody'",
        ),
        (["photos=FOLDER", "license=CC0", "network=[]"], ConfigError, r"^network: expected a network or a list"),
    ],
)
def test_what_cannot_be_varied_is_one_line_and_nothing_is_written(photos, tmp_path, overrides, error, message):
    (photos / "thumbnails/none").mkdir()
    (photos / "bad").mkdir()
    (photos / "bad/one.jpg").touch()
    with pytest.raises(error, match=message) as caught:
        run_teach(tmp_path / "taught.h5", *(override.replace("FOLDER", str(photos)) for override in overrides))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.h5"))
