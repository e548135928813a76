"""The study of pruning asks the verbs for nothing that they refuse."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from gaze.config import _refuse_idle, validate
from gaze.training.config import PruneConfig, TrainConfig

FILE = Path(__file__).parent / "benchmarks" / "pruning_study.py"
SCHEMAS = {"prune": PruneConfig, "train": TrainConfig}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[FILE.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


study = load()


@pytest.fixture
def base(tmp_path):
    """A training as `gaze.train` leaves it, of 60 updates in 2 epochs."""
    with initialize_config_module("gaze.conf", version_base="1.3"):
        settings = ["data=osie", "model.input.longer_side=128", f"out={tmp_path / 'base'}", "loader.batch_size=8"]
        config = validate(compose("train", settings), TrainConfig)
    logs = tmp_path / "base" / "metrics" / "version_0"
    logs.mkdir(parents=True)
    OmegaConf.save(OmegaConf.structured(config), tmp_path / "base" / "config.yaml")
    (logs / "metrics.csv").write_text("epoch,step,val/information_gain\n0,29,0.5\n,35,\n1,59,0.75\n")
    return tmp_path / "base" / "best.ckpt"


@pytest.mark.parametrize(("name", "row"), [(n, row) for n, each in study.STUDIES.items() for row in each.rows])
def test_a_row_gives_settings_that_are_taken_and_do_something(name, row, base, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(study, "call", lambda verb, folder, settings: calls.append((verb, folder, settings)))
    chain = study.Chain("base", base, row, 2, study.STUDIES[name], tmp_path, ("loader.workers=0",))
    found = chain.link(0.5, study.WIDTHS_OF)
    found.mkdir(parents=True)
    (found / "pruned.ckpt").touch()
    (found / "pruning.json").write_text(json.dumps({"updates": 90}))
    study.make(chain, base, 0.5, 0.5, tmp_path)
    [(verb, folder, settings)] = calls
    with initialize_config_module("gaze.conf", version_base="1.3"):
        config = validate(compose(verb, [*settings, f"out={folder}"]), SCHEMAS[verb])
    _refuse_idle(config, settings)
    assert (config.seed, config.loader.workers, list(config.sets)) == (2, 0, list(study.SETS))
    if row == study.NARROW:  # 2 epochs of 30 updates, and 90 updates
        assert (config.trainer.max_epochs, config.model.input.longer_side) == (5, 128)
        assert config.widths == found / "pruned.ckpt"
    else:
        assert config.budget == 0.5


def test_what_a_training_logged_is_read(base):
    assert study.length(base.parent) == (60, 2)
    assert study.best_gain(base.parent) == 0.75
