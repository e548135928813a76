"""Learning from other networks."""

import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from pytorch_lightning.plugins import MixedPrecision

import gaze.training.run as fit_module
from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import Draw, GazeDataset
from gaze.data.store import FixationStore, photograph
from gaze.data.taught import Taught
from gaze.errors import ConfigError, ModelError, OutputError
from gaze.framing.heads import Heads
from gaze.geometry import Size
from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import HeadsConfig, resized
from gaze.predictor import Predictor, network_size
from gaze.training.config import DistillConfig
from gaze.training.distillation import Distillation
from gaze.training.heads_loss import said_of_heads
from gaze.training.lightning_module import GazeModule
from gaze.training.losses import information_gain
from gaze.training.run import fit
from gaze.training.teacher_maps import maps_key, maps_path, teacher_maps
from gaze.training.teachers import CheckpointTeacher, mean_densities, open_teacher, sha256_of
from tests.models.conftest import small_config
from tests.pruning.conftest import live
from tests.training.conftest import QUIET

pytestmark = QUIET

ONCE = ["trainer.max_epochs=1"]


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a teacher that sees `side` pixels; the student of these tests sees 32."""

    def make(side: int = 64, seed: int = 0) -> Path:
        torch.manual_seed(seed)
        network = live(build_network(resized(small_config(), side)))
        save_checkpoint(tmp_path / f"teacher{side}_{seed}.ckpt", network, ["drawn"], 5)
        return tmp_path / f"teacher{side}_{seed}.ckpt"

    return make


@pytest.fixture
def teacher(checkpoint):
    return Distillation([open_teacher("distill.teacher", str(checkpoint()))], 0.3, progress=False)


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


def densities_of(distillation, dataset):
    said: list[str] = []
    return distillation.densities(dataset, said.append), said


def photo(dataset, index: int, side: int) -> torch.Tensor:
    """The whole photograph of an entry, as a teacher of so many pixels sees it."""
    image = photograph(dataset.stores[0][dataset.entries[index][1]])
    size = network_size(Size(image.shape[1], image.shape[0]), side, 16)
    return torch.from_numpy(cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_AREA))


def test_the_teacher_sees_whole_photographs_and_their_mirror_images_at_its_own_size(teacher, dataset):
    densities, _ = densities_of(teacher, dataset)
    assert [density.shape for density in densities] == [(12, 16), (12, 16), (12, 16), (16, 12)]
    seen = photo(dataset, 1, 64)
    with torch.no_grad():
        straight, mirrored = (teacher.teachers[0].network(image[None])[0].exp() for image in (seen, seen.flip(1)))
    expected = (straight + mirrored.flip(1)).numpy()
    np.testing.assert_allclose(densities[1], expected / expected.max(), atol=1e-3)
    assert not np.allclose(straight, mirrored.flip(1), rtol=0.01)


def test_an_ensemble_is_the_mean_of_the_densities_that_each_teacher_predicts_at_its_own_size(
    checkpoint, dataset, bright_model
):
    names = [str(checkpoint(64, 0)), str(checkpoint(32, 1)), str(bright_model)]
    teachers = [open_teacher("distill.teacher", name) for name in names]
    together, _ = densities_of(Distillation(teachers, 0.9, progress=False), dataset)
    each = [densities_of(Distillation([teacher], 0.9, progress=False), dataset)[0] for teacher in teachers]
    for index, found in enumerate(together):
        alone = [maps[index].astype(float) for maps in each]
        rows, columns = found.shape
        assert (rows, columns) == alone[2].shape  # 320 pixels, the largest
        assert len({density.shape for density in alone}) == 3
        fitted = [cv2.resize(density, (columns, rows), interpolation=cv2.INTER_LINEAR) for density in alone]
        mean = sum(density / density.sum() for density in fitted)
        np.testing.assert_allclose(found, mean / mean.max(), atol=2e-3)
        assert np.abs(found - fitted[2] / fitted[2].max()).max() > 0.01


def test_what_teachers_say_is_computed_once_and_kept_beside_the_store(checkpoint, small_store, tmp_path, monkeypatch):
    path = shutil.copy(small_store, tmp_path / "set.h5")
    dataset = GazeDataset([FixationStore(path)], "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))
    names = [str(checkpoint(64, 0)), str(checkpoint(32, 1))]

    def ask(*names: str):
        return densities_of(Distillation([open_teacher("t", name) for name in names], 0.5, False), dataset)

    first, said = ask(*names)
    files = sorted(tmp_path.glob("set.teacher-*.npz"))
    assert len(files) == 2
    assert [line.split(": ")[1] for line in said] == [str(f) for f in sorted(files, key=lambda f: f.stat().st_mtime_ns)]
    assert all("is kept there" in line for line in said)
    monkeypatch.setattr(CheckpointTeacher, "density", None)
    again, said = ask(*reversed(names))
    assert all("is read from there" in line for line in said)
    for one, other in zip(first, again, strict=True):
        assert one.dtype == np.float16
        np.testing.assert_array_equal(one, other)
    assert sorted(tmp_path.glob("set.teacher-*.npz")) == files
    assert not list(tmp_path.glob(".gaze*"))


def test_other_teachers_stores_and_sizes_have_maps_of_their_own(checkpoint, small_store, make_store, tmp_path):
    path = shutil.copy(small_store, tmp_path / "set.h5")
    teacher = open_teacher("t", str(checkpoint(64, 0)))
    keys = {maps_key(teacher, sha256_of(path))}
    keys.add(maps_key(open_teacher("t", str(checkpoint(64, 1))), sha256_of(path)))
    keys.add(maps_key(teacher, sha256_of(make_store(("train", "val")))))
    teacher.rule = InputRule(64, 32)
    keys.add(maps_key(teacher, sha256_of(path)))
    teacher.rule = InputRule(96, 16)
    keys.add(maps_key(teacher, sha256_of(path)))
    assert len(keys) == 5
    assert len({maps_path(FixationStore(path), key) for key in keys}) == 5


def an_array_alone(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3, np.float16))


def resaved(**changes):
    """Writes a file of maps anew with other values."""

    def change(path: Path) -> None:
        with np.load(path) as file:
            values = {name: file[name] for name in file.files}
        np.savez(path, **{**values, **{name: new(values[name]) for name, new in changes.items()}})

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b"PK no archive"),
        lambda path: path.write_bytes(b""),
        an_array_alone,
        resaved(key=lambda key: np.array("of another")),
        resaved(shapes=lambda shapes: shapes[:-1]),
        resaved(shapes=lambda shapes: shapes * 2),
        resaved(shapes=lambda shapes: -shapes),
        resaved(values=lambda values: values[:-1]),
        resaved(values=lambda values: values * np.float16(np.nan)),
        resaved(values=lambda values: values * np.float16(0)),
        resaved(values=lambda values: -values),
        resaved(values=lambda values: values.astype(np.float32)),
        resaved(values=lambda values: np.array([object()])),
    ],
)
def test_maps_that_are_damaged_are_made_anew_and_that_is_said(teacher, small_store, tmp_path, damage):
    path = shutil.copy(small_store, tmp_path / "set.h5")
    dataset = GazeDataset([FixationStore(path)], "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))
    expected, _ = densities_of(teacher, dataset)
    (kept,) = tmp_path.glob("*.npz")
    damage(kept)
    found, said = densities_of(teacher, dataset)
    assert [line.rpartition(" ")[2] for line in said] == ["anew", "there"]
    assert said[0] == f"teacher: {kept}: damaged, or another file; made anew"
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "is read from there" in densities_of(teacher, dataset)[1][0]


def test_where_maps_cannot_be_kept_that_is_said_and_the_run_goes_on(teacher, dataset, monkeypatch):
    def refuse(path, overwrite=True):
        raise OutputError(f"{path}: cannot be written (Permission denied)")

    monkeypatch.setattr("gaze.training.teacher_maps.replacing", refuse)
    monkeypatch.setattr("gaze.training.teacher_maps.maps_path", lambda store, key: Path("nowhere/set.npz"))
    densities, said = densities_of(teacher, dataset)
    assert len(densities) == len(dataset)
    assert len(said) == 1
    assert re.match(r"teacher: nowhere/set\.npz: cannot be written \(Permission denied\); .* is not kept$", said[0])


def test_a_set_without_training_photographs_asks_nobody(teacher, make_store):
    store = FixationStore(make_store(("val", "test")))
    assert teacher_maps(teacher.teachers, store, pytest.fail, False) == [[]]


def test_what_a_network_says_already_the_teacher_leaves_alone(teacher, small_store, make_store):
    stores = [FixationStore(small_store), FixationStore(make_store(("train",), gaze=False, teacher="another 1.0"))]
    dataset = GazeDataset(stores, "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))
    before = dataset[Draw(len(dataset) - 1)]["target"]
    densities, _ = densities_of(teacher, dataset)
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


def test_a_training_learns_from_an_ensemble_of_checkpoints_exports_and_shipped_models(
    train_config, checkpoint, bright_model, tmp_path, capsys
):
    ends = []
    for name, several in (("three", [checkpoint(), bright_model, "fast"]), ("two", [checkpoint(), bright_model])):
        fit(train_config(f"distill.teacher=[{','.join(map(str, several))}]", f"out={tmp_path / name}", *ONCE))
        ends.append(load_checkpoint(tmp_path / name / "best.ckpt").network.state_dict()["readout.layers.0.weight"])
        assert OmegaConf.load(tmp_path / name / "config.yaml").distill.teacher == list(map(str, several))
    assert not torch.equal(*ends)
    assert capsys.readouterr().err.count("is read from there") >= 2  # the second run asks two of the three again


def test_the_paper_s_mixture_is_a_name_and_asks_for_its_teachers(train_config, checkpoint):
    config = train_config("distill=theis2018", f"distill.teacher=[{checkpoint()},fast]")
    assert (config.distill.weight, len(config.distill.teachers)) == (0.9, 2)
    with pytest.raises(ConfigError, match=r"^distill\.teacher: a value is required"):
        train_config("distill=theis2018")


@pytest.mark.parametrize(
    ("teacher", "error", "message"),
    [
        ("nobody", ConfigError, "distill.teacher: expected fast, quality, or an .onnx or .ckpt file that exists, got"),
        ("[fast,none.onnx]", ConfigError, "distill.teacher: expected .* got 'none.onnx'"),
        ("[fast,none.ckpt]", ModelError, "none.ckpt: no such checkpoint"),
    ],
)
def test_a_teacher_that_is_not_there_is_one_line_before_anything_is_written(
    train_config, tmp_path, teacher, error, message
):
    with pytest.raises(error, match=message) as caught:
        fit(train_config(f"distill.teacher={teacher}"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("teacher", [[], "", ["a.ckpt", ""], ["a.ckpt", 1], 5, {"a": "b.ckpt"}])
def test_what_names_no_teacher_is_refused(teacher):
    with pytest.raises(ConfigError, match=r"^distill\.teacher: expected a network or a list of networks, or null, got"):
        DistillConfig(teacher, 0.5, live=False).check()


def test_one_teacher_is_a_list_of_one():
    assert DistillConfig("a.ckpt", 0.5, False).teachers == DistillConfig(["a.ckpt"], 0.5, False).teachers == ["a.ckpt"]
    assert DistillConfig(Path("a.ckpt"), 0.5, False).teachers == ["a.ckpt"]
    assert DistillConfig(None, 0.5, False).teachers == []


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
    save_checkpoint(tmp_path / "teacher.ckpt", teacher.teachers[0].network, ["drawn"], 5)
    if scale is not None:
        monkeypatch.setattr(pl, "Trainer", scaled(scale))
    watch, make = Watch(), fit_module.make_trainer
    monkeypatch.setattr(fit_module, "make_trainer", lambda c, o, d, others, goal: make(c, o, d, [*others, watch], goal))
    fit(train_config(f"distill.teacher={tmp_path / 'teacher.ckpt'}", f"trainer.precision={precision}"))
    assert np.isfinite(watch.losses).all()
    assert all(torch.isfinite(weight).all() for weight in watch.weights)
    moved = [not torch.equal(*pair) for pair in zip(watch.weights, watch.weights[1:], strict=False)]
    assert moved == [moves] * 8  # an update that overflows is left out


class Examples(pl.Callback):
    """Keeps the images and targets that a network learns from, in the order of the batches."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, module, batch, batch_index):
        self.seen.append((batch["image"].clone(), batch["target"].clone()))


def learnt_from(train_config, monkeypatch, *settings: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    watch, make = Examples(), fit_module.make_trainer
    monkeypatch.setattr(fit_module, "make_trainer", lambda c, o, d, others, goal: make(c, o, d, [*others, watch], goal))
    fit(train_config(*ONCE, *settings))
    monkeypatch.undo()
    return watch.seen


def test_live_teachers_look_at_each_varied_example_as_the_student_sees_it(
    train_config, checkpoint, bright_model, tmp_path, monkeypatch
):
    names = [checkpoint(32, 1), checkpoint(64, 0), bright_model]
    varied = ["augment.min_scale=0.5", "augment.crop=1", "augment.color=0.3"]
    alone = learnt_from(train_config, monkeypatch, *varied, f"out={tmp_path / 'alone'}")
    teach = [f"distill.teacher=[{','.join(map(str, names))}]", "distill.weight=0.7", "distill.live=true"]
    taught = learnt_from(train_config, monkeypatch, *varied, *teach, f"out={tmp_path / 'taught'}")
    assert len(alone) == len(taught) > 0
    teachers = [open_teacher("distill.teacher", str(name)) for name in names]
    for (image, people), (same, target) in zip(alone, taught, strict=True):
        assert torch.equal(image, same)
        for example, own, mixed in zip(image, people, target, strict=True):
            seen = example.numpy()
            found = [cv2.resize(teacher.density(seen), own.shape[::-1]) for teacher in teachers]
            mean = np.mean([density / density.sum() for density in found], 0)
            np.testing.assert_allclose(mixed.numpy(), 0.3 * own.numpy() + 0.7 * mean, atol=5e-4)
            assert not torch.allclose(mixed, own, atol=2e-3)


def test_what_a_network_said_before_is_replaced_by_what_live_teachers_say(
    train_config, checkpoint, make_store, monkeypatch
):
    teacher, store = checkpoint(64, 1), make_store(("train",) * 4, gaze=False, teacher="another 1.0")
    seen = learnt_from(
        train_config, monkeypatch, "data=[folder,taught]", f"sets.taught.store={store}", "loader.weights={folder: 0.5}",
        f"distill.teacher={teacher}", "distill.weight=0.001", "distill.live=true",
    )  # fmt: skip
    network = open_teacher("distill.teacher", str(teacher)).network
    agree = []
    for image, target in seen:
        with torch.no_grad():
            taught = mean_densities([network(image).exp()], target.shape[1:])
        agree += [bool(torch.allclose(*pair, atol=2e-4)) for pair in zip(target, taught, strict=True)]
    assert sorted(agree) == [False] * 2 + [True] * 4


HEADS = HeadsConfig(4, [4], 0.5)


def test_a_live_teacher_teaches_where_heads_are(checkpoint, small_store):
    gaze, heads = checkpoint(32), checkpoint(64)
    network = load_checkpoint(heads).network
    network.add_heads(HEADS)
    save_checkpoint(heads, network, ["drawn"], 5)
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    density = torch.full((3, 8, 8), 1 / 64)
    taught = taught_by([gaze, heads], images, density)
    seen = F.interpolate(images.permute(0, 3, 1, 2).float(), size=(64, 64), mode="bilinear", antialias=True)
    with torch.no_grad():
        said = network.eval().look(seen.round().byte().permute(0, 2, 3, 1))[1]
    torch.testing.assert_close(taught["taught_heads"], said_of_heads(said))
    assert taught["heads_weight"].tolist() == pytest.approx([0.3, 1.0, 0.3])
    assert "taught_heads" not in taught_by([gaze], images, density)


def test_a_shipped_model_teaches_where_heads_are_too():
    images = torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8)
    taught = taught_by(["fast"], images, torch.full((2, 12, 16), 1 / 192))["taught_heads"]
    predictor = Predictor("fast")
    for image, found in zip(images.numpy(), taught, strict=True):
        cells = said_of_heads(torch.from_numpy(predictor.look(image)[1])[None])[0]
        torch.testing.assert_close(found, cells)
        density, heads, _ = predictor.look(image)
        read, expected = Heads.read(heads, density), predictor.predict(image).heads
        np.testing.assert_array_equal(read.boxes, expected.boxes)


def taught_by(names, images, density) -> dict[str, torch.Tensor]:
    """A batch of which the first and the last image are labelled, as live teachers leave it."""
    teachers = [open_teacher("distill.teacher", str(name)) for name in names]
    callback = Distillation(teachers, 0.3, progress=False, live=True)
    callback.weights = torch.tensor([0.3])
    labelled, store = torch.tensor([True, False, True])[: len(images)], torch.zeros(len(images), dtype=torch.int64)
    batch = {"image": images, "target": density, "store": store, "labelled": labelled}
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(forward_context=nullcontext))
    callback.on_train_batch_start(trainer, None, batch, 0)
    return batch


def test_a_network_learns_of_heads_from_a_teacher_where_nobody_labelled_any():
    torch.manual_seed(0)
    network = build_network(replace(small_config(), heads=HEADS)).train()
    module = GazeModule(network, None, ["a"], [np.zeros((3, 4), np.float32)], 1)  # type: ignore[arg-type]
    batch = {
        "image": torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8),
        "target": torch.full((2, 16, 16), 1 / 256),
        "heads": torch.full((2, 1, 5), torch.nan),
        "labelled": torch.tensor([False, False]),
    }
    assert not any(p.grad is not None and p.grad.any() for p in gradients_of(module, batch))
    said = torch.rand(2, 5, 3, 4)
    batch |= {"taught_heads": said, "heads_weight": torch.ones(2)}
    assert all(p.grad.any() for p in gradients_of(module, batch))


def gradients_of(module: GazeModule, batch: dict[str, torch.Tensor]) -> list[torch.nn.Parameter]:
    """The parameters of the heads readout after a step back from the loss."""
    module.zero_grad()
    module.losses(batch).sum().backward()
    return list(module.network.heads.parameters())


def test_live_teachers_leave_no_files_beside_the_store(train_config, checkpoint, small_store):
    before = set(small_store.parent.iterdir())
    fit(train_config(*ONCE, f"distill.teacher={checkpoint(32)}", "distill.live=true"))
    assert {path.suffix for path in set(small_store.parent.iterdir()) - before} <= {""}


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(ConfigError, match=r"distill\.weight: expected 0 to 1"):
        DistillConfig(None, weight, live=False).check()
