"""Networks of others: pruned, exported, trained on, within a Lightning training that is not gaze's."""

import copy
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gaze.errors import ConfigError
from gaze.models.widths import set_widths, widths
from gaze.pruning import Fisher, Gates, OptimizerFollower, find_groups, find_pinned, remove
from gaze.pruning.cost.engines import ENGINES
from gaze.pruning.cost.engines.onnx_profile import cpu_session
from gaze.pruning.cost.example_input import ExampleInput, exported_whole
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.models.macs import MacCost
from gaze.pruning.methods.base import METHODS, PacedPruning
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.methods.weight_pruning import WeightPruning
from gaze.pruning.structure.folding import fold
from gaze.pruning.structure.gates import Multipliers
from gaze.pruning.structure.growth import growable
from gaze.pruning.structure.snapshot import Restoration, Snapshot
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
@pytest.mark.usefixtures("count")
@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
def test_a_run_that_was_stopped_goes_on(tmp_path):
    results, schedule = [], {**vars(QUICK), "removals": 6, "removals_per_surgery": 3}
    for name, stops in (("whole", [-1]), ("parted", [1, 2, -1])):  # two updates an epoch: masked maps wait to be cut
        folder, last = tmp_path / name, None
        for stop in stops:
            module = Resuming(small())
            pruning = FisherPruning.of(Job.of(module.model, images(1), folder, budget=0.3, schedule=schedule))
            keep = ModelCheckpoint(folder, "last", enable_version_counter=False)
            with nullcontext() if stop < 0 else pytest.raises(SystemExit):
                trainer(folder, pruning, keep, Interrupt(stop)).fit(module, ckpt_path=last, weights_only=True)
            last = folder / "last.ckpt"
        results.append((module.model.state_dict(), (folder / "removals.csv").read_text(), pruning.step))
    (whole, rows, step), (parted, same_rows, same_step) = results
    assert (rows, step) == (same_rows, same_step)
    assert all(torch.equal(value, parted[key]) for key, value in whole.items())


class Resuming(Learner):
    """One whose checkpoints tell how narrow the network is."""

    def on_save_checkpoint(self, checkpoint):
        checkpoint["widths"] = widths(self.model)

    def on_load_checkpoint(self, checkpoint):
        set_widths(self.model, checkpoint["widths"])


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
