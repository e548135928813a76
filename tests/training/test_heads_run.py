"""Trainings that learn where heads are: alone on a network that stays as it is, or together with the gaze."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gaze.data.layout import StoreAttributes
from gaze.data.writer import write_store
from gaze.errors import ConfigError
from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import HeadsConfig
from gaze.training.config import TrainConfig
from gaze.training.lightning_module import GazeModule
from gaze.training.run import fit
from tests.conftest import SPLITS, drawn_stimulus
from tests.models.conftest import small_config
from tests.pruning.conftest import live
from tests.training.conftest import QUIET

pytestmark = QUIET
HEADS = "model.heads={reduce: 6, channels: [8], weight: 0.5}"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn photographs; the head is the box around the middle fixations."""

    def with_head(number: int, split: str):
        stimulus = drawn_stimulus(number, split)
        x, y = np.median(stimulus.fixations.x), np.median(stimulus.fixations.y)
        return replace(stimulus, heads=np.array([[x - 13, y - 13, x + 13, y + 13]], np.float32))

    path = tmp_path_factory.mktemp("store") / "labelled.h5"
    attributes = StoreAttributes("labelled", "MIT", "drawn by a test", 4.0, None, True)
    write_store(path, attributes, (with_head(k, split) for k, split in enumerate(SPLITS)))
    return path


@pytest.fixture
def config(train_config: Callable[..., TrainConfig], labelled: Path) -> Callable[..., TrainConfig]:
    def make(*overrides: str) -> TrainConfig:
        return train_config(f"sets.folder.store={labelled}", *overrides)

    return make


@pytest.fixture
def before(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "before.ckpt", live(build_network(small_config())), ["earlier"], 5)
    return tmp_path / "before.ckpt"


def losses(run: Path) -> list[float]:
    with (run / "metrics/version_0/metrics.csv").open() as file:
        return [float(row["val/heads_loss"]) for row in csv.DictReader(file) if row.get("val/heads_loss")]


SETTLED = ["model.finalizer={sigma: 1.0, center_bias: [3, 4]}"]


def test_heads_alone_leave_the_rest_bit_by_bit(config, before, tmp_path):
    alone = ["only=heads", HEADS, *SETTLED, "optim.readout_lr=0.03", "trainer.max_epochs=8", "trainer.patience=20"]
    best = fit(config(f"checkpoint={before}", *alone))
    old, new = load_checkpoint(before), load_checkpoint(best)
    kept = old.network.state_dict()
    for name, value in new.network.state_dict().items():
        assert torch.equal(value, kept[name]) if name in kept else name.startswith("heads."), name
    assert new.trained_on == ["earlier", "folder"]
    found = losses(tmp_path / "run")
    assert found[-1] < found[0]
    score = torch.load(best, weights_only=True)["callbacks"]
    best_score = next(state["best_model_score"] for key, state in score.items() if "ModelCheckpoint" in key)
    assert float(best_score) == pytest.approx(min(found), abs=1e-5)


def test_both_are_learnt_together_and_the_checkpoint_goes_on(config, tmp_path):
    first = fit(config(HEADS, "trainer.max_epochs=2"))
    assert load_checkpoint(first).network.heads is not None
    assert len(losses(tmp_path / "run")) == 2
    on = fit(config(f"checkpoint={first}", "trainer.max_epochs=1", f"out={tmp_path / 'on'}"))
    assert load_checkpoint(on).network.config.heads == load_checkpoint(first).network.config.heads
    with pytest.raises(ConfigError, match=r"model\.heads\.reduce: expected 6, as checkpoint=.*got 7"):
        fit(config(f"checkpoint={first}", HEADS.replace("6", "7"), f"out={tmp_path / 'other'}"))


def test_what_cannot_be_learnt_is_refused_and_leaves_nothing(config, train_config, before, tmp_path):
    for settings, message in (
        ((config, HEADS, "only=heads"), "checkpoint: expected a network to be left as it is"),
        ((config, f"checkpoint={before}", *SETTLED, "only=heads"), r"model\.heads: expected \{reduce"),
        ((train_config, f"checkpoint={before}", *SETTLED, HEADS, "only=heads"), "none are labelled in folder"),
        ((train_config, HEADS), "data: the network says where heads are, and none are labelled in folder"),
    ):
        make, *overrides = settings
        with pytest.raises(ConfigError, match=message) as caught:
            fit(make(*overrides))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_live_teacher_that_knows_heads_takes_the_place_of_labels(train_config, before, tmp_path):
    teacher = load_checkpoint(before).network
    teacher.add_heads(HeadsConfig(4, [4], 0.5))
    save_checkpoint(tmp_path / "teacher.ckpt", teacher, ["earlier"], 5)
    taught = [HEADS, "distill.live=true", "trainer.max_epochs=1"]
    best = fit(train_config(*taught, f"distill.teacher={tmp_path / 'teacher.ckpt'}"))
    assert load_checkpoint(best).network.heads is not None
    with pytest.raises(ConfigError, match="or a live teacher that knows heads"):
        fit(train_config(*taught, f"distill.teacher={before}", f"out={tmp_path / 'other'}"))


def test_images_that_nobody_labelled_teach_nothing_of_heads():
    network = build_network(replace(small_config(), heads=HeadsConfig(6, [8], 0.5))).train()
    module = GazeModule(network, None, ["a"], [np.zeros((3, 4), np.float32)], 1)  # type: ignore[arg-type]
    module.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    batch = {
        "image": torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8),
        "target": torch.full((2, 16, 16), 1 / 256),
        "heads": torch.tensor([[[0.1, 0.1, 0.9, 0.9, 1.0]], [[torch.nan] * 5]]),
        "labelled": torch.tensor([False, False]),
    }
    module._loss(batch).backward()
    gradients = [parameter.grad for parameter in network.heads.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
    module._loss(batch | {"labelled": torch.tensor([True, False])}).backward()
    assert all(g.any() for g in (parameter.grad for parameter in network.heads.parameters()))
