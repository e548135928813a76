"""Pruning within a Lightning training, on a cost that is known exactly."""

import copy
from contextlib import nullcontext

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.widths import widths
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.models.uniform import UniformCost
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.information.fisher import Fisher
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.groups import find_groups
from gaze.training.averaging import Averaging
from gaze.training.photograph import photograph
from tests.models.conftest import small_config


class Count(UniformCost):
    """A cost of one millisecond a map."""

    unit = "ms"


class Module(pl.LightningModule):
    """Learns to predict a corner."""

    def __init__(self, network, batch_size=2):
        super().__init__()
        self.network, self.batch_size = network, batch_size

    def training_step(self, batch, index):
        loss = -self.network(batch["image"])[:, :4, :4].mean()
        self.log("loss", loss)
        return loss

    def on_save_checkpoint(self, checkpoint):
        checkpoint["widths"] = widths(self.network)

    def on_load_checkpoint(self, checkpoint):
        from gaze.models.widths import set_widths

        set_widths(self.network, checkpoint["widths"])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 1e-3)

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(self.trainer.current_epoch)
        images = torch.randint(0, 256, (8, 64, 64, 3), generator=generator, dtype=torch.uint8)
        return DataLoader([{"image": image} for image in images], batch_size=self.batch_size)


def measured(network) -> float:
    """Maps of all groups that have more than one: what `Count` predicts before it is calibrated, times 2."""
    return 2.0 * sum(group.maps for group in find_groups(network))


def pruning(folder, budget, schedule, **options):
    return FisherPruning(
        Fisher, Count(), Count(), measured, budget, schedule, RemovalLog(folder / "removals.csv"), **options
    )


def trainer(folder, *callbacks, **settings):
    return pl.Trainer(
        max_epochs=-1, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, default_root_dir=folder,
        enable_model_summary=False, reload_dataloaders_every_n_epochs=1, callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks), **settings,
    )  # fmt: skip


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(small_config()).train()


class Interrupt(pl.Callback):
    """Presses Ctrl-C when an epoch begins."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


QUICK = ScheduleConfig(
    updates_per_removal=2, maps_per_removal=None, removals=4, removals_per_surgery=2, finetune_updates=3
)


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode", "ignore:.*exists and is not empty"
)
class TestTraining:
    def test_ends_within_the_budget_measured(self, network, tmp_path):
        before = measured(network)
        callback = pruning(tmp_path, before / 2, QUICK)
        averaging = Averaging(decay=0.5)
        trainer(tmp_path, averaging, callback).fit(Module(network))
        assert measured(network) <= before / 2
        assert callback.met
        assert callback.measured == measured(network)
        assert callback.base == before
        assert widths(averaging.network) == widths(network)
        assert callback.step == callback.finished + QUICK.finetune_updates
        rows = read(tmp_path / "removals.csv")
        assert sum(len(row.maps) for row in rows) == (before - measured(network)) / 2 + ones_lost(callback)
        assert rows[-1].measured_ms == callback.measured
        assert len({(row.layer, index) for row in rows for index in row.maps}) == sum(len(row.maps) for row in rows)

    def test_the_pruned_network_goes_through_a_checkpoint(self, network, tmp_path):
        trainer(tmp_path, pruning(tmp_path, measured(network) / 2, QUICK)).fit(Module(network))
        save_checkpoint(tmp_path / "pruned.ckpt", network, ["drawn"], 3)
        trained = load_checkpoint(tmp_path / "pruned.ckpt")
        image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
        torch.testing.assert_close(trained.network(image), network.eval()(image))
        assert (trained.trained_on, trained.seed) == (["drawn"], 3)

    def test_one_map_a_removal_is_the_paper(self, network, tmp_path):
        schedule = ScheduleConfig(
            updates_per_removal=1, maps_per_removal=1, removals=1, removals_per_surgery=3, finetune_updates=0
        )
        callback = pruning(tmp_path, measured(network) - 12, schedule)
        trainer(tmp_path, callback).fit(Module(network))
        rows = read(tmp_path / "removals.csv")
        assert [len(row.maps) for row in rows] == [1] * 6
        assert [row.step for row in rows] == [1, 2, 3, 4, 5, 6]
        assert [row.measured_ms is not None for row in rows] == [False, False, True, False, False, True]

    def test_the_loss_written_down_is_the_mean_over_examples_however_many_batches_make_an_update(
        self, network, tmp_path
    ):
        losses = []
        for batch_size, batches in ((4, 1), (2, 2), (1, 4)):
            folder = tmp_path / str(batches)
            callback = pruning(folder, measured(network) / 2, QUICK)
            run = trainer(folder, callback, accumulate_grad_batches=batches)
            run.fit(Module(copy.deepcopy(network), batch_size))
            losses.append(read(folder / "removals.csv")[0].loss)
        assert losses[0] > 1
        assert losses == [pytest.approx(losses[0], rel=1e-4)] * 3

    def test_a_budget_out_of_reach_is_told_and_the_best_kept(self, network, tmp_path):
        callback = pruning(tmp_path, 1e-3, QUICK, rules=Rules(exclude=("backbone",)))
        trainer(tmp_path, callback).fit(Module(network))
        assert not callback.met
        assert all(count == 1 for name, count in callback.maps.items() if name.startswith("readout"))
        assert {n: c for n, c in callback.maps.items() if n.startswith("backbone")} == {
            n: c for n, c in callback.before.items() if n.startswith("backbone")
        }

    def test_what_is_masked_is_cut_without_a_change_of_output(self, network, tmp_path):
        images, seen = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8), []

        class Watching(FisherPruning):
            def _operate(self, trainer):
                with torch.no_grad():
                    before = self.network(images)
                    super()._operate(trainer)
                    seen.append(float((self.network(images) - before).abs().max()))

        log = RemovalLog(tmp_path / "removals.csv")
        callback = Watching(Fisher, Count(), Count(), measured, measured(network) / 3, QUICK, log)
        trainer(tmp_path, callback).fit(Module(network))
        assert len(seen) >= 2
        assert max(seen) < 1e-5

    def test_an_interrupted_run_ends_as_an_uninterrupted_one(self, network, tmp_path):
        start = copy.deepcopy(network)
        schedule = ScheduleConfig(
            updates_per_removal=3, maps_per_removal=None, removals=6, removals_per_surgery=4, finetune_updates=4
        )
        results = []
        for name, stops in (("whole", [-1]), ("parted", [2, 4, -1])):
            folder = tmp_path / name
            last = None
            for stop in stops:  # four updates an epoch, so masked maps are waiting to be cut at each stop
                model, keep = (
                    Module(copy.deepcopy(start)),
                    ModelCheckpoint(folder, "last", enable_version_counter=False),
                )
                callback = pruning(folder, measured(start) / 4, schedule)
                run = trainer(folder, Averaging(decay=0.5), callback, keep, Interrupt(stop))
                with nullcontext() if stop < 0 else pytest.raises(SystemExit):
                    run.fit(model, ckpt_path=last, weights_only=True)
                last = folder / "last.ckpt"
            results.append((model.network, (folder / "removals.csv").read_text(), callback))
        (whole, rows, one), (parted, same_rows, other) = results
        assert widths(whole) == widths(parted) != widths(start)
        assert rows == same_rows
        assert (one.step, one.measured) == (other.step, other.measured)
        for key, value in whole.state_dict().items():
            torch.testing.assert_close(parted.state_dict()[key], value, rtol=0, atol=0)

    def test_a_share_of_the_time_stays_that_of_the_first_part(self, network, tmp_path):
        budgets = []
        for relative in (True, False):
            stopwatch = Stopwatch(network, photograph(Size(64, 48)), TorchCpu(1), rounds=1, relative=relative)
            stopwatch.base = 20.0
            log = RemovalLog(tmp_path / f"{relative}.csv")
            callback = FisherPruning(Fisher, Count(), Count(), stopwatch, 5.0, QUICK, log, base=20.0)
            state = {"closed": {}, "signal": {}, "scales": [1.0, 1.0], "base": 40.0, "step": 0}
            callback.load_state_dict(state)  # the machine was half as fast
            budgets.append(callback.budget)
            assert stopwatch.base == (40.0 if relative else 20.0)
        assert budgets == [10.0, 5.0]

    @pytest.mark.parametrize(
        ("network", "message"),
        [
            (None, "expected the job's network within the LightningModule, or another as its attribute network, got N"),
            (torch.nn.Conv2d(1, 1, 1), "no feature map of Conv2d can leave"),
        ],
    )
    def test_a_module_without_a_network_to_prune_is_refused(self, network, message, tmp_path):
        model = Module(network)
        model.lone = torch.nn.Linear(1, 1)  # something to optimize
        with pytest.raises(ConfigError, match=message):
            trainer(tmp_path, pruning(tmp_path, 1.0, QUICK)).fit(model)


def ones_lost(callback) -> int:
    """Groups that went down to one map, which `measured` no longer counts, count one too many there."""
    return -sum(name not in callback.maps for name in callback.before)


def test_the_learning_rate_rises_stays_and_falls(tmp_path):
    schedule = ScheduleConfig(
        updates_per_removal=1, maps_per_removal=None, removals=5, removals_per_surgery=1, finetune_updates=40
    )
    callback = pruning(tmp_path, 1.0, schedule)
    assert [callback.rate(step) for step in (0, 1, 3, 100)] == [0.25, 0.5, 1.0, 1.0]
    callback.finished = 100
    assert [callback.rate(step) for step in (100, 120, 140, 200)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
