"""Elastic weight consolidation: the penalty, what it is estimated on, where it is kept, and what it holds."""

from pathlib import Path

import pytest
import torch

import gaze.training.consolidation as consolidation_module
from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import GazeDataset
from gaze.data.store import FixationStore
from gaze.errors import ConfigError
from gaze.models import build_network, load_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.training.config import EwcConfig
from gaze.training.consolidation import SEED, Consolidation, consolidation, first_stores, information_of
from gaze.training.likelihood import fisher_information, photographs
from gaze.training.run import fit
from tests.pruning.conftest import live
from tests.training.conftest import QUIET
from tests.training.test_run import column

pytestmark = QUIET

MODEL = EwcConfig(1.0, None, "model", None)


class Module:
    def __init__(self, network):
        self.network = network


@pytest.fixture
def network(train_config):
    torch.manual_seed(0)
    return live(build_network(train_config().model))


@pytest.fixture
def checkpoint(network, tmp_path) -> Path:
    save_checkpoint(tmp_path / "first" / "first.ckpt", network, ["folder"], 5)
    return tmp_path / "first" / "first.ckpt"


def moved(network):
    """Each parameter a step of its own away."""
    generator = torch.Generator().manual_seed(3)
    steps = {name: 0.1 * torch.randn(p.shape, generator=generator) for name, p in network.named_parameters()}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(steps[name])
    return steps


@pytest.mark.parametrize("held", [True, False])
def test_penalty_is_equation_3_with_its_gradient(network, held):
    generator = torch.Generator().manual_seed(2)
    information = {name: torch.rand(p.shape, generator=generator) for name, p in network.named_parameters()}
    ewc = Consolidation(network, information if held else None, 0.6)
    assert ewc.penalty(Module(network)) == 0
    steps = moved(network)
    penalty = ewc.penalty(Module(network))
    penalty.backward()
    f = information if held else {name: torch.ones_like(step) for name, step in steps.items()}
    expected = 0.3 * sum(float((f[name] * step.square()).sum()) for name, step in steps.items())
    assert penalty.item() == pytest.approx(expected, rel=1e-4)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, 0.6 * f[name] * steps[name], rtol=1e-4, atol=1e-6)


def test_what_has_no_information_is_not_held(network):
    name = "readout.layers.0.weight"
    ewc = Consolidation(network, {name: torch.ones_like(network.get_parameter(name))}, 2.0)
    step = moved(network)[name]
    assert ewc.penalty(Module(network)).item() == pytest.approx(float(step.square().sum()), rel=1e-4)


def test_information_is_that_of_the_train_split_and_is_estimated_once(network, checkpoint, small_store, monkeypatch):
    store = FixationStore(small_store)
    found = information_of(network, checkpoint, [store], MODEL)
    dataset = GazeDataset([store], "train", InputRule(64, 16), 4, AugmentConfig(0, 0, 1, 0))
    expected = fisher_information(network, photographs(dataset, None, SEED), "model", SEED)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    monkeypatch.setattr(consolidation_module, "fisher_information", None)  # not to be asked again
    again = information_of(network, checkpoint, [store], MODEL)
    assert found.keys() == again.keys() == dict(network.named_parameters()).keys()
    assert all(torch.equal(value, again[name]) for name, value in found.items())


def kept(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.parent.iterdir() if path != checkpoint)


def test_another_checkpoint_set_or_setting_has_another_file(network, checkpoint, small_store, make_store):
    store, other = FixationStore(small_store), FixationStore(make_store(("train", "val")))
    for stores, config in (
        ([store], MODEL), ([other], MODEL), ([store, other], MODEL),
        ([store], EwcConfig(1.0, None, "empirical", None)), ([store], EwcConfig(1.0, None, "model", 2)),
    ):  # fmt: skip
        information_of(network, checkpoint, stores, config)
    assert len(kept(checkpoint)) == 5
    information_of(network, checkpoint, [store], EwcConfig(7.0, ["folder"], "model", None))  # the weight is no part
    assert len(kept(checkpoint)) == 5
    moved(network)
    save_checkpoint(checkpoint, network, ["folder"], 5)
    information_of(network, checkpoint, [store], MODEL)
    assert len(kept(checkpoint)) == 6
    assert all(path.name.startswith("first.fisher-") and path.suffix == ".pt" for path in kept(checkpoint))


@pytest.mark.parametrize("damage", [lambda old: old[:-50], lambda old: b"", lambda old: b"no archive at all"])
def test_a_damaged_file_is_estimated_anew(network, checkpoint, small_store, damage):
    found = information_of(network, checkpoint, [FixationStore(small_store)], MODEL)
    (path,) = kept(checkpoint)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = information_of(network, checkpoint, [FixationStore(small_store)], MODEL)
    assert all(torch.equal(value, again[name]) for name, value in found.items())
    assert len(path.read_bytes()) == len(whole)


def test_where_nothing_can_be_kept_the_log_says_so(network, checkpoint, small_store, monkeypatch, caplog):
    def refused(path):
        raise consolidation_module.OutputError(f"{path}: cannot be written (Read-only file system)")

    monkeypatch.setattr(consolidation_module, "replacing", refused)
    assert information_of(network, checkpoint, [FixationStore(small_store)], MODEL)
    assert "the Fisher information is not kept: " in caplog.text
    assert kept(checkpoint) == []


def test_names_are_of_the_run_s_sets_then_of_the_configured_ones_then_paths(
    small_store, make_store, monkeypatch, tmp_path
):
    other = make_store(("train",))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/osie.h5").symlink_to(other)
    stores = first_stores(["folder", "osie", str(small_store)], {"folder": small_store})
    assert [store.path for store in stores] == [small_store, Path("data/osie.h5"), small_store]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([], "ewc.sets: expected what the checkpoint was trained on first, and it does not say"),
        (["drawn"], "ewc.sets: expected names of data sets or paths of stores .*got 'drawn'"),
        (["../train"], "ewc.sets: expected names of data sets"),
        (["osie"], "ewc.sets: expected a store of osie at data/osie.h5, found none"),
        (["none.h5"], "ewc.sets: expected a store of none.h5 at none.h5, found none"),
    ],
)
def test_without_a_first_set_it_is_one_line(sets, message, train_config, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "first.ckpt", network, sets, 5)
    with pytest.raises(ConfigError, match=message) as caught:
        fit(train_config(f"checkpoint={tmp_path / 'first.ckpt'}", "ewc.weight=1"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_set_without_a_train_split_is_one_line(network, checkpoint, make_store):
    with pytest.raises(ConfigError, match=r"ewc\.sets: .*no stimulus in the split train"):
        information_of(network, checkpoint, [FixationStore(make_store(("val",)))], MODEL)
    assert kept(checkpoint) == []


@pytest.fixture
def scaled(train_config, tmp_path):
    """The settings of a run that goes on from a ConvNeXt, whose blocks hold parameters beside layers."""
    backbone = "model.backbone={name: convnext_atto, taps: [0], weights: none, reparameterize: false}"
    config = train_config(backbone, f"checkpoint={tmp_path / 'first.ckpt'}", "ewc.weight=1", "ewc.sets=[folder]")
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "first.ckpt", build_network(config.model), ["folder"], 5)
    return config


def test_what_the_estimate_leaves_out_is_named_in_one_line_and_not_held(scaled, caplog, monkeypatch):
    left_out = [f"backbone.features.stages_0.blocks.{k}.gamma" for k in (0, 1)]
    told = f"ewc: parameters that are not held, without Fisher information: {', '.join(left_out)}"
    for _ in range(2):  # estimated, and as it was kept
        caplog.clear()
        network = load_network(scaled.checkpoint)
        (ewc,) = consolidation(scaled, network)
        assert [record.getMessage() for record in caplog.records] == [told]
        assert dict(network.named_parameters()).keys() - ewc.anchors.keys() == set(left_out)
        monkeypatch.setattr(consolidation_module, "fisher_information", None)  # not to be asked again


def test_where_all_is_held_nothing_is_told(train_config, network, checkpoint, caplog):
    config = train_config(f"checkpoint={checkpoint}", "ewc.weight=1", "ewc.sets=[folder]")
    (ewc,) = consolidation(config, network)
    assert ewc.anchors.keys() == dict(network.named_parameters()).keys()
    assert caplog.records == []


def distance(network, checkpoint) -> float:
    start = dict(load_network(checkpoint).named_parameters())
    return sum(float((p - start[name]).detach().square().sum()) for name, p in network.named_parameters())


def test_a_run_is_held_where_it_began(train_config, checkpoint, tmp_path):
    settings = [f"checkpoint={checkpoint}", "trainer.max_epochs=2", "trainer.ema_decay=0"]
    runs = {"free": [], "uniform": ["ewc.weight=10", "ewc.fisher=uniform"], "ewc": ["ewc.weight=1e4"]}
    for name, more in runs.items():
        fit(train_config(*settings, *more, f"out={tmp_path / name}"))
    went = {name: distance(load_network(tmp_path / name / "last.ckpt"), checkpoint) for name in runs}
    assert max(went["uniform"], went["ewc"]) < 0.9 * went["free"]
    assert column(tmp_path / "free", "train/penalty_epoch") == []
    assert all(value > 0 for name in ("uniform", "ewc") for value in column(tmp_path / name, "train/penalty_epoch"))


def test_a_resumed_run_is_held_at_the_checkpoint_and_not_where_it_stopped(train_config, checkpoint, tmp_path):
    settings = [f"checkpoint={checkpoint}", "ewc.weight=10", "ewc.fisher=uniform"]
    fit(train_config(*settings, "trainer.max_epochs=1"))
    config = train_config(*settings, "resume=true")
    (ewc,) = consolidation(config, load_network(checkpoint))
    start = dict(load_network(checkpoint).named_parameters())
    assert all(torch.equal(value, start[name]) for name, value in ewc.anchors.items())
    first = column(tmp_path / "run", "train/penalty_epoch")
    fit(config)
    again = [float(v) for v in _penalties(tmp_path / "run" / "metrics" / "version_1")]
    assert again[0] > first[0] > 0  # further away than where it stopped


def _penalties(folder):
    import csv

    with (folder / "metrics.csv").open() as file:
        return [row["train/penalty_epoch"] for row in csv.DictReader(file) if row["train/penalty_epoch"]]


def test_a_network_that_moves_on_says_what_it_learnt_first(train_config, network, tmp_path):
    save_checkpoint(tmp_path / "first.ckpt", network, ["drawn"], 5)
    best = fit(train_config(f"checkpoint={tmp_path / 'first.ckpt'}", "trainer.max_epochs=1"))
    assert load_checkpoint(best).trained_on == ["drawn", "folder"]
