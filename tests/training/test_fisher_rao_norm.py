"""The Fisher-Rao norm along a run."""

import csv
import json

import pytest
import pytorch_lightning as pl
import torch

import gaze.training.run as fit_module
from gaze.errors import ConfigError, DataError
from gaze.pruning import find_groups
from gaze.training.fisher_rao_norm import NORMS, PICTURE, curves, half_norms_of
from gaze.training.likelihood import KINDS, fisher_information, photographs
from gaze.training.pruning_run import prune
from gaze.training.run import LAST, fit, make_data
from tests.pruning.known_times import known_times
from tests.training.conftest import QUIET
from tests.training.test_pruning_run import latency, prune_config  # noqa: F401

pytestmark = QUIET

OFTEN = "norm.every=2", "norm.photographs=3"
NAMES = [f"{theta}_{kind}{end}" for kind in KINDS for theta in ("weights", "maps") for end in ("", "_diagonal")]


def weights(run):
    return torch.load(run / LAST, weights_only=True)["state_dict"]


def test_a_training_logs_it_and_trains_as_without(train_config, tmp_path, caplog):
    fit(train_config(f"out={tmp_path / 'bare'}"))
    fit(train_config(*OFTEN, f"out={tmp_path / 'watched'}"))
    bare, watched = weights(tmp_path / "bare"), weights(tmp_path / "watched")
    assert all(torch.equal(value, watched[name]) for name, value in bare.items())
    found = curves(tmp_path / "watched" / NORMS)
    assert list(found.norms) == NAMES
    assert all(list(curve) == [0, 2, 4, 6, 8] and min(curve.values()) > 0 for curve in found.norms.values())
    with (tmp_path / "watched/metrics/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {int(row["step"]): float(row["norm/maps_model"]) for row in rows if row["norm/maps_model"]}
    assert logged == pytest.approx(found.norms["maps_model"])
    gains = [float(row["val/information_gain"]) for row in rows if row["val/information_gain"]]
    assert list(found.gains.values()) == pytest.approx(gains, abs=1e-6)
    assert (tmp_path / "watched" / PICTURE).is_file()
    assert not (tmp_path / "bare" / NORMS).exists()
    assert not_counted(tmp_path / "watched") == {()}
    assert told(caplog) == []


CONVNEXT = "model.backbone={name: convnext_atto, taps: [0], weights: none, reparameterize: false}"
SCALES = [f"backbone.features.stages_0.blocks.{k}.gamma" for k in (0, 1)]
"""Parameters of ConvNeXt's blocks, which hold layers as well."""


def not_counted(run) -> set[tuple[str, ...]]:
    """What `norm.json` names, at any update."""
    norms = json.loads((run / NORMS).read_text())["norms"]
    assert len(norms) > 1
    return {tuple(found[f"weights_{kind}"]["left_out"]) for found in norms.values() for kind in KINDS}


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("gaze.")]


def test_what_is_not_counted_is_named_in_the_file_and_once_in_the_log(train_config, tmp_path, caplog):
    fit(train_config(CONVNEXT, "norm.every=2", "norm.photographs=1", "trainer.max_epochs=1"))
    assert not_counted(tmp_path / "run") == {tuple(SCALES)}
    assert told(caplog) == [f"norm: parameters that are not counted: {', '.join(SCALES)}"]


class Interrupt(pl.Callback):
    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt


def test_a_resumed_run_measures_what_an_uninterrupted_one_does(train_config, tmp_path, monkeypatch):
    fit(train_config(*OFTEN, f"out={tmp_path / 'whole'}"))
    make, parted = fit_module.make_trainer, (*OFTEN, f"out={tmp_path / 'parted'}")
    with monkeypatch.context() as patch:
        patch.setattr(
            fit_module, "make_trainer", lambda c, o, d, others, goal: make(c, o, d, [*others, Interrupt()], goal)
        )
        with pytest.raises(SystemExit):
            fit(train_config(*parted))
    fit(train_config(*parted, "resume=true"))
    whole, again = (json.loads((tmp_path / run / NORMS).read_text()) for run in ("whole", "parted"))
    assert whole == again


@pytest.mark.parametrize("pruner", [["pruner=weights"], ["pruner=l0", "pruner.l0.rate=0.5"]], ids=["weights", "l0"])
def test_a_pruning_logs_it(prune_config, tmp_path, monkeypatch, pruner):  # noqa: F811
    known_times(monkeypatch)
    prune(prune_config(*pruner, "budget=0.9", "norm.every=1", "norm.photographs=2"))
    found = curves(tmp_path / "run" / NORMS)
    assert list(found.norms) == NAMES
    assert list(found.norms["maps_model"])[:4] == [0, 1, 2, 3]
    assert (tmp_path / "run" / PICTURE).is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_its_diagonal_is_what_elastic_weight_consolidation_reads(train_config, kind):
    data = make_data(train_config())
    network = fit_module.build_network(train_config().model)
    f = fisher_information(network, photographs(data.train_set, None, 3), kind, 3)
    squares = {name: value.detach().square() for name, value in network.named_parameters()}
    norms = half_norms_of(network, data.train_set, None, 3)
    expected = sum(float((f[name] * squares[name]).sum()) for name in f) / 2
    assert norms[f"weights_{kind}"].total.diagonal == pytest.approx(expected, rel=1e-4)
    assert list(norms[f"maps_{kind}"].parts) == [group.name for group in find_groups(network)]


def test_what_it_cannot_do_is_one_line(train_config, tmp_path):
    with pytest.raises(ConfigError, match=r"norm\.every: expected at least 1, got 0"):
        train_config("norm.every=0")
    with pytest.raises(ConfigError, match=r"norm\.photographs: expected at least 1, got 0"):
        train_config("norm.photographs=0")
    (tmp_path / NORMS).write_text("[]")
    for path in (tmp_path / "none.json", tmp_path / NORMS):
        with pytest.raises(DataError, match=f"{path.name}: expected norms and gains by update"):
            curves(path)


def test_photographs_of_no_measurement_are_told_to_have_no_effect(train_config):
    assert "norm.photographs" in train_config().idle()
    assert "norm.photographs" not in train_config("norm.every=5").idle()
