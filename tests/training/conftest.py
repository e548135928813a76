"""A whole training in seconds: a small network on drawn spots that people look at."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from gaze.config import validate
from gaze.training.config import TrainConfig
from gaze.training.process import EXPECTED

QUIET = [pytest.mark.filterwarnings(f"ignore:{message}") for message in EXPECTED]
"""What a command's process is told, for the tests that call what it calls."""

SMALL = [
    "data=folder",
    "model.backbone={name: lcnet_035, taps: [2, 3, 4], weights: none, reparameterize: false}",
    "model.readout={reduce: 8, channels: [4, 1]}",
    "model.input={longer_side: 64, multiple: 16}",
    "loader={batch_size: 2, workers: 0}",
    "trainer.accelerator=cpu",
    "trainer.progress=false",
    "trainer.ema_decay=0.5",
    "trainer.max_epochs=3",
]


@pytest.fixture
def train_config(small_store: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Composes `gaze/conf/train.yaml` with overrides for a small run into `tmp_path/run`."""

    def make(*overrides: str) -> TrainConfig:
        with initialize_config_module("gaze.conf", version_base="1.3"):
            paths = [f"sets.folder.store={small_store}", f"out={tmp_path / 'run'}"]
            return validate(compose("train", [*SMALL, *paths, *overrides]), TrainConfig)

    return make
