"""What a run is told that goes on: other settings, and checkpoints that hold no run or another one."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gaze.errors import ConfigError, ModelError
from gaze.models import build_network
from gaze.models.checkpoints import save_checkpoint
from gaze.training.config import PruneConfig, TrainConfig
from gaze.training.pruning_run import prune
from gaze.training.run import LAST, fit
from tests.models.conftest import small_config
from tests.training.conftest import QUIET
from tests.training.test_pruning_run import latency, prune_config  # noqa: F401

pytestmark = QUIET

Make = Callable[..., TrainConfig]
GoOn = Callable[..., object]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves a run of one epoch, and what that holds, for the others."""
    return tmp_path_factory.mktemp("begun")


@pytest.fixture
def run(train_config: Make, begun: Path) -> Path:
    """The folder of a run of one epoch, as that left it."""
    if not (begun / "kept").exists():
        fit(train_config("trainer.max_epochs=1", f"out={begun / 'run'}"))
        shutil.copytree(begun / "run", begun / "kept")
    shutil.rmtree(begun / "run")
    shutil.copytree(begun / "kept", begun / "run")
    return begun / "run"


@pytest.fixture
def go_on(train_config: Make, run: Path) -> GoOn:
    """Has the run go on, for two epochs in all."""
    return lambda *overrides: fit(train_config("trainer.max_epochs=2", "resume=true", f"out={run}", *overrides))


def epochs(run: Path) -> int:
    """How often a run has validated, over all its parts."""
    tables = [path.read_text().splitlines() for path in run.glob("metrics/version_*/metrics.csv")]
    return sum(bool(row["val/information_gain"]) for table in tables for row in csv.DictReader(table))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = torch.load(path, weights_only=True)
    edit(content)
    torch.save(content, path)


def test_a_run_is_extended_by_more_epochs(run: Path, go_on: GoOn):
    go_on("trainer.max_epochs=3", "trainer.threads=1")
    assert epochs(run) == 3
    content = torch.load(run / LAST, weights_only=True)
    assert content["epoch"] == 2
    assert content["lr_schedulers"][0]["_last_lr"][0] == pytest.approx(0, abs=1e-5)  # the schedule is the longer one
    assert "max_epochs: 3" in (run / "config.yaml").read_text()


def test_what_differs_from_the_run_is_named_before_anything_changes(run: Path, go_on: GoOn, tmp_path: Path):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    save_checkpoint(tmp_path / "other.ckpt", build_network(small_config()), ["drawn"], 5)
    for override, said in {
        "seed=7": "seed was 1 and is 7",
        "optim.backbone_lr=0.5": "optim.backbone_lr was .* and is 0.5",
        "model.readout.reduce=16": "model.readout.reduce was 8 and is 16",
        "trainer.ema_decay=0.9": "trainer.ema_decay was 0.5 and is 0.9",
        "trainer.patience=99": "trainer.patience was .* and is 99",
        "sets.folder.store=elsewhere.h5": "sets.folder.store was .* and is 'elsewhere.h5'",
        "+sets.more={name: more, reader: folder, store: a.h5, license: MIT, source: drawn, drop_first: false, "
        "sigma_degrees: null, sigma_pixels: 4.0, pixels_per_degree: null}": "sets.more.store was none and is 'a.h5'",
        f"checkpoint={tmp_path / 'other.ckpt'}": "checkpoint was null and is ",
    }.items():
        with pytest.raises(ConfigError, match=rf"^resume=true: expected the settings .*; (.*, )?{said}") as caught:
            go_on("trainer.max_epochs=1", override)
        assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_fewer_epochs_than_are_done_are_refused(run: Path, go_on: GoOn):
    change(run / LAST, lambda content: content.update(epoch=1))
    with pytest.raises(ConfigError, match=r"^trainer\.max_epochs: expected at least the 2 epochs .* begun, got 1$"):
        go_on("trainer.max_epochs=1")


LACKS = ["optimizer_states", "lr_schedulers", "loops", "callbacks", "current_model_state", "averaging_state"]


@pytest.mark.parametrize("part", LACKS)
def test_a_checkpoint_without_part_of_its_state_is_one_line(run: Path, go_on: GoOn, part: str):
    change(run / LAST, lambda content: content.pop(part))
    with pytest.raises(ModelError, match=rf"last\.ckpt: expected what a run leaves to go on from; it lacks {part}"):
        go_on()


def test_a_network_alone_and_callbacks_without_state_are_one_line(run: Path, go_on: GoOn, train_config: Make):
    change(run / LAST, lambda content: content["callbacks"].pop("Averaging", None))
    change(run / LAST, lambda content: content["callbacks"].popitem())
    with pytest.raises(ModelError, match=r"it lacks .*the state of ModelCheckpoint"):
        go_on()
    save_checkpoint(run / LAST, build_network(train_config().model), ["drawn"], 5)
    with pytest.raises(ModelError, match=r"it lacks optimizer_states, .*trained on with checkpoint="):
        go_on()


def test_a_checkpoint_of_another_run_is_one_line(run: Path, go_on: GoOn, train_config: Make, tmp_path: Path):
    other = train_config("model.readout.reduce=4")
    network = build_network(other.model)
    save_checkpoint(tmp_path / "other.ckpt", network, ["drawn"], 5)
    content = torch.load(tmp_path / "other.ckpt", weights_only=True)
    change(run / LAST, lambda c: c.update(content | {"current_model_state": content["state_dict"]}))
    with pytest.raises(ModelError, match=r"last\.ckpt: expected the state of this run, got that of another \("):
        go_on()


def test_moments_of_another_optimiser_are_one_line(run: Path, go_on: GoOn):
    change(run / LAST, lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg=torch.zeros(3)))
    with pytest.raises(ModelError, match=r"got that of another \(moment 0 of the optimiser: expected shape"):
        go_on()


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a: [", b""])
def test_a_folder_that_does_not_say_what_it_began_with(run: Path, go_on: GoOn, content: bytes | None):
    (run / "config.yaml").unlink()
    if content is not None:
        (run / "config.yaml").write_bytes(content)
    with pytest.raises(ModelError, match=r"config\.yaml: expected what the run was begun with") as caught:
        go_on()
    assert "\n" not in str(caught.value)


def test_a_run_that_was_moved_does_not_lose_its_best_network(run: Path, go_on: GoOn, tmp_path: Path):
    moved = shutil.copytree(run, tmp_path / "moved")
    with pytest.raises(ConfigError, match=rf"^resume=true: the run in out={moved} began in {run}; move it back there$"):
        go_on(f"out={moved}")


def test_a_setting_that_an_earlier_version_did_not_know_differs_from_nothing(run: Path, go_on: GoOn):
    path = run / "config.yaml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "clip" not in line))
    go_on()
    assert epochs(run) == 2


def test_a_pruning_goes_on_with_its_own_settings_and_state_alone(
    prune_config: Callable[..., PruneConfig],  # noqa: F811
    tmp_path: Path,
):
    prune(prune_config("pruner=weights", "budget=0.9"))
    for override, said in {
        "budget=0.8": "budget was 0.9 and is 0.8",
        "pruner.decay=0.5": "pruner.decay was 1.0",
    }.items():
        with pytest.raises(ConfigError, match=f"^resume=true: .*{said}"):
            prune(prune_config("pruner=weights", "budget=0.9", override, "resume=true"))
    change(tmp_path / "run" / LAST, lambda content: content["callbacks"].pop("WeightPruning"))
    with pytest.raises(ModelError, match=r"it lacks the state of WeightPruning"):
        prune(prune_config("pruner=weights", "budget=0.9", "resume=true"))
    save_checkpoint(tmp_path / "run" / LAST, build_network(small_config()), ["drawn"], 5)
    with pytest.raises(ModelError, match=r"it lacks optimizer_states"):
        prune(prune_config("pruner=weights", "budget=0.9", "resume=true"))
