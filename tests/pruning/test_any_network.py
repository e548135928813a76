"""Networks of others: pruned, exported, trained on, within a Lightning training that is not gaze's."""

import copy
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gaze.errors import ConfigError, ModelError
from gaze.models.widths import set_widths, widths
from gaze.pruning import Fisher, Gates, Joining, OptimizerFollower, find_groups, find_pinned, grow, remove
from gaze.pruning.cost.engines import ENGINES
from gaze.pruning.cost.engines.onnx_profile import cpu_session
from gaze.pruning.cost.example_input import ExampleInput, exported_whole
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.models.macs import MacCost
from gaze.pruning.methods.base import METHODS, PacedPruning
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.growing import Growing
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.l0 import L0Pruning
from gaze.pruning.methods.l0_config import L0Config
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.methods.weight_pruning import WeightPruning
from gaze.pruning.structure.folding import fold
from gaze.pruning.structure.gates import Multipliers
from gaze.pruning.structure.growth import growable
from gaze.pruning.structure.snapshot import Restoration, Snapshot
from gaze.training.penalty import total_penalty
from tests.pruning.known_times import known_times
from tests.pruning.methods.test_fisher_pruning import Interrupt, trainer
from tests.pruning.strangers import STRANGERS, UNet, count_instead, counted, images, stranger
from tests.pruning.structure.test_gates import thirds
from tests.pruning.structure.test_groups import assert_agrees_with_depgraph

EVERY = [pytest.param(name, marks=[pytest.mark.slow] * (name == "densenet121")) for name in STRANGERS]
QUICK = ScheduleConfig(
    updates_per_removal=1, maps_per_removal=None, removals=4, removals_per_surgery=2, finetune_updates=2
)
QUIET = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode", "ignore:pruning. the signal is"
)


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_zeroed_and_removed_maps_give_the_same_output(name):
    for kind, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        network, x = stranger(name).to(kind), images().to(kind)
        assert find_pinned(network) == []
        whole, gates = network(x), Gates(network, find_groups(network))
        for group, maps in thirds(find_groups(network)).items():
            gates.close(group, maps)
        zeroed = network(x)
        assert (zeroed - whole).abs().max() > 1e-2
        remove(network, gates.closed())
        gates.detach()
        torch.testing.assert_close(network(x), zeroed, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", EVERY)
@torch.no_grad()
def test_gates_between_zero_and_one_fold_into_what_reads_the_maps(name):
    network, x = stranger(name).double(), images().double()
    whole, groups = network(x), find_groups(network)
    numbers = torch.rand(1, sum(group.maps for group in groups), generator=torch.Generator().manual_seed(2))
    places, first = dict[str, Tensor](), 0
    for group in groups:
        places[group.name], first = torch.arange(first, first + group.maps), first + group.maps
    gates = Multipliers(network, groups, places, lambda: numbers)
    gated = network(x)
    assert (gated - whole).abs().max() > 1e-2
    gates.detach()
    fold(network, groups, {name: numbers[0, own] for name, own in places.items()})
    torch.testing.assert_close(network(x), gated, rtol=1e-9, atol=1e-9)


def test_what_a_linear_layer_reads_or_writes_does_not_grow():
    network = stranger("mobilenet_v2")
    grown = [group for group in find_groups(network) if growable(network, group)]
    assert len(grown) == len(find_groups(network)) - 1  # the last maps, which the classifier reads
    assert "classifier.1" in {member.layer for group in find_groups(network) for member in group.consumers}


@pytest.mark.parametrize("name", EVERY)
def test_what_is_left_trains_on_and_is_exported(name):
    network, x = stranger(name), images()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(2):
        network(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        before = [p.detach().clone() for p in network.parameters()]
        OptimizerFollower(optimizer).follow(remove(network, thirds(find_groups(network))))
    network(x).square().mean().backward()
    optimizer.step()
    assert sum(p.numel() for p in network.parameters()) < sum(p.numel() for p in before)
    assert all(p.grad is not None for p in network.parameters())
    session = cpu_session(exported_whole(network, [x]), threads=1)
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(session.run(None, {"x0": x.numpy()})[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"affine": False}, {"track_running_stats": False}, {"affine": False} | {"track_running_stats": False}]
)
@torch.no_grad()
def test_a_batch_norm_may_hold_less(options):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, **options), nn.ReLU(), nn.Conv2d(4, 1, 1)).eval()
    gates = Gates(network, find_groups(network))
    gates.close("0", [0, 2])
    zeroed = network(images())
    remove(network, gates.closed())
    gates.detach()
    torch.testing.assert_close(network(images()), zeroed)
    assert [group.maps for group in find_groups(network)] == [2]


@pytest.mark.parametrize("name", EVERY)
def test_agrees_with_depgraph(name):
    network = stranger(name)
    assert_agrees_with_depgraph(network, network, images(1))


@pytest.mark.parametrize("name", EVERY)
def test_every_multiply_add_is_counted_before_and_after_a_removal(name):
    network, example = stranger(name), ExampleInput.of(images(1))
    cost = MacCost(find_operators(network, example))
    for _ in range(2):
        maps = {group.name: group.maps for group in find_groups(network)}
        assert cost.total(maps) == counted(network, images(1))
        remove(network, thirds(find_groups(network)))


class Learner(pl.LightningModule):
    """A stranger's: learns numbers of random images; batches are pairs."""

    def __init__(self, model: nn.Module, reduction: str = "mean", rate: float = 1e-3) -> None:
        super().__init__()
        self.model, self.reduction, self.rate = model, reduction, rate

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

    def training_step(self, batch, index):
        x, wanted = batch
        losses = (self.model(x).flatten(1).mean(1) - wanted).square()
        return losses.sum() if self.reduction == "sum" else losses.mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.rate)

    def train_dataloader(self):
        return DataLoader(TensorDataset(images(8), torch.arange(8.0)), batch_size=4)


@pytest.fixture
def count(monkeypatch):
    count_instead(monkeypatch)


def small() -> UNet:
    torch.manual_seed(0)
    return UNet(4)


@QUIET
@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("where", ["a part", "the module itself", "a copy beside an attribute"])
def test_the_callback_prunes_to_half_of_what_was_counted(where, tmp_path, caplog):
    module = Learner(small())
    network = module if where == "the module itself" else module.model
    if where.startswith("a copy"):
        module.network, network = module.model, copy.deepcopy(module.model)
    job = Job.of(network, images(1), tmp_path, budget=0.5, schedule=vars(QUICK), progress=False)
    pruning = FisherPruning.of(job)
    with caplog.at_level("INFO"):
        trainer(tmp_path, pruning).fit(module)
    assert pruning.met
    assert counted(module.model, images(1)) <= counted(small(), images(1)) / 2
    assert pruning.step == pruning.finished + QUICK.finetune_updates
    assert f"{sum(pruning.before.values())} maps in 5 groups can leave: " in caplog.text
    assert next(iter(pruning.before)) + " (4)" in caplog.text


@QUIET
@pytest.mark.parametrize("name", EVERY)
def test_each_is_pruned_to_half_its_time_in_its_own_training_and_trained_on_and_exported(
    name, tmp_path, monkeypatch, caplog
):
    known_times(monkeypatch)
    module = Learner(stranger(name))
    groups = {group.name: group.maps for group in find_groups(module.model)}
    pruning = job_of(module, "fisher", tmp_path, {**vars(QUICK), "removals": 2}, rules=Rules(multiple=8))
    with caplog.at_level("INFO"):
        trainer(tmp_path, pruning).fit(module)
    assert pruning.met
    assert pruning.stopwatch(module.model) == pytest.approx(pruning.measured)
    assert pruning.measured <= pruning.base / 2
    assert pruning.step == pruning.finished + QUICK.finetune_updates
    assert pruning.before == groups
    assert f"{sum(groups.values())} maps in {len(groups)} groups can leave: " in caplog.text
    assert {group.name: group.maps for group in find_groups(module.model)} == {
        group: maps for group, maps in pruning.maps.items() if maps > 1
    }
    module.model.eval()
    session = cpu_session(exported_whole(module.model, [images()]), threads=1)
    with torch.no_grad():
        expected = module.model(images()).numpy()
    np.testing.assert_allclose(session.run(None, {"x0": images().numpy()})[0], expected, rtol=1e-4, atol=1e-4)


@QUIET
def test_what_stays_is_told(tmp_path, monkeypatch, caplog):
    known_times(monkeypatch)
    module = Learner(
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Softmax2d(), nn.Conv2d(4, 1, 1))
    )
    with caplog.at_level("INFO"):
        trainer(tmp_path, job_of(module, "fisher", tmp_path, vars(QUICK))).fit(module)
    assert "pruning: 8 maps in 1 groups can leave: 0 (8)\n" in caplog.text
    assert "maps that stay, as it is not known what is done to them: Softmax2d (3, 4 maps)" in caplog.text


@QUIET
@pytest.mark.usefixtures("count")
def test_the_mean_and_the_sum_of_losses_give_one_signal(tmp_path):
    found = []
    for reduction in ("mean", "sum"):
        module = Learner(small(), reduction, rate=0.0)
        folder = tmp_path / reduction
        job = Job.of(module.model, images(1), folder, budget=0.5, schedule=vars(QUICK), loss=reduction)
        trainer(folder, FisherPruning.of(job)).fit(module)
        found.append([(row.layer, row.maps, row.signal, row.loss) for row in read(job.removals)])
    assert len(found[0]) > 3
    for one, other in zip(*found, strict=True):
        assert one[:2] == other[:2]
        assert one[2:] == pytest.approx(other[2:], rel=1e-4)


@QUIET
def test_a_network_that_is_not_there_is_one_clear_line(tmp_path):
    none, log = MacCost([]), RemovalLog(tmp_path / "removals.csv")
    pruning = FisherPruning(Fisher, none, none, lambda network: 1.0, 1.0, QUICK, log)
    with pytest.raises(ConfigError, match="expected the job's network within the LightningModule, or another"):
        trainer(tmp_path, pruning).fit(Learner(small()))
    with pytest.raises(ConfigError, match="expected the job's network within the LightningModule, or another"):
        L0Pruning(LEARNT, none, none, none, lambda network: 1.0, 1.0, QUICK, log).attach(Learner(small()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "budget: expected one of budget and budget_ms, got 'neither'"),
        ({"budget": 0.5, "budget_ms": 3.0}, "budget: expected one of budget and budget_ms, got 'both'"),
        ({"budget": 1.5}, "budget: expected a share between 0 and 1, got 1.5"),
        ({"budget_ms": 0.0}, "budget_ms: expected above 0, got 0"),
        ({"budget": 0.5, "loss": "max"}, "loss: expected one of mean, sum, got 'max'"),
        ({"budget": 0.5, "pruner": "luck"}, "pruner: expected one of fisher, .*got 'luck'"),
        ({"budget": 0.5, "schedule": {"removals": 0}}, "schedule.removals: expected at least 1, got 0"),
    ],
)
def test_a_job_that_makes_no_sense_is_one_clear_line(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        Job.of(small(), images(1), tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_job_has_the_values_of_its_pruner(tmp_path):
    job = Job.of(small(), images(1), tmp_path, budget_ms=1.0, pruner="theis2018", schedule={"finetune_updates": 7})
    assert (job.cost, job.rules.beta, job.signal) == ("macs", 1e-9, "fisher")
    assert (job.schedule.maps_per_removal, job.schedule.finetune_updates) == (1, 7)
    assert job.example.size == (1, 3, 32, 32)


class Frozen(Learner):
    """With BatchNorms on their stored statistics."""

    def on_train_epoch_start(self):
        self.model.eval()


@QUIET
@pytest.mark.usefixtures("count")
@pytest.mark.parametrize(("kind", "pruner", "times"), [
    (Learner, "fisher", 1), (Learner, "weights", 1), (Learner, "magnitude", 0), (Frozen, "fisher", 0),
])  # fmt: skip
def test_batch_statistics_are_told_once_to_what_reads_gradients(kind, pruner, times, tmp_path):
    module = kind(small())
    job = Job.of(module.model, images(1), tmp_path, budget=0.5, pruner=pruner, schedule=vars(QUICK))
    pruning = METHODS.get("weights" if pruner == "weights" else "greedy").of(job)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        trainer(tmp_path, pruning).fit(module)
    told = [str(warning.message) for warning in seen if "the signal is approximate" in str(warning.message)]
    assert told == ["pruning: the signal is approximate, as 5 of 5 BatchNorms run on the statistics of the batch; put "
                    "them into eval() while it trains for one that is exact"] * times  # fmt: skip


class Classifier(nn.Module):
    """Convolutions, BatchNorm, a residual sum, linear layers that read every position, and rows that are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1, stride=4), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.hidden = nn.BatchNorm2d(4), nn.Linear(4 * 64, 6)
        self.row, self.drop, self.head = nn.BatchNorm1d(10), nn.Dropout(), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.a(x).relu()
        maps = (maps + self.norm(self.b(maps))).relu()
        hidden = self.hidden(self.drop(maps.flatten(1)))
        return self.head(self.row(torch.cat([hidden, maps.mean((2, 3))], 1)).relu())


@pytest.fixture
def classifier() -> Classifier:
    """With statistics of its own."""
    torch.manual_seed(0)
    network = Classifier().train()
    network(images(5))
    return network.eval()


def test_a_map_is_every_column_that_it_is_flattened_to(classifier):
    found = {g.name: (g.maps, [(m.layer, m.offset, m.span) for m in g.consumers]) for g in find_groups(classifier)}
    assert found == {
        "a": (4, [("b", 0, 1), ("hidden", 0, 64), ("head", 6, 1)]),
        "hidden": (6, [("head", 0, 1)]),
    }


def test_the_signal_is_that_of_brute_force_on_frozen_statistics(classifier):
    groups, x = find_groups(classifier), images(5)
    signal = Fisher(classifier, groups)
    classifier(x).square().sum(1).mean().backward()
    signal.update(len(x))
    signal.detach()
    found = signal.values()
    for group in groups:
        gradients = torch.stack([masks_gradient(classifier, group, one[None]) for one in x])
        torch.testing.assert_close(found[group.name], gradients.square().mean(0) / 2, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("engine", ["onnxruntime", "torch-cpu"])
def test_every_operator_is_timed_as_it_was_and_narrower(classifier, engine):
    example, runs = ExampleInput.of(images(1)), ENGINES[engine](1)
    before = find_operators(classifier, example)
    remove(classifier, {"a": [1], "hidden": [0, 5]})
    after, maps = find_operators(classifier, example), {"a": 3, "hidden": 4}
    assert [(o.name, o.kind) for o in after] == [(o.name, o.kind) for o in before]
    assert [[w.at(maps) for w in o.inputs] for o in after] == [[w.at(maps) for w in o.inputs] for o in before]
    assert [o.writes.at(maps) for o in after] == [o.writes.at(maps) for o in before]
    for operator in after:
        module, inputs = operator.builder.build(operator.reads.at(maps), operator.writes.at(maps))
        assert runs.operator_time(module, inputs, budget=0, rounds=2).median >= 0
    runs.load_network(classifier, example)()


def test_what_was_removed_comes_back(classifier):
    x = images(3)
    with torch.no_grad():
        whole, snapshot = classifier(x), Snapshot.of(classifier)
        remove(classifier, {"a": [1], "hidden": [0, 5]})
        assert not torch.equal(classifier(x), whole)
        Restoration(Snapshot.load(snapshot.state_dict()), classifier)
        assert torch.equal(classifier(x), whole)
    assert widths(classifier) == widths(Classifier())


@QUIET
@pytest.mark.usefixtures("count")
@pytest.mark.parametrize("pruner", ["taylor", "magnitude", "random", "weights"])
def test_every_other_way_prunes_as_well(pruner, tmp_path):
    module = Learner(small())
    job = Job.of(module.model, images(1), tmp_path, budget=0.5, pruner=pruner, schedule=vars(QUICK))
    pruning = METHODS.get("weights" if pruner == "weights" else "greedy").of(job)
    trainer(tmp_path, pruning).fit(module)
    kernels = torch.cat([m.weight.flatten() for m in module.modules() if isinstance(m, nn.Conv2d)])
    if pruner == "weights":
        assert float((kernels == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    else:
        assert counted(module.model, images(1)) <= counted(small(), images(1)) / 2


@QUIET
@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
@pytest.mark.parametrize("pruner", ["fisher", "l0", "grow"])
def test_a_run_that_was_stopped_goes_on(pruner, tmp_path, monkeypatch):
    known_times(monkeypatch)
    results, schedule = [], {**vars(QUICK), "removals": 6, "removals_per_surgery": 3}
    for name, stops in (("whole", [-1]), ("parted", [1, 2, -1])):  # two updates an epoch: masked maps wait to be cut
        folder, last = tmp_path / name, None
        for stop in stops:
            module = Resuming(small())
            pruning = job_of(module, pruner, folder, schedule)
            keep = ModelCheckpoint(folder, "last", enable_version_counter=False)
            with nullcontext() if stop < 0 else pytest.raises(SystemExit):
                trainer(folder, pruning, keep, Interrupt(stop)).fit(module, ckpt_path=last, weights_only=True)
            last = folder / "last.ckpt"
        logs = {path.name: path.read_text() for path in folder.glob("*.csv")}
        results.append((module.state_dict(), logs, pruning.step, widths(module)))
    (whole, *rest), (parted, *same) = results
    assert rest == same
    assert rest[2] != widths(Resuming(small()))
    assert whole.keys() == parted.keys()
    assert all(torch.equal(value, parted[key]) for key, value in whole.items())


def job_of(module: Learner, pruner: str, folder, schedule, kinds=METHODS, **options) -> PacedPruning:
    """The callback for half of the time, with gates that are learnt in a few updates."""
    rates = {"l0": L0Config(**{**vars(LEARNT), **options.pop("l0", {})})} if pruner == "l0" else {}
    start = {"start": 0.3} if pruner == "grow" else {}
    settings = {"budget": 0.5, "pruner": pruner, "schedule": schedule, "progress": False, **rates, **start, **options}
    job = Job.of(module.model, images(1).to(next(module.parameters())), folder, **settings)
    return kinds[{"fisher": "greedy"}.get(pruner, pruner)].of(job)


LEARNT = L0Config(penalty="time", estimator="concrete", beta=2 / 3, gamma=-0.1, zeta=1.1, start=1.0, rate=1.0, rho=1.0,
                  per_example=False)  # fmt: skip


class Penalized(Learner):
    """One that adds what callbacks ask for, and knows the loss of each example."""

    def losses(self, batch) -> Tensor:
        x, wanted = batch
        return (self.model(x).flatten(1).mean(1) - wanted.to(x)).square()

    def training_step(self, batch, index):
        losses, penalty = self.losses(batch), total_penalty(self)
        loss = losses.sum() if self.reduction == "sum" else losses.mean()
        return loss if penalty is None else {"loss": loss + penalty, "penalty": penalty.detach()}

    def configure_optimizers(self):
        return torch.optim.Adam(self.model.parameters(), self.rate)

    def train_dataloader(self):
        x = images(8).to(next(self.model.parameters()))
        return DataLoader(TensorDataset(x, torch.arange(8.0)), batch_size=4)


class Resuming(Penalized):
    """One whose checkpoints tell how narrow the network is."""

    def on_save_checkpoint(self, checkpoint):
        checkpoint["widths"] = widths(self.model)

    def on_load_checkpoint(self, checkpoint):
        set_widths(self.model, checkpoint["widths"])


def watching(kind: type[PacedPruning], seen: list[float]) -> type[PacedPruning]:
    """A method that notes by how much each of its changes changes what the network says."""

    class Watching(kind):
        def remove(self, trainer):
            begun = getattr(self, "begun", 0)
            before = said(self.network)
            super().remove(trainer)
            if begun is not None:  # the maps that growing does not begin with leave before that
                seen.append(float((said(self.network) - before).abs().max() / before.abs().max()))

    return Watching


@torch.no_grad()
def said(network: nn.Module) -> Tensor:
    return copy.deepcopy(network).eval()(images().to(next(network.parameters())))


@QUIET
@pytest.mark.parametrize("name", EVERY)
def test_gates_are_learnt_on_the_same_groups_and_what_is_left_says_the_same(name, tmp_path, monkeypatch):
    known_times(monkeypatch)
    module, seen = Penalized(stranger(name).double()), []
    groups = {group.name: group.maps for group in find_groups(module.model)}
    schedule = {**vars(QUICK), "removals": 6, "removals_per_surgery": 2}
    pruning = job_of(module, "l0", tmp_path, schedule, {"l0": watching(L0Pruning, seen)})
    trainer(tmp_path, pruning).fit(module)
    assert pruning.before == groups
    assert pruning.met
    assert {group.name: group.maps for group in find_groups(module.model)} == {
        name: count for name, count in pruning.learnt.maps.items() if count > 1
    }
    assert len(seen) == pruning.removals > 1
    assert max(seen) < 1e-9
    assert not any(part._forward_pre_hooks for part in module.modules())


@QUIET
@pytest.mark.parametrize("name", EVERY)
def test_a_network_grows_and_says_the_same_as_before(name, tmp_path, monkeypatch, caplog):
    known_times(monkeypatch)
    module, seen = Penalized(stranger(name).double()), []
    full = {group.name: group.maps for group in find_groups(module.model)}
    stays = {group.name for group in find_groups(module.model) if not growable(module.model, group)}
    pruning = job_of(module, "grow", tmp_path, vars(QUICK), {"grow": watching(Growing, seen)}, signal="magnitude")
    with caplog.at_level("INFO"):
        trainer(tmp_path, pruning).fit(module)
    assert pruning.met
    joined = read(tmp_path / "growth.csv")
    assert len({row.step for row in joined}) > 1
    assert len(seen) > 1
    assert max(seen) < 1e-9
    assert all(pruning.maps[name] == full[name] for name in stays), "what cannot grow again does not shrink"
    assert not stays & {row.layer for row in joined}
    assert f"growing: maps can join {len(full) - len(stays)} groups: " in caplog.text
    told = caplog.text.partition("none can join others: pinned: none; linear layers write or read: ")[2].split("\n")[0]
    assert set(filter(None, told.split(", "))) == stays
    assert bool(stays) == (name != "unet")


def test_what_cannot_grow_is_one_clear_line(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 32 * 32, 5))
    told = r"^pruner=grow: expected a group .*, the network has none \(pinned: none; linear .* write or read: 0\)$"
    with pytest.raises(ConfigError, match=told):
        job_of(Learner(network), "grow", tmp_path, vars(QUICK))
    before = widths(network)
    with pytest.raises(ModelError, match=r"^group 0: expected convolutions alone to write and read it, got 0, 2$"):
        grow(network, {"0": Joining(1)})
    assert widths(network) == before


@QUIET
@pytest.mark.parametrize("estimator", ["concrete", "rebar"])
def test_gates_learn_the_same_of_the_mean_and_of_the_sum_of_losses(estimator, tmp_path, monkeypatch):
    known_times(monkeypatch)
    found = []
    for reduction in ("mean", "sum"):
        module, folder = Penalized(small(), reduction, rate=0.0), tmp_path / reduction
        pruning = job_of(module, "l0", folder, vars(QUICK), l0={"estimator": estimator}, loss=reduction)
        trainer(folder, pruning, max_steps=3).fit(module)
        found.append((pruning.learnt.log_alpha.detach(), pruning.multiplier.value, pruning.losses))
    (alpha, price, losses), (same_alpha, same_price, same_losses) = found
    assert (alpha != LEARNT.start).all()
    torch.testing.assert_close(same_alpha, alpha, rtol=1e-3, atol=1e-3)
    assert same_price == pytest.approx(price, rel=1e-3)
    assert [loss for loss, _ in same_losses] == pytest.approx([loss for loss, _ in losses], rel=1e-3)


class Given(Penalized):
    """Whose optimiser is given what `given` says; `schedule` makes a scheduler of it."""

    given, schedule = staticmethod(lambda module: module.parameters()), None

    def configure_optimizers(self):
        self.optimizer = torch.optim.Adam(self.given(self), 1e-3, weight_decay=0.1)
        return [self.optimizer], [self.schedule(self.optimizer)] if self.schedule else []


GIVEN: dict[str, Callable[[Any], Any]] = {
    "all": lambda module: module.parameters(),
    "the network alone": lambda module: module.model.parameters(),
    "a group each": lambda module: [{"params": [parameter]} for parameter in module.parameters()],
}


@QUIET
@pytest.mark.parametrize("given", GIVEN)
def test_log_alpha_is_learnt_at_its_own_rate_whatever_the_optimiser_was_given(given, tmp_path, monkeypatch):
    known_times(monkeypatch)
    module = Given(small())
    module.given = GIVEN[given]
    pruning = job_of(module, "l0", tmp_path, vars(QUICK))
    trainer(tmp_path, pruning, max_steps=3).fit(module)
    log_alpha, groups = pruning.learnt.log_alpha, module.optimizer.param_groups
    (own,) = [group for group in groups if any(p is log_alpha for p in group["params"])]
    assert (len(own["params"]), own["lr"], own["weight_decay"]) == (1, LEARNT.rate, 0.0)
    assert (log_alpha != LEARNT.start).all()
    assert {p for group in groups for p in group["params"]} == set(module.parameters())
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))


@QUIET
def test_an_optimiser_with_a_scheduler_is_given_the_group_of_log_alpha_or_it_is_told(tmp_path, monkeypatch):
    known_times(monkeypatch)
    module = Given(small())
    module.schedule = lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    with pytest.raises(ConfigError, match=r"^pruning: expected a configure_optimizers .* scheduler LambdaLR; got none"):
        trainer(tmp_path, job_of(module, "l0", tmp_path, vars(QUICK)), max_steps=3).fit(module)
    pruning, module = job_of(module, "l0", tmp_path, vars(QUICK)), Given(module.model)
    module.schedule = lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    module.given = lambda module: [{"params": module.model.parameters()}, *pruning.parameter_groups()]
    trainer(tmp_path, pruning, max_steps=3).fit(module)
    assert [group["lr"] for group in module.optimizer.param_groups] == [0.5e-3, 0.5 * LEARNT.rate]


def masks_gradient(network: nn.Module, group, x: Tensor) -> Tensor:
    """The gradient of one example's loss with respect to a mask that multiplies what a group's consumers read."""
    mask = torch.ones(group.maps, requires_grad=True)

    def multiply(member):
        def hook(layer, entering):
            channels = member.channels(group.maps)
            before, after = torch.ones(channels.start), torch.ones(entering[0].shape[1] - channels.stop)
            wide = torch.cat([before, mask.repeat_interleave(member.span), after])
            return (entering[0] * (wide if isinstance(layer, nn.Linear) else wide[:, None, None]),)

        return network.get_submodule(member.layer).register_forward_pre_hook(hook)

    hooks = [multiply(member) for member in group.consumers]
    network(x).square().sum().backward()
    for hook in hooks:
        hook.remove()
    return mask.grad


def test_a_batch_of_any_form_is_counted():
    pruning = WeightPruning(0.5, QUICK)
    rows = torch.zeros(7, 2)
    for batch in (rows, (rows, 1), [[rows], 2], {"image": rows}, ({"image": rows}, 3)):
        PacedPruning.on_train_batch_start(pruning, None, None, batch, 0)
        assert pruning.examples == 7
