"""Terms that callbacks add to the loss."""

import csv

import pytest
import pytorch_lightning as pl
import torch

from gaze.models import build_network
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.methods.weight_pruning import WeightPruning
from gaze.training.lightning_module import GazeModule
from gaze.training.run import make_data, make_trainer
from tests.models.conftest import small_config
from tests.training.conftest import QUIET

pytestmark = QUIET
NEVER = ScheduleConfig(updates_per_removal=1000, maps_per_removal=None, removals=1, removals_per_surgery=1,
                       finetune_updates=0)  # fmt: skip


class Pull(pl.Callback):
    """Adds `constant` and pulls the readout's weights towards where they are, plus one."""

    def __init__(self, constant: float, weight: float) -> None:
        self.constant, self.weight = constant, weight

    def penalty(self, module):
        return self.constant - self.weight * next(module.network.readout.parameters()).sum()


class Gradients(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_after_backward(self, trainer, module):
        self.seen.append(next(module.network.readout.parameters()).grad.clone())


def build_seeded():
    pl.seed_everything(0, verbose=False)
    return build_network(small_config())


def ran(config, *callbacks):
    """The rows that one epoch logs; its rates are zero, so that every run sees the same network."""
    data = make_data(config)
    module = GazeModule(build_seeded(), config.optim, data.names, data.center_biases(), 0)
    trainer = make_trainer(config.trainer, config.out, data, callbacks)
    trainer.fit(module, datamodule=data)
    with (config.out / "metrics/version_0/metrics.csv").open() as file:
        return list(csv.DictReader(file))


def epoch(rows, name):
    return [float(row[f"{name}_epoch"]) for row in rows if row.get(f"{name}_epoch")]


@pytest.mark.parametrize("accumulated", [1, 2])
def test_penalties_are_added_to_the_loss_and_told_apart_from_it(train_config, tmp_path, accumulated):
    still = (
        "trainer.max_epochs=1",
        "optim={backbone_lr: 0, readout_lr: 0}",
        (f"trainer.accumulate_grad_batches={accumulated}"),
    )
    bare, pulled = Gradients(), Gradients()
    without, with_ = WeightPruning(0.5, NEVER), WeightPruning(0.5, NEVER)
    before = ran(train_config(*still, f"out={tmp_path / 'bare'}"), bare, without)
    after = ran(train_config(*still, f"out={tmp_path / 'pulled'}"), Pull(5.0, 0.25), Pull(2.0, 0.5), pulled, with_)
    assert epoch(before, "train/penalty") == []
    assert epoch(before, "train/bits_over_uniform") == pytest.approx(epoch(after, "train/bits_over_uniform"))
    weights = next(build_seeded().readout.parameters())
    assert epoch(after, "train/penalty") == pytest.approx([7.0 - 0.75 * weights.sum().item()])
    # gradients pile up over the batches of an update, each with its share of the penalty
    for i, (g, h) in enumerate(zip(bare.seen, pulled.seen, strict=True)):
        torch.testing.assert_close(h, g - 0.75 * (i % accumulated + 1) / accumulated, atol=1e-5, rtol=1e-4)
    assert without.loss == pytest.approx(with_.loss, abs=1e-5)  # what decides removals is the loss on the data
