"""Whole runs: what they write, that they learn, stop, go on exactly, and lose nothing."""

import csv
import logging
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import gaze
import gaze.training.run as fit_module
from gaze.config import verb
from gaze.data.store import FixationStore, write_store
from gaze.errors import ConfigError, DataError, ModelError
from gaze.evaluation.bench import Bench
from gaze.evaluation.run import score_split
from gaze.evaluation.sources import open_source
from gaze.models import build_network, load_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.widths import set_widths, widths
from gaze.pruning import find_groups, remove
from gaze.training.config import TrainConfig
from gaze.training.run import BEST, LAST, fit, make_data, resolve_precision, result
from tests.conftest import SPLITS, drawn_stimulus
from tests.models.conftest import small_config
from tests.pruning.conftest import live
from tests.training.conftest import QUIET, SMALL

pytestmark = QUIET


def column(run, name) -> list[float]:
    with (run / "metrics/version_0/metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_a_run_learns_and_leaves_checkpoints_logs_and_panels(train_config, tmp_path):
    config = train_config("trainer.max_epochs=8", "trainer.patience=20")
    best = fit(config)
    out = tmp_path / "run"
    assert best == out / BEST
    assert {"config.yaml", "metrics", LAST} <= {path.name for path in out.iterdir()}
    assert list(out.glob("events.out.tfevents.*"))
    assert len(list((out / "panels").glob("epoch_*.png"))) == 8
    gains = column(out, "val/information_gain")
    assert len(gains) == 8
    assert max(gains[4:]) > gains[0]
    trained = load_checkpoint(best)
    assert (trained.trained_on, trained.seed) == (["folder"], config.seed)
    kept = torch.load(best, weights_only=True)["callbacks"]
    score = next(state["best_model_score"] for key, state in kept.items() if "ModelCheckpoint" in key)
    assert float(score) == pytest.approx(max(gains), abs=1e-4)
    assert result(best) == f"{best}: information gain {max(gains):.3f} bits per fixation on validation"


def test_several_runs_of_one_command(small_store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = [*SMALL, f"sets.folder.store={small_store}", "trainer.max_epochs=1", "seed=1,2", "out=runs/seed${seed}"]
    assert "trainer.progress=false" in settings
    monkeypatch.setattr(sys, "argv", ["gaze.train", "-m", *settings])
    verb("train", TrainConfig)(fit)()
    assert capsys.readouterr() == ("", "")  # nothing of how far it is
    seeds = [load_checkpoint(Path(f"runs/seed{seed}") / BEST).seed for seed in (1, 2)]
    assert seeds == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["multirun", "runs"]


def test_a_run_can_have_the_widths_of_a_pruned_network_and_random_maps(train_config, tmp_path):
    torch.manual_seed(0)
    pruned = build_network(small_config())
    gone = {group.name: range(max(1, group.maps // 3), group.maps) for group in find_groups(pruned)}
    remove(pruned, gone)  # some are down to a single map
    save_checkpoint(tmp_path / "pruned.ckpt", pruned, ["drawn"], 5)
    settings = (f"widths={tmp_path / 'pruned.ckpt'}", "trainer.max_epochs=1", "model.finalizer.center_bias=[3, 4]")
    network = load_network(fit(train_config(*settings)))
    assert widths(network) == widths(pruned)
    for other in (["model.backbone.name=lcnet_100"], ["model.readout={reduce: 2, channels: [1]}"]):
        with pytest.raises(ConfigError, match=r"widths=\S*pruned.ckpt: expected a network (pruned|of)"):
            fit(train_config(*settings, *other, f"out={tmp_path / 'no'}"))
    assert not (tmp_path / "no").exists()


class Interrupt(pl.Callback):
    """Presses Ctrl-C when an epoch has ended."""

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(train_config, tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "teacher.ckpt", live(build_network(small_config())), ["drawn"], 5)
    taught = f"distill.teacher={tmp_path / 'teacher.ckpt'}"
    whole, parted = (train_config(taught, f"out={tmp_path / name}") for name in ("whole", "parted"))
    fit(whole)
    make = fit_module.make_trainer

    def interrupted(*arguments):
        trainer = make(*arguments)
        trainer.callbacks.append(Interrupt())
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "make_trainer", interrupted)
        with pytest.raises(SystemExit):
            fit(parted)
    fit(train_config(taught, f"out={tmp_path / 'parted'}", "resume=true"))
    first, second = (torch.load(tmp_path / run / LAST, weights_only=True) for run in ("whole", "parted"))
    assert first["global_step"] == second["global_step"] > 0
    for part in ("state_dict", "current_model_state"):
        assert first[part].keys() == second[part].keys()
        for key, value in first[part].items():
            assert torch.equal(value, second[part][key]), f"{part} {key}"
    moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (first, second)]
    assert all(torch.equal(moments[0][k]["exp_avg"], moments[1][k]["exp_avg"]) for k in moments[0])


def test_a_network_trains_on_with_another_activation(train_config, tmp_path):
    first = fit(train_config("trainer.max_epochs=1"))
    settings = [f"checkpoint={first}", "trainer.max_epochs=1"]
    relu = fit(train_config(*settings, "model.backbone.activation=relu", f"out={tmp_path / 'relu'}"))
    on = fit(train_config(f"checkpoint={relu}", "trainer.max_epochs=1", f"out={tmp_path / 'on'}"))
    for checkpoint, activation in ((first, None), (relu, "relu"), (on, "relu")):  # null leaves the network as it came
        network = load_network(checkpoint)
        assert network.config.backbone.activation == activation
        assert any(isinstance(m, torch.nn.Hardswish) for m in network.modules()) == (activation is None)
    with pytest.raises(ConfigError, match=r"model\.backbone\.activation: expected relu or null, got 'elu'"):
        fit(train_config(*settings, "model.backbone.activation=elu", f"out={tmp_path / 'elu'}"))
    assert not (tmp_path / "elu").exists()


def test_a_network_trains_on_without_modules_and_never_gets_them_back(train_config, tmp_path):
    first = fit(train_config("trainer.max_epochs=1"))
    settings = [f"checkpoint={first}", "trainer.max_epochs=1"]
    thin = fit(train_config(*settings, "model.backbone.skip=['*.se']", f"out={tmp_path / 'thin'}"))
    on = fit(train_config(f"checkpoint={thin}", "trainer.max_epochs=1", f"out={tmp_path / 'on'}"))
    assert any(".se." in name for name in load_network(first).state_dict())
    for checkpoint in (thin, on):
        network = load_network(checkpoint)
        assert network.config.backbone.skip == ["*.se"]
        assert not any(".se." in name for name in network.state_dict())


def test_what_only_a_pruned_network_could_leave_out_is_refused_before_the_training(tmp_path):
    config = small_config(name="tf_efficientnetv2_b0", taps=[2, 3])
    network = build_network(config)
    stem = {"conv_stem": [3, 16], "bn1": [16], "blocks.0.0.conv": [16, 16]}
    set_widths(network, {f"backbone.features.{name}": width for name, width in stem.items()})
    save_checkpoint(tmp_path / "pruned.ckpt", network, ["drawn"], 1)
    asked = replace(config, backbone=replace(config.backbone, skip=["blocks.0.0"]))  # 16 maps in and out, unpruned 32
    with pytest.raises(ConfigError, match=r"model\.backbone\.skip=blocks\.0\.0: expected modules that keep the shape"):
        fit_module._continued(tmp_path / "pruned.ckpt", asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("model.readout={reduce: 8, channels: [8, 1]}", r"model\.readout\.channels: expected \[4, 1\], .*got \[8, 1\]"),
        ("model.readout.reduce=4", r"model\.readout\.reduce: expected 8, as checkpoint=.*first\.ckpt has it, got 4"),
        ("model.finalizer.sigma=1", r"model\.finalizer\.sigma: expected 2\.0, .*got 1\.0"),
        ("model.finalizer.center_bias=[3, 4]", r"model\.finalizer\.center_bias: expected \[12, 16\], .*got \[3, 4\]"),
        ("model.backbone.taps=[3, 4]", r"model\.backbone\.taps: expected \[2, 3, 4\], .*got \[3, 4\]"),
        ("model.backbone.reparameterize=true", r"model\.backbone\.reparameterize: expected false, .*got true"),
        ("model.backbone.name=lcnet_050", "its backbone is lcnet_035, the configuration's lcnet_050"),
    ],
)
def test_what_a_checkpoint_has_settled_cannot_be_asked_for(train_config, tmp_path, changes, message):
    settled = train_config().model
    save_checkpoint(tmp_path / "first.ckpt", build_network(settled), ["drawn"], 1)
    with pytest.raises(ConfigError, match=message):
        fit(train_config(f"checkpoint={tmp_path / 'first.ckpt'}", changes))
    assert not (tmp_path / "run").exists()


def test_a_network_that_trains_on_takes_the_name_and_the_size_asked_for(train_config, tmp_path):
    config = train_config("model.name=second", "model.input.longer_side=32")
    save_checkpoint(tmp_path / "first.ckpt", build_network(train_config().model), ["drawn"], 1)
    found = fit_module._continued(tmp_path / "first.ckpt", config.model).config
    assert (found.name, found.input.longer_side) == ("second", 32)


def test_a_run_changes_nothing_of_the_process(train_config):
    logger, before = logging.getLogger("pytorch_lightning.utilities.rank_zero"), warnings.filters[:]
    level, threads = logger.level, torch.get_num_threads()
    fit(train_config("trainer.max_epochs=1", f"trainer.threads={threads + 1}"))
    assert (warnings.filters[:], logger.level, torch.get_num_threads()) == (before, level, threads)


def test_only_a_command_s_process_is_told_of_filters_and_threads():
    root = Path(gaze.__file__).parent
    rooms = [root / room for room in ("training", "data", "evaluation", "models")]
    told = {
        path.relative_to(root).as_posix()
        for path in [*root.glob("*.py"), *(file for room in rooms for file in room.rglob("*.py"))]
        if re.search("catch_warnings|filterwarnings|simplefilter|setLevel|set_num_threads", path.read_text())
    }
    assert told == {"config.py", "training/process.py"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [("trainer.accelerator=cuda", "trainer: .*cuda"), ("trainer.strategy=ddp_unheard_of", "trainer: .*ddp_unheard_of")],
)
def test_what_lightning_refuses_is_one_line(train_config, tmp_path, setting, message, monkeypatch):
    monkeypatch.setattr("pytorch_lightning.accelerators.cuda.CUDAAccelerator.is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"(?i){message}") as caught:
        fit(train_config(setting))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_is_never_overwritten_and_resuming_needs_one(train_config, tmp_path):
    with pytest.raises(ConfigError, match=r"resume=true: no run to continue in out=.*last\.ckpt"):
        fit(train_config("resume=true"))
    fit(train_config("trainer.max_epochs=1"))
    before = (tmp_path / "run" / LAST).read_bytes()
    with pytest.raises(ConfigError, match="holds a run already"):
        fit(train_config())
    assert (tmp_path / "run" / LAST).read_bytes() == before


def test_trains_on_sets_of_points_and_of_maps_together(train_config, make_store, tmp_path):
    maps = make_store(gaze=False)
    config = train_config("trainer.max_epochs=1", "loader.weights={folder: 2, maps: 0.5}")
    config.sets["maps"] = type(config.sets["folder"])(**{**vars(config.sets["folder"]), "store": str(maps)})
    fit(config)
    assert load_checkpoint(tmp_path / "run" / BEST).trained_on == ["folder", "maps"]
    assert column(tmp_path / "run", "val/maps")


def test_a_photograph_of_only_first_fixations_is_left_out_of_training_and_evaluation(
    train_config, small_store, bright_model, tmp_path, caplog
):
    old, gone = FixationStore(small_store), {"000.png", "004.png", "007.png"}
    drawn = [drawn_stimulus(k, split) for k, split in enumerate(SPLITS)]
    first = [replace(s, fixations=replace(s.fixations, order=0 * s.fixations.order)) for s in drawn]
    stimuli = [b if a.name in gone else a for a, b in zip(drawn, first, strict=True)]
    write_store(tmp_path / "store.h5", old.attributes, stimuli)
    config = train_config("trainer.max_epochs=1", f"sets.folder.store={tmp_path / 'store.h5'}")
    assert len(make_data(config).train_set) == 3
    fit(config)
    assert "left out, as there is no gaze on them: 000.png, 004.png, 007.png" in caplog.text
    scores = score_split(Bench(FixationStore(tmp_path / "store.h5")), open_source(str(bright_model), None), "test", 8)
    assert scores.names == ["008.png", "009.png", "010.png"]


def test_a_network_learns_from_a_teacher_s_variations_beside_people(train_config, make_store, tmp_path):
    taught = make_store(splits=("train",) * 4, gaze=False, teacher="big 1.0")
    config = train_config("trainer.max_epochs=1")
    config.sets["taught"] = type(config.sets["folder"])(**{**vars(config.sets["folder"]), "store": str(taught)})
    data = make_data(config)
    people, variations = data.center_biases()
    np.testing.assert_allclose(variations, people, atol=1e-6)  # not validated, so its centre bias is the others'
    assert len(data.train_set) == 4 + sum(
        split == "train" for split in FixationStore(config.sets["folder"].store).splits
    )
    fit(config)
    assert load_checkpoint(tmp_path / "run" / BEST).trained_on == ["folder"]
    assert not column(tmp_path / "run", "val/taught")


def test_a_checkpoint_holds_the_averaged_weights(train_config, tmp_path):
    fit(train_config("trainer.max_epochs=1"))
    checkpoint = torch.load(tmp_path / "run" / BEST, weights_only=True)
    network = load_network(tmp_path / "run" / BEST).state_dict()
    key = "readout.layers.0.weight"
    assert torch.equal(network[key], checkpoint["state_dict"][f"network.{key}"])
    assert not torch.equal(network[key], checkpoint["current_model_state"][f"network.{key}"])


@pytest.mark.parametrize("weight", [0, 0.01])
def test_weights_that_leave_nothing_to_draw_are_refused(train_config, tmp_path, weight):
    with pytest.raises(ConfigError, match=r"loader\.weights: no photograph is drawn"):
        fit(train_config(f"loader.weights={{folder: {weight}}}"))
    assert not (tmp_path / "run").exists()


def test_errors_come_before_anything_is_written(train_config, tmp_path):
    with pytest.raises(DataError, match="no such store"):
        fit(train_config("sets.folder.store=nowhere.h5"))
    with pytest.raises(ConfigError, match=r"loader\.weights\.osie: no such set; expected one of folder"):
        fit(train_config("loader.weights={osie: 2}"))
    assert not (tmp_path / "run").exists()


def test_precision_follows_the_device(monkeypatch):
    assert resolve_precision("16-mixed") == "16-mixed"
    for gpu, bf16, expected in (
        (False, False, "32-true"),
        (True, False, "16-mixed"),
        (True, True, "bf16-mixed"),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda bf16=bf16: bf16)
        assert resolve_precision("auto") == expected


def test_small_store_has_every_split(small_store):
    store = FixationStore(small_store)
    assert [len(store.indices(split)) for split in ("train", "val", "test")] == [4, 3, 4]


def test_a_damaged_checkpoint_to_go_on_from_is_one_line_that_names_it(train_config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LAST).write_bytes(b"PK\x03\x04" + bytes(999))
    with pytest.raises(ModelError, match=r"^\S*last\.ckpt: not a checkpoint of gaze, or a damaged one \([^\n]*\)$"):
        fit(train_config("resume=true"))
