"""An export writes a network and its card together, and replaces neither unless it is asked to."""

from hashlib import sha256

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from gaze.card import ModelCard
from gaze.config import validate
from gaze.errors import ConfigError, ModelError
from gaze.models import build_network
from gaze.models.bundle import write_bundle
from gaze.models.checkpoints import save_checkpoint
from gaze.models.config import ExportConfig, HeadsConfig
from gaze.predictor import Predictor
from tests.models.conftest import small_config
from tests.pruning.conftest import live


@pytest.fixture
def export(network, tmp_path):
    """Exports a small network as `mine.onnx`."""
    save_checkpoint(tmp_path / "net.ckpt", network, ["osie"], 7)
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))

    def run(*more: str) -> str:
        given = [f"{key}={tmp_path / name}" for key, name in
                 (("checkpoint", "net.ckpt"), ("photos", "photo.png"), ("out", "mine.onnx"))]  # fmt: skip
        with initialize_config_module("gaze.conf", version_base="1.3"):
            return write_bundle(validate(compose("export", [*given, *more]), ExportConfig))

    return run


@pytest.mark.parametrize("name", ["mine.onnx", "mine.json"])
def test_what_is_there_is_replaced_only_where_that_is_asked_for(export, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"^out: \S*{name} exists already; give another out, or overwrite=true$"):
        export("checkpoint=nowhere.ckpt")
    assert [path.name for path in tmp_path.glob("mine.*")] == [name]
    assert (tmp_path / name).read_text() == "mine"
    assert "mine.onnx" in export("overwrite=true")
    assert ModelCard.load(tmp_path / "mine.json").trained_on == ["osie"]


def test_integers_travel_with_a_card_too(export, tmp_path):
    network = live(build_network(small_config(name="mobileone_s0", taps=[1, 2], reparameterize=True)))
    save_checkpoint(tmp_path / "net.ckpt", network, ["osie"], 7)
    assert "of the density elsewhere than torch has it" in export("int8=true")
    content = (tmp_path / "mine.onnx").read_bytes()
    assert ModelCard.load(tmp_path / "mine.json").sha256 == sha256(content).hexdigest()
    assert Predictor(tmp_path / "mine.onnx").density(np.zeros((48, 64, 3), np.uint8)).sum() == pytest.approx(1)
    assert "MB, within" in export("overwrite=true")
    assert len(content) < (tmp_path / "mine.onnx").stat().st_size


@pytest.mark.parametrize("integers", [True, False])
def test_a_network_that_puts_out_no_numbers_is_refused(integers, export, network, tmp_path):
    """Its weights are finite, as a checkpoint's must be."""
    network.add_heads(HeadsConfig(4, [4], 0.5))
    with torch.no_grad():
        network.heads.reduce[0].bias[:] = 10
        network.heads.layers[0].weight[:] = 1e38
    save_checkpoint(tmp_path / "net.ckpt", network, ["osie"], 7)
    with pytest.raises(ModelError, match="differs from torch by nan"):
        export(f"int8={integers}", *([] if integers else ["half=false"]))
    assert not list(tmp_path.glob("mine.*"))
