"""Learning which crops people would use, by a network that is left as it is."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from gaze import AspectRatio, Size
from gaze.config import validate
from gaze.data.usable_windows import COLUMNS, UsableWindows
from gaze.errors import ConfigError, DataError
from gaze.framing.choice import Seen
from gaze.framing.preference import Preference
from gaze.models import GazeNetwork, build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import PreferenceConfig
from gaze.training.preference import Judged, judged, prefer, sent_back, standardise, worth
from gaze.training.preference_config import PreferConfig
from tests.conftest import SPLITS
from tests.models.conftest import small_config
from tests.pruning.conftest import live

NAMES = [f"{number:03}.png" for number in range(len(SPLITS))]


@pytest.fixture
def network() -> GazeNetwork:
    torch.manual_seed(0)
    return build_network(small_config()).eval().requires_grad_(False)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def rows() -> list[UsableWindows]:
    """Of a square, of which the left half is usable, and of a wide window."""
    usable = np.array([[1.0, 1, 0, 0], [1, 0, 0, 0]])
    return [UsableWindows("a", "b", AspectRatio(*ratio), usable, (0, 0)) for ratio in ((1, 1), (16, 9))]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("ratio", [0, 1])
def test_worth_is_that_of_framing(network, photo, rows, mirrored, ratio):
    random, size = np.random.default_rng(7), Size(64, 48)
    judgement = judged(network, photo, rows).judgements[ratio]
    maps = random.normal(size=(2, 12, 16))
    window = rows[ratio].ratio.largest(size)
    density = network(torch.from_numpy(photo[None])).exp()[0].double().detach().numpy()
    places = Seen(density / density.sum(), size, None, Preference(*maps)).places(window)
    expected = Preference(*maps).worth(places).ravel()
    shown = maps[:, :, ::-1].copy() if mirrored else maps
    found = worth(torch.from_numpy(shown).float(), judgement, mirrored)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_the_readers_and_the_policy_are_told_of_each_place(network, photo, rows):
    told = judged(network, photo, rows)
    assert [judgement.across for judgement in told.judgements] == [True, False]
    assert [tap.shape[:2] for tap in told.taps] == [(2, channels) for channels in network.backbone.channels]
    square = told.judgements[0]
    assert (float(square.sent_back[0]), float(square.sent_back[-1])) == (0, 1)
    assert float(square.starts[-1]) == pytest.approx(0.25)
    density = network(torch.from_numpy(photo[None])).exp()[0].double().detach().numpy()
    nothing = Preference(*np.zeros((2, *density.shape)))
    expected = Seen(density / density.sum(), Size(64, 48), None, nothing).places(Size(48, 48)).worth.ravel()
    np.testing.assert_allclose(square.worth.numpy(), expected, atol=1e-5)


def test_what_can_move_nowhere_is_left_out(network, photo, rows):
    still = UsableWindows("a", "b", AspectRatio(4, 3), rows[0].usable, (0, 0))
    assert len(judged(network, photo, [still, rows[0]]).judgements) == 1


def test_the_share_sent_back_is_that_of_the_best_place(network, photo, rows):
    told = judged(network, photo, rows[:1])
    network.add_preference(PreferenceConfig(4, [3]))
    best = int(told.judgements[0].worth.argmax())
    assert sent_back(network, [told]) == pytest.approx(float(told.judgements[0].sent_back[best]))


def test_what_the_readout_begins_with_sees_standard_maps(network, rows):
    random = np.random.default_rng(1)
    photos = [judged(network, random.integers(0, 256, (48, 64, 3), np.uint8), rows) for _ in range(20)]
    network.add_preference(PreferenceConfig(4, [3]))
    before = [layer.weight.clone() for layer in network.preference.reduce]
    biases = [layer.bias.clone() for layer in network.preference.reduce]
    standardise(network.preference, photos)
    for number, layer in enumerate(network.preference.reduce):
        maps = torch.cat([p.taps[number].float().transpose(0, 1).flatten(1) for p in photos[::8]], 1)
        standard = (maps - maps.mean(1, keepdim=True)) / (maps.std(1, keepdim=True) + 1e-3)
        with torch.no_grad():
            found = layer.weight[:, :, 0, 0] @ maps + layer.bias[:, None]
        expected = before[number][:, :, 0, 0] @ standard + biases[number][:, None]
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.fixture
def config(small_store: Path, tmp_path: Path) -> Callable[..., PreferConfig]:
    """The last windows alone are usable, whatever there is to see."""
    save_checkpoint(tmp_path / "before.ckpt", live(build_network(small_config())), ["earlier"], 5)
    lines = [f"folder,{name},1:1,5,54,5" for name in NAMES]
    (tmp_path / "windows.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")

    def make(*overrides: str) -> PreferConfig:
        paths = [f"sets.folder.store={small_store}", f"checkpoint={tmp_path / 'before.ckpt'}"]
        paths += [f"windows={tmp_path / 'windows.csv'}", f"out={tmp_path / 'after.ckpt'}"]
        with initialize_config_module("gaze.conf", version_base="1.3"):
            return validate(compose("prefer", ["data=folder", *paths, *overrides]), PreferConfig)

    return make


def test_it_learns_and_leaves_the_rest_bit_by_bit(config, tmp_path, capsys):
    line = prefer(config("epochs=30", "lr=0.02", "strength=1", "reduce=4", "channels=[6]"))
    old, new = (load_checkpoint(tmp_path / f"{name}.ckpt") for name in ("before", "after"))
    weights = new.network.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in old.network.state_dict().items())
    assert (new.trained_on, new.seed) == (["earlier"], 5)
    assert new.network.config.preference == PreferenceConfig(4, [6])
    told = re.fullmatch(
        r".*after\.ckpt: (\S+) of the crops of validation are sent back, (\S+) by the policy alone", line
    )
    assert float(told[1]) < float(told[2])
    assert "epoch 30" in capsys.readouterr().err


def test_what_was_learnt_is_followed_in_part(config, tmp_path, photo):
    found = []
    for strength in (1, 0.25):
        prefer(config("epochs=2", f"strength={strength}", f"out={tmp_path / str(strength)}.ckpt"))
        network = load_checkpoint(tmp_path / f"{strength}.ckpt").network
        with torch.no_grad():
            found.append(network.outputs(torch.from_numpy(photo[None]))["preference"])
    assert found[0].any()
    torch.testing.assert_close(found[1], found[0] / 4)


def test_the_same_seed_gives_the_same_weights(config, tmp_path):
    found = []
    for name in ("one", "other"):
        prefer(config("epochs=2", f"out={tmp_path / name}.ckpt"))
        found.append(load_checkpoint(tmp_path / f"{name}.ckpt").network.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_network_that_prefers_already_and_a_checkpoint_that_is_there_are_refused(config, tmp_path):
    prefer(config("epochs=1"))
    with pytest.raises(ConfigError, match=r"after\.ckpt exists already"):
        prefer(config("epochs=1"))
    with pytest.raises(ConfigError, match="expected a network without preference, it has one already"):
        prefer(config(f"checkpoint={tmp_path / 'after.ckpt'}", f"out={tmp_path / 'more.ckpt'}"))


def test_a_split_that_no_row_tells_of_is_named(config, tmp_path):
    train = [name for name, split in zip(NAMES, SPLITS, strict=True) if split == "train"]
    lines = [f"folder,{name},1:1,5,12,1" for name in train]
    (tmp_path / "windows.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    with pytest.raises(DataError, match="windows: no row is of a photograph of val in folder"):
        prefer(config())
    assert not (tmp_path / "after.ckpt").exists()


@pytest.mark.parametrize("still", ["train", "val"])
def test_photographs_that_no_window_can_move_in_do_not_count(config, tmp_path, still):
    lines = []
    for number, (name, split) in enumerate(zip(NAMES, SPLITS, strict=True)):
        whole = "3:4" if number % 4 == 3 else "4:3"
        lines.append(f"folder,{name},{whole if split == still or number == 0 else '1:1'},5,54,5")
    (tmp_path / "windows.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    with pytest.raises(
        DataError, match=f"windows: no row is of a photograph of {still} in folder that a crop can move in"
    ):
        prefer(config())
    assert not (tmp_path / "after.ckpt").exists()


def test_those_beside_others_are_left_out(config, tmp_path):
    lines = [f"folder,{name},{'4:3' if number == 0 else '1:1'},5,54,5" for number, name in enumerate(NAMES)]
    (tmp_path / "windows.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    prefer(config("epochs=1", "batch_size=1"))
    assert (tmp_path / "after.ckpt").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("epochs=0", "epochs: expected at least 1"), ("lr=0", "lr: expected above 0"),
     ("batch_size=0", "batch_size: expected at least 1"), ("weight_decay=-1", "weight_decay: expected at least 0"),
     ("seed=-1", "seed: expected at least 0"), ("longer_side=0", "longer_side: expected at least 1"),
     ("reduce=0", "reduce: expected at least 1")],
)  # fmt: skip
def test_bad_settings_are_named(config, wrong, message):
    with pytest.raises(ConfigError, match=message):
        config(wrong)


def test_a_picture_of_one_mirror_is_its_own(network, photo, rows):
    told: Judged = judged(network, photo, rows)
    other = judged(network, photo[:, ::-1].copy(), rows)
    for one, two in zip(told.taps, other.taps, strict=True):
        torch.testing.assert_close(one[0], two[1], atol=1e-2, rtol=1e-2)
