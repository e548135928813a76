"""A network that says which crops people prefer: beside the density and the heads, which stay what they were."""

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
from gaze.models.config import CardConfig, ExportConfig, HeadsConfig, PreferenceConfig
from gaze.models.onnx import export_onnx, parity
from gaze.predictor import Predictor
from gaze.pruning.structure.groups import find_groups, find_pinned
from gaze.pruning.structure.surgery import remove
from tests.models.conftest import small_config

PREFERENCE = PreferenceConfig(6, [5])
HEADS = HeadsConfig(6, [5], 0.5)


@pytest.fixture
def preferring(network):
    """With random weights to the end, as what it says before it has learnt is 0."""
    network.add_heads(HEADS)
    network.add_preference(PREFERENCE)
    with torch.no_grad():
        network.preference.layers[-1].weight.normal_()
    return network.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 48, 80, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_all_else_is_the_same_with_and_without(network, images):
    with torch.no_grad():
        network.add_heads(HEADS)
        before = network.outputs(images)
        assert list(before) == ["log_density", "heads"]
        for one, other in zip(before.values(), network.look(images), strict=True):
            assert torch.equal(one, other)
        network.add_preference(PREFERENCE)
        after = network.outputs(images)
    assert list(after) == ["log_density", "heads", "preference"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network.config.preference == PREFERENCE


def test_before_it_learns_it_prefers_nothing(network, images):
    network.add_preference(PREFERENCE)
    with torch.no_grad():
        found = network.outputs(images)["preference"]
    assert found.shape == (2, 2, 6, 10)
    assert not found.any()


def test_the_configuration_builds_it_and_a_checkpoint_brings_it_back(tmp_path, images, preferring):
    built = build_network(replace(small_config(), preference=PREFERENCE))
    assert built.preference.reduce[0].out_channels == 6
    save_checkpoint(tmp_path / "net.ckpt", preferring, ["eyecrowd"], 1)
    again = load_checkpoint(tmp_path / "net.ckpt").network
    with torch.no_grad():
        one, other = preferring.outputs(images), again.outputs(images)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.config == preferring.config


def test_what_prunes_sees_that_it_reads_the_taps(preferring, images, tmp_path):
    readers = {member.layer for group in find_groups(preferring) for member in group.consumers}
    assert {"preference.reduce.0", "preference.reduce.1", "preference.reduce.2", "preference.layers.0"} <= readers
    assert find_pinned(preferring) == []
    for group in find_groups(preferring):
        if group.maps > 2:
            remove(preferring, {group.name: [1]})
    assert preferring.preference.reduce[0].in_channels == preferring.backbone.channels[0]
    save_checkpoint(tmp_path / "net.ckpt", preferring, ["eyecrowd"], 1)
    again = load_checkpoint(tmp_path / "net.ckpt").network
    with torch.no_grad():
        assert torch.equal(preferring.outputs(images)["preference"], again.outputs(images)["preference"])


@pytest.mark.parametrize(
    ("bad", "key"), [(replace(PREFERENCE, reduce=0), "reduce"), (PreferenceConfig(6, [0]), "channels")]
)
def test_bad_settings_are_named(bad, key):
    with pytest.raises(ConfigError, match=rf"model\.preference\.{key}: expected"):
        build_network(replace(small_config(), preference=bad))


def test_parity_looks_at_it_too(preferring, tmp_path):
    photos = [np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)]
    export_onnx(preferring, tmp_path / "net.onnx")
    assert parity(preferring, tmp_path / "net.onnx", photos) < 1e-4
    with torch.no_grad():
        preferring.preference.layers[-1].bias += 0.01
    with pytest.raises(ModelError, match="differs from torch"):
        parity(preferring, tmp_path / "net.onnx", photos)


@pytest.fixture
def exported(preferring, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    write_atomic(tmp_path / "photo.png", encode(Image.fromarray(photo), "PNG"), overwrite=True)
    save_checkpoint(tmp_path / "net.ckpt", preferring, ["eyecrowd"], 1)
    card = CardConfig("1", "MIT", [], "", "", None, None)
    out = tmp_path / "net.onnx"
    write_bundle(ExportConfig(tmp_path / "net.ckpt", out, False, tmp_path / "photo.png", None, True, False, card))
    return out


def test_the_card_says_so_and_a_predictor_tells_it(exported):
    predictor = Predictor(exported)
    assert predictor.card.output == {"stride": 4, "heads": 8, "preference": 8}
    assert predictor.knows_preference
    image = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    density, heads, preference = predictor.look(image)
    assert (heads.shape, preference.shape) == ((5, 6, 8), (2, 6, 8))
    seen = predictor.predict(image)
    assert seen.preference.inside.shape == seen.preference.sides.shape == density.shape
    np.testing.assert_array_equal(seen.preference.inside[::2, ::2], preference[0])


def test_a_card_that_tells_of_it_where_there_is_none_is_refused(exported):
    model = onnx.load(exported)
    kept = [output for output in model.graph.output if output.name != "preference"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, exported)
    card = json.loads(exported.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(exported.read_bytes()).hexdigest()
    exported.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="its card tells of preference, expected an output preference of 2 maps"):
        Predictor(exported)
