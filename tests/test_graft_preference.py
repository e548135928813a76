"""The benchmark that gives an exported network the preference readout of a checkpoint."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from gaze.files import write_atomic
from gaze.images import encode
from gaze.models import build_network
from gaze.models.bundle import write_bundle
from gaze.models.checkpoints import save_checkpoint
from gaze.models.config import CardConfig, ExportConfig, HeadsConfig, PreferenceConfig
from gaze.models.onnx import rounded
from gaze.predictor import Predictor
from tests.models.conftest import small_config

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from graft_preference import main

CONFIG = replace(small_config(activation="relu"), heads=HeadsConfig(6, [5], 0.5))


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def exported(tmp_path, photo):
    """A network's file, in integers or not, and the network as it was taught since."""

    def make(int8: bool):
        torch.manual_seed(0)
        network = build_network(CONFIG).eval()
        save_checkpoint(tmp_path / "before.ckpt", network, ["drawn"], 1)
        write_atomic(tmp_path / "photo.png", encode(Image.fromarray(photo), "PNG"), overwrite=True)
        card = CardConfig("1", "MIT", [], "", "", None, None)
        path = tmp_path / "net.onnx"
        before = tmp_path / "before.ckpt"
        write_bundle(ExportConfig(before, path, False, tmp_path / "photo.png", None, not int8, int8, card))
        network.add_preference(PreferenceConfig(4, [3]))
        with torch.no_grad():
            network.preference.layers[-1].weight.normal_()
        save_checkpoint(tmp_path / "after.ckpt", network, ["drawn"], 1)
        return path, network

    return make


@pytest.mark.parametrize("int8", [False, True])
def test_all_else_stays_bit_by_bit_and_preference_is_the_checkpoint_s(exported, photo, tmp_path, int8):
    path, network = exported(int8)
    main(path, tmp_path / "after.ckpt", tmp_path / "more.onnx")
    before, after = Predictor(path), Predictor(tmp_path / "more.onnx")
    assert after.card.output == {"stride": 4, "heads": 8, "preference": 8}
    assert after.card.parameters == sum(parameter.numel() for parameter in network.parameters())
    one, other = before.look(photo), after.look(photo)
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])
    with torch.no_grad():
        expected = rounded(network).outputs(torch.from_numpy(photo[None]))["preference"][0].numpy()
    off = np.abs(other[2] - expected)
    assert (off.mean() if int8 else off.max()) < (0.25 * np.abs(expected).mean() if int8 else 1e-3)
    integers = {node.op_type for node in onnx.load(tmp_path / "more.onnx").graph.node} & {"QuantizeLinear"}
    assert bool(integers) == int8


def test_a_checkpoint_without_preference_is_refused(exported, tmp_path):
    path, _ = exported(False)
    with pytest.raises(SystemExit, match="it has no preference"):
        main(path, tmp_path / "before.ckpt", tmp_path / "more.onnx")
    assert not (tmp_path / "more.onnx").exists()
