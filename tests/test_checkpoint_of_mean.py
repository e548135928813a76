"""The benchmark that averages checkpoints."""

import sys
from pathlib import Path

import pytest
import torch

from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import resized
from tests.models.conftest import small_config

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from checkpoint_of_mean import main


def saved(path: Path, seed: int, side: int = 64, maps: int = 4) -> Path:
    torch.manual_seed(seed)
    config = resized(small_config(), side)
    config.readout.channels[:] = [maps, 1]
    save_checkpoint(path, build_network(config), ["drawn", path.stem], seed)
    return path


def test_the_mean_of_each_weight_seen_at_the_size_of_the_first(tmp_path):
    paths = [saved(tmp_path / "a.ckpt", 1), saved(tmp_path / "b.ckpt", 2, side=32)]
    main(tmp_path / "mean.ckpt", paths)
    a, b, mean = (load_checkpoint(path).network for path in [*paths, tmp_path / "mean.ckpt"])
    assert mean.config == a.config != b.config
    assert load_checkpoint(tmp_path / "mean.ckpt").trained_on == ["a", "b", "drawn"]
    for one, other, found in zip(a.parameters(), b.parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(found, (one + other) / 2)


def test_networks_that_differ_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(SystemExit, match="expected checkpoints of one network"):
        main(tmp_path / "mean.ckpt", [saved(tmp_path / "a.ckpt", 1), saved(tmp_path / "b.ckpt", 2, maps=5)])
    assert not (tmp_path / "mean.ckpt").exists()
