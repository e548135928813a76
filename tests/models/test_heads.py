"""A network that says where heads are: beside the density, which stays what it was."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from gaze.errors import ConfigError, ModelError
from gaze.files import write_atomic
from gaze.images import encode
from gaze.models import build_network
from gaze.models.bundle import write_bundle
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import CardConfig, ExportConfig, HeadsConfig
from gaze.models.onnx import export_onnx, parity, rounded
from gaze.predictor import Predictor, open_session
from gaze.pruning.structure.groups import find_groups, find_pinned
from gaze.pruning.structure.surgery import remove
from tests.models.conftest import small_config

HEADS = HeadsConfig(6, [5], 0.5)


@pytest.fixture
def with_heads(network):
    network.add_heads(HEADS)
    return network.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 48, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_density_is_the_same_with_and_without(network, images):
    with torch.no_grad():
        before = network(images)
        network.add_heads(HEADS)
        density, heads = network.look(images)
        assert torch.equal(before, density)
        assert torch.equal(before, network(images))
    assert heads.shape == (2, 5, 6, 10)
    assert network.config.heads == HEADS


@pytest.mark.parametrize("reduce", [6, None])
def test_the_configuration_builds_it_and_a_checkpoint_brings_it_back(tmp_path, images, reduce):
    network = build_network(replace(small_config(), heads=replace(HEADS, reduce=reduce))).eval()
    save_checkpoint(tmp_path / "net.ckpt", network, ["eyecrowd"], 1)
    again = load_checkpoint(tmp_path / "net.ckpt").network
    with torch.no_grad():
        for one, other in zip(network.look(images), again.look(images), strict=True):
            assert torch.equal(one, other)
    assert again.config == network.config


@pytest.mark.parametrize(
    ("taps", "shape"), [(1, (2, 5, 2, 3)), (2, (2, 5, 3, 5)), (3, (2, 5, 6, 10)), (9, (2, 5, 6, 10))]
)
def test_it_reads_the_coarsest_taps_alone(network, images, taps, shape, tmp_path):
    network.add_heads(replace(HEADS, taps=taps))
    readers = {member.layer for group in find_groups(network) for member in group.consumers}
    assert {f"heads.reduce.{n}" for n in range(3)} & readers == {f"heads.reduce.{n}" for n in range(min(3, taps))}
    save_checkpoint(tmp_path / "net.ckpt", network.eval(), ["eyecrowd"], 1)
    with torch.no_grad():
        expected = network.look(images)
        assert expected[1].shape == shape
        for one, other in zip(expected, load_checkpoint(tmp_path / "net.ckpt").network.look(images), strict=True):
            assert torch.equal(one, other)


SHARED = HeadsConfig(None, [5], 0.5, shared=True)


def test_it_reads_what_the_readout_has_joined(network, images, tmp_path):
    with torch.no_grad():
        before = network(images)
        network.add_heads(SHARED)
        density, heads = network.look(images)
        joined = network.readout.join(network.backbone(images))
        assert torch.equal(before, density)
        assert torch.equal(heads, network.heads.read(joined))
    assert heads.shape == (2, 5, 6, 10)
    readers = {member.layer for group in find_groups(network) for member in group.consumers}
    assert {"heads.layers.0", "heads.layers.1", "readout.layers.0"} <= readers
    for group in find_groups(network):
        if group.maps > 2:
            remove(network, {group.name: [0]})
    save_checkpoint(tmp_path / "net.ckpt", network, ["eyecrowd"], 1)
    again = load_checkpoint(tmp_path / "net.ckpt").network
    assert again.heads.layers[0].in_channels == again.readout.layers[0].in_channels < joined.shape[1]
    with torch.no_grad():
        for one, other in zip(network.look(images), again.look(images), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("settings", [{"reduce": 6}, {"taps": 1}])
def test_what_shares_reads_nothing_of_its_own(settings):
    (key,) = settings
    with pytest.raises(ConfigError, match=rf"model\.heads\.{key}: expected null, as it is shared"):
        build_network(replace(small_config(), heads=replace(SHARED, **settings)))


def test_before_training_few_cells_say_head(with_heads, images):
    with torch.no_grad():
        assert with_heads.look(images)[1][:, 0].sigmoid().mean() < 0.3


def test_bad_settings_are_named():
    for heads, message in (
        (replace(HEADS, reduce=0), "reduce"),
        (replace(HEADS, channels=[0]), "channels"),
        (replace(HEADS, weight=0), "weight"),
        (replace(HEADS, taps=0), "taps"),
    ):
        with pytest.raises(ConfigError, match=rf"model\.heads\.{message}: expected"):
            build_network(replace(small_config(), heads=heads))


def test_what_prunes_sees_that_it_reads_the_taps(with_heads):
    readers = {member.layer for group in find_groups(with_heads) for member in group.consumers}
    assert {"heads.reduce.0", "heads.reduce.1", "heads.reduce.2", "heads.layers.0", "heads.layers.1"} <= readers
    assert find_pinned(with_heads) == []


def test_a_pruned_network_keeps_it_and_comes_back(with_heads, images, tmp_path):
    before = with_heads.heads.reduce[0].in_channels
    for group in find_groups(with_heads):
        if group.maps > 2:
            remove(with_heads, {group.name: [1]})
    assert with_heads.heads.reduce[0].in_channels < before
    assert with_heads.heads.reduce[0].in_channels == with_heads.backbone.channels[0]
    with torch.no_grad():
        expected = with_heads.look(images)
        save_checkpoint(tmp_path / "net.ckpt", with_heads, ["eyecrowd"], 1)
        again = load_checkpoint(tmp_path / "net.ckpt").network
        for one, other in zip(expected, again.look(images), strict=True):
            assert torch.equal(one, other)


def test_a_pruned_network_can_be_given_it(network, images):
    for group in find_groups(network):
        if group.maps > 2:
            remove(network, {group.name: [0]})
    network.add_heads(HEADS)
    with torch.no_grad():
        assert network.look(images)[1].shape == (2, 5, 6, 10)


@pytest.fixture
def photos() -> list[np.ndarray]:
    return [
        np.random.default_rng(i).integers(0, 256, (*shape, 3), np.uint8) for i, shape in enumerate([(60, 80), (90, 40)])
    ]


@pytest.mark.parametrize("heads", [SHARED, replace(HEADS, taps=1), replace(HEADS, taps=2)])
def test_the_export_of_other_heads_says_the_same(network, heads, photos, tmp_path):
    network.add_heads(heads)
    export_onnx(network.eval(), tmp_path / "net.onnx")
    assert parity(network, tmp_path / "net.onnx", photos) < 1e-4


def test_the_export_has_both_outputs_in_half_precision(with_heads, photos, images, tmp_path):
    network, path = rounded(with_heads), tmp_path / "net.onnx"
    export_onnx(network, path)
    assert parity(network, path, photos) < 1e-4
    session = open_session(path.read_bytes(), path, threads=1)
    found = session.run(["log_density", "heads"], {"image": images.numpy()})
    with torch.no_grad():
        for one, other in zip(found, network.look(images), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4)
    halves = [t.name for t in onnx.load(path).graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert any(".heads.reduce.0" in name for name in halves)


def test_parity_looks_at_the_heads_too(with_heads, photos, tmp_path):
    export_onnx(with_heads, tmp_path / "net.onnx")
    with torch.no_grad():
        with_heads.heads.layers[-1].bias += 0.01
    with pytest.raises(ModelError, match="differs from torch"):
        parity(with_heads, tmp_path / "net.onnx", photos)


@pytest.fixture
def exported(with_heads, photos, tmp_path):
    write_atomic(tmp_path / "photo.png", encode(Image.fromarray(photos[0]), "PNG"), overwrite=True)
    save_checkpoint(tmp_path / "net.ckpt", with_heads, ["eyecrowd"], 1)
    card = CardConfig("1", "MIT", [], "", "", None, None)
    out = tmp_path / "net.onnx"
    write_bundle(ExportConfig(tmp_path / "net.ckpt", out, False, tmp_path / "photo.png", None, True, False, card))
    return out


def test_the_card_says_so_and_a_predictor_tells_them(exported, photos):
    assert json.loads(exported.with_suffix(".json").read_text())["output"] == {"stride": 4, "heads": 8}
    predictor = Predictor(exported)
    assert predictor.knows_heads
    seen = predictor.predict(photos[0])
    assert np.array_equal(seen.density, predictor.density(photos[0]))
    assert seen.heads is not None
    assert 0 < seen.heads.gaze.sum() <= 1


def test_a_card_that_tells_of_heads_where_there_are_none_is_refused(network, exported):
    network.heads = None
    export_onnx(network, exported)
    card = json.loads(exported.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(exported.read_bytes()).hexdigest()
    exported.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="card tells of heads, expected an output heads of 5 maps"):
        Predictor(exported)
    del card["output"]["heads"]
    exported.with_suffix(".json").write_text(json.dumps(card))
    assert Predictor(exported).predict(np.zeros((40, 60, 3), np.uint8)).heads is None
