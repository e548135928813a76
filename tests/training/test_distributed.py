"""Two processes that share one batch: each has work, and every photograph counts once."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gaze
from gaze.models import load_network
from gaze.training.lightning_module import MONITOR, GazeModule
from gaze.training.run import BEST, make_data
from tests.training.conftest import SMALL

TWO = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=2", "trainer.threads=1"]


@pytest.mark.slow
@pytest.mark.parametrize(("validated", "batch"), [(1, 2), (3, 1), (3, 2)])
def test_a_run_on_two_processes_scores_each_photograph_once(make_store, train_config, tmp_path, validated, batch):
    splits = ("train", "train", "val", "train", *["val"] * (validated - 1))[: 3 if validated == 1 else None]
    settings = [f"sets.folder.store={make_store(splits)}", f"out={tmp_path / 'run'}", f"loader.batch_size={batch}"]
    command = [sys.executable, "-m", "gaze.train", *SMALL, *TWO, *settings]
    environment = {**os.environ, "PYTHONPATH": str(Path(gaze.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run/metrics/version_0/metrics.csv").open() as file:
        logged = [float(row[MONITOR]) for row in csv.DictReader(file) if row.get(MONITOR)]
    assert len(logged) == 2
    assert max(logged) == pytest.approx(alone(train_config(*settings), tmp_path / "run" / BEST), abs=1e-5)


def alone(config, checkpoint: Path) -> float:
    """The validation figure of a checkpoint in one process."""
    data = make_data(config)
    module = GazeModule(load_network(checkpoint), config.optim, data.names, data.center_biases(), config.seed)
    module.on_validation_epoch_start()
    with torch.inference_mode():
        for number, batch in enumerate(data.val_dataloader()):
            module.validation_step(batch, number)
    (total, count) = module.totals[0]
    assert count == len(data.val_set)
    return float(total / count)
