"""A checkpoint rebuilds its own network and runs no code."""

import pickle

import pytest
import torch

from gaze.errors import ModelError
from gaze.models import build_network
from gaze.models.checkpoints import PREFIX, describe, load_checkpoint
from gaze.models.widths import set_widths
from tests.models.conftest import small_config


def save(network, path) -> None:
    state = {PREFIX + key: value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, **describe(network, ["osie"], 7)}, path)


def test_comes_back_as_it_was(network, tmp_path):
    save(network, tmp_path / "net.ckpt")
    trained = load_checkpoint(tmp_path / "net.ckpt")
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(trained.network(images), network(images))
    assert (trained.network.config, trained.trained_on, trained.seed) == (network.config, ["osie"], 7)
    assert not trained.network.training


def test_a_narrowed_network_comes_back_narrow(network, tmp_path):
    set_widths(network, {"readout.layers.0": [24, 3], "readout.layers.1": [3, 1]})
    save(network, tmp_path / "net.ckpt")
    rebuilt = load_checkpoint(tmp_path / "net.ckpt").network
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert rebuilt.readout.layers[0].out_channels == 3
    assert torch.equal(rebuilt(images), network(images))


def test_a_checkpoint_from_before_widths_still_loads(network, tmp_path):
    save(network, tmp_path / "net.ckpt")
    checkpoint = torch.load(tmp_path / "net.ckpt")
    del checkpoint["widths"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert load_checkpoint(tmp_path / "old.ckpt").seed == 7


@pytest.mark.parametrize("later", ["activation", "skip"])
def test_a_checkpoint_from_before_a_field_still_loads(network, tmp_path, later):
    save(network, tmp_path / "net.ckpt")
    checkpoint = torch.load(tmp_path / "net.ckpt")
    del checkpoint["model"]["backbone"][later]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert load_checkpoint(tmp_path / "old.ckpt").network.config == network.config


def test_the_activation_travels_with_the_checkpoint(network, tmp_path):
    relu = build_network(small_config(activation="relu")).eval()
    relu.load_state_dict(network.state_dict())
    save(relu, tmp_path / "net.ckpt")
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(load_checkpoint(tmp_path / "net.ckpt").network(images), relu(images))
    assert not torch.equal(relu(images), network(images))


def test_what_is_left_out_stays_out_when_a_checkpoint_is_loaded(tmp_path):
    thin = build_network(small_config(skip=["*.se"])).eval()
    save(thin, tmp_path / "net.ckpt")
    images = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    loaded = load_checkpoint(tmp_path / "net.ckpt").network
    assert not any("se." in name for name in loaded.state_dict())
    assert torch.equal(loaded(images), thin(images))


def test_files_that_are_no_checkpoint_are_one_line(network, tmp_path):
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    save(network, tmp_path / "net.ckpt")
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "net.ckpt").read_bytes()[:5000])
    for name, message in {
        "nowhere.ckpt": "no such checkpoint",
        "text.ckpt": "not a checkpoint of gaze",
        "other.ckpt": "not a checkpoint of gaze",
        "cut.ckpt": "not a checkpoint of gaze",
    }.items():
        with pytest.raises(ModelError, match=message) as caught:
            load_checkpoint(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "attack.ckpt").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "attack.ckpt")
    assert not (tmp_path / "ran").exists()


def test_interpolations_in_a_checkpoint_are_not_resolved(network, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "mobilenetv4_conv_small")
    save(network, tmp_path / "net.ckpt")
    content = torch.load(tmp_path / "net.ckpt", weights_only=True)
    for text in ("${oc.env:SECRET}", "${backbone}", "${oc.env:HOME,x}"):
        content["model"]["backbone"]["name"] = text
        torch.save(content, tmp_path / "net.ckpt")
        with pytest.raises(ModelError, match=r"not a checkpoint of gaze.*expected plain values, got '\$\{") as caught:
            load_checkpoint(tmp_path / "net.ckpt")
        assert "mobilenetv4" not in str(caught.value)
