"""The benchmark that takes from a network what a pruning removed first."""

import sys
from pathlib import Path

import pytest
import torch

from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.pruning.structure.surgery import remove
from tests.models.conftest import small_config

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from checkpoint_of_removals import main

LINES = [("readout.reduce.0", "1 3"), ("readout.layers.0", "0"), ("readout.reduce.0", "7"), ("readout.reduce.1", "2")]
"""Layers and maps as they were counted when the pruning began."""


@pytest.fixture
def before(tmp_path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "before.ckpt", build_network(small_config()), ["drawn"], 5)
    rows = [f"{20 * n},{layer},{len(maps.split())},{maps}" for n, (layer, maps) in enumerate(LINES)]
    (tmp_path / "removals.csv").write_text("\n".join(["step,layer,count,maps", *rows]) + "\n")
    return tmp_path / "before.ckpt"


def test_the_first_removals_are_taken_and_no_weight_is_changed(before, tmp_path):
    main(tmp_path / "after.ckpt", before, tmp_path / "removals.csv", 3)
    after, expected = load_checkpoint(tmp_path / "after.ckpt"), load_checkpoint(before).network
    remove(expected, {"readout.reduce.0": [1, 3, 7], "readout.layers.0": [0]})
    assert (after.trained_on, after.seed) == (["drawn"], 5)
    assert after.network.state_dict().keys() == expected.state_dict().keys()
    for name, weight in expected.state_dict().items():
        assert torch.equal(after.network.state_dict()[name], weight), name


def test_fewer_removals_than_asked_for_are_refused_and_nothing_is_written(before, tmp_path):
    for count in (5, 0, -1):
        with pytest.raises(SystemExit, match=rf"removals\.csv: expected {count} removals, at least one, got \d"):
            main(tmp_path / "after.ckpt", before, tmp_path / "removals.csv", count)
    assert not (tmp_path / "after.ckpt").exists()
