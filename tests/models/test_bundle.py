"""An export writes a network and its card together, and replaces neither unless it is asked to."""

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_module

from gaze.card import ModelCard
from gaze.config import validate
from gaze.errors import ConfigError
from gaze.models.bundle import write_bundle
from gaze.models.checkpoints import save_checkpoint
from gaze.models.config import ExportConfig


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
