"""Learning from another network."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision

import gaze.training.run as fit_module
from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import Draw, GazeDataset
from gaze.data.store import FixationStore
from gaze.data.taught import Taught
from gaze.errors import ConfigError
from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.training.config import DistillConfig
from gaze.training.distillation import Teacher
from gaze.training.losses import information_gain
from gaze.training.run import fit
from tests.models.conftest import small_config
from tests.pruning.conftest import live
from tests.training.conftest import QUIET

pytestmark = QUIET


@pytest.fixture
def teacher():
    """It sees 64 pixels; the student of these tests sees 32."""
    torch.manual_seed(0)
    return Teacher(live(build_network(small_config())), 0.3, progress=False)


@pytest.fixture
def dataset(small_store):
    return GazeDataset([FixationStore(small_store)], "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))


def test_the_loss_on_the_mixed_target_is_the_mixture_of_both_losses(dataset):
    target = dataset[Draw(0)]["target"]
    student = torch.randn(target.shape).flatten().log_softmax(0).reshape(1, *target.shape)
    density = np.random.default_rng(0).random(target.shape).astype(np.float16)
    dataset.taught = Taught([density] * len(dataset), 0.3)
    mixed = dataset[Draw(0)]["target"]
    dataset.taught = Taught([density] * len(dataset), 1.0)
    of_people, of_teacher, of_both = (
        information_gain(student, t[None]) for t in (target, dataset[Draw(0)]["target"], mixed)
    )
    torch.testing.assert_close(of_both, 0.7 * of_people + 0.3 * of_teacher)
    assert mixed.sum().item() == pytest.approx(1, abs=1e-5)


def test_the_teacher_sees_whole_photographs_and_their_mirror_images_at_its_own_size(teacher, dataset):
    densities = teacher.densities(dataset)
    assert [density.shape for density in densities] == [(12, 16), (12, 16), (12, 16), (16, 12)]
    photo = dataset.photo(1, InputRule(64, 16))
    with torch.no_grad():
        straight, mirrored = (teacher.network(image[None])[0].exp() for image in (photo, photo.flip(1)))
    expected = (straight + mirrored.flip(1)).numpy()
    np.testing.assert_allclose(densities[1], expected / expected.max(), atol=1e-3)
    assert not np.allclose(straight, mirrored.flip(1), rtol=0.01)


def test_what_a_network_says_already_the_teacher_leaves_alone(teacher, small_store, make_store):
    stores = [FixationStore(small_store), FixationStore(make_store(("train",), gaze=False, teacher="another 1.0"))]
    dataset = GazeDataset(stores, "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))
    before = dataset[Draw(len(dataset) - 1)]["target"]
    densities = teacher.densities(dataset)
    assert [density is None for density in densities] == [False] * (len(dataset) - 1) + [True]
    dataset.taught = Taught(densities, 0.3)
    assert torch.equal(dataset[Draw(len(dataset) - 1)]["target"], before)


def test_a_training_learns_from_the_teacher_named(train_config, tmp_path):
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "teacher.ckpt", build_network(small_config()), ["drawn"], 5)
    ends = []
    for name, weight in (("alone", 0), ("taught", 0.5), ("again", 0.5)):
        settings = [f"distill={{teacher: {tmp_path / 'teacher.ckpt'}, weight: {weight}}}", f"out={tmp_path / name}"]
        ends.append(load_checkpoint(fit(train_config(*settings, "trainer.max_epochs=1"))).network.state_dict())
    key = "readout.layers.0.weight"
    assert not torch.equal(ends[0][key], ends[1][key])
    assert torch.equal(ends[1][key], ends[2][key])


def scaled(init_scale: float):
    """Makes a Trainer whose steps are those of `16-mixed` on a GPU: autocast to float16 and a scaled loss."""
    make = pl.Trainer

    def trainer(**settings) -> pl.Trainer:
        plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=init_scale))
        return make(**{**settings, "precision": None}, plugins=plugin)

    return trainer


class Watch(pl.Callback):
    """Keeps the loss and a weight of every update."""

    def __init__(self):
        self.losses, self.weights = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_index):
        self.losses.append(float(outputs["loss"]))
        self.weights.append(module.network.readout.layers[0].weight.detach().clone())


@pytest.mark.parametrize(
    ("precision", "scale", "moves"),
    [("bf16-mixed", None, True), ("16-mixed", 2.0**8, True), ("16-mixed", 2.0**100, False)],
)
def test_distillation_runs_under_mixed_precision(teacher, train_config, tmp_path, monkeypatch, precision, scale, moves):
    save_checkpoint(tmp_path / "teacher.ckpt", teacher.network, ["drawn"], 5)
    if scale is not None:
        monkeypatch.setattr(pl, "Trainer", scaled(scale))
    watch, make = Watch(), fit_module.make_trainer
    monkeypatch.setattr(fit_module, "make_trainer", lambda c, o, d, others: make(c, o, d, [*others, watch]))
    fit(train_config(f"distill.teacher={tmp_path / 'teacher.ckpt'}", f"trainer.precision={precision}"))
    assert np.isfinite(watch.losses).all()
    assert all(torch.isfinite(weight).all() for weight in watch.weights)
    moved = [not torch.equal(*pair) for pair in zip(watch.weights, watch.weights[1:], strict=False)]
    assert moved == [moves] * 8  # an update that overflows is left out


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(ConfigError, match=r"distill\.weight: expected 0 to 1"):
        DistillConfig(None, weight).check()
