import shutil
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from gaze.data.store import FixationStore
from gaze.errors import ConfigError, DataError, ModelError
from gaze.evaluation.sources import open_source
from gaze.geometry import Size
from gaze.images import decode
from gaze.predictor import Predictor, fit_log_density, network_size


@pytest.fixture
def stimuli(small_store):
    store = FixationStore(small_store)
    return [store[int(i)] for i in store.indices("test")]


def test_an_export_predicts_what_the_predictor_does(bright_model, stimuli):
    source = open_source(str(bright_model), None)
    maps = source.predict(stimuli)
    expected = Predictor(bright_model).log_density(decode(stimuli[0].image))
    assert np.allclose(maps[0], expected, atol=1e-6)
    assert [m.shape for m in maps] == [(s.height, s.width) for s in stimuli]
    assert source.is_density
    assert source.facts["version"] == "7"


def test_a_checkpoint_predicts_in_batches_of_one_size(tmp_path, stimuli):
    torch = pytest.importorskip("torch")
    from gaze.models import ModelConfig, build_network
    from gaze.models.config import BackboneConfig, FinalizerConfig, InputConfig, ReadoutConfig

    torch.manual_seed(0)
    config = ModelConfig(
        "tiny",
        InputConfig(64, 16),
        BackboneConfig("test_efficientnet", [1, 2], "none", False, None, []),
        ReadoutConfig(None, [4, 1]),
        FinalizerConfig(2.0, [3, 4]),
    )
    network = build_network(config).eval()
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    (tmp_path / "mine").mkdir()
    torch.save({"model": asdict(config), "state_dict": state, "trained_on": ["osie"]}, tmp_path / "mine/best.ckpt")
    source = open_source(str(tmp_path / "mine/best.ckpt"), None)
    assert source.trained_on == ("osie",)
    together, alone = source.predict(stimuli), [source.predict([s])[0] for s in stimuli]
    assert {s.width for s in stimuli} == {48, 64}  # so there are two batches
    for one, other, s in zip(together, alone, stimuli, strict=True):
        assert np.allclose(one, other, atol=1e-4)
        size = network_size(Size(s.width, s.height), 64, 16)
        seen = cv2.resize(decode(s.image), (size.width, size.height), interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            coarse = network(torch.from_numpy(seen)[None])[0].numpy()
        assert np.allclose(one, fit_log_density(coarse, Size(s.width, s.height)), atol=1e-4)
    assert (source.name, source.facts["name"], source.is_density) == ("mine", "tiny", True)


def test_several_networks_are_the_mean_of_their_densities(bright_model, stimuli):
    alone = [open_source(name, None) for name in (str(bright_model), "fast")]
    source = open_source([str(bright_model), "fast"], None)
    found = source.predict(stimuli)
    for log_density, one, other in zip(found, *(each.predict(stimuli) for each in alone), strict=True):
        assert np.allclose(np.exp(log_density), (np.exp(one) + np.exp(other)) / 2, rtol=1e-4)
        assert np.exp(log_density).sum() == pytest.approx(1, abs=1e-4)
        assert not np.allclose(log_density, one, atol=0.1)
        assert log_density.dtype == np.float32
    assert (source.name, source.is_density) == ("mean of 2 networks", True)
    assert source.facts == {"networks": [each.facts for each in alone]}
    assert source.trained_on == ("eyecrowd", "osie", "scene500")
    assert open_source(["fast"], None).facts == alone[1].facts


def test_a_folder_of_arrays_and_pictures(tmp_path, stimuli):
    random = np.random.default_rng(0)
    array = random.random((48, 64))
    np.save(tmp_path / "007.npy", array.astype(np.float32).T)
    for s in stimuli[1:]:
        small = random.integers(0, 65536, (s.height // 2, s.width // 2), dtype=np.uint16)
        cv2.imwrite(str(tmp_path / s.name), small)
    source = open_source(None, str(tmp_path))
    maps = source.predict(stimuli)
    assert np.allclose(maps[0], array.T, atol=1e-6)
    assert [m.shape for m in maps] == [(s.height, s.width) for s in stimuli]
    assert maps[1].max() > 255  # 16 bits survive
    assert not source.is_density


@pytest.mark.parametrize(
    "content",
    [
        np.full((4, 4), -1.0),
        np.zeros((4, 4)),
        np.full((4, 4), np.nan),
        np.zeros((4, 4, 3)),
        np.array([object()]),
        b"no array",
        b"",
    ],
    ids=["negative", "zero", "nan", "colour", "pickle", "text", "empty"],
)
def test_a_bad_map_is_an_error_that_names_the_file(tmp_path, stimuli, content):
    path = tmp_path / "007.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(DataError, match=r"007\.npy: ") as caught:
        open_source(None, str(tmp_path)).predict(stimuli[:1])
    assert "\n" not in str(caught.value)


def test_a_map_that_is_missing_is_an_error_that_says_what_was_expected(tmp_path, stimuli):
    with pytest.raises(DataError, match=r"no map for 007\.png; expected 007\.npy or 007\.png"):
        open_source(None, str(tmp_path)).predict(stimuli[:1])


def test_what_cannot_be_opened(tmp_path, bright_model):
    with pytest.raises(ConfigError, match="network, maps: give one of the two"):
        open_source(str(bright_model), str(tmp_path))
    with pytest.raises(ConfigError, match=r"network: expected fast, quality or a file \.onnx or \.ckpt, got model\.pt"):
        open_source("model.pt", None)
    with pytest.raises(DataError, match="no such folder"):
        open_source(None, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"model: expected .* an \.onnx file that exists, got .*none\.onnx"):
        open_source(str(tmp_path / "none.onnx"), None)


def test_a_shipped_model_is_opened_by_name(bright_model, tmp_path, monkeypatch):
    monkeypatch.setattr("gaze.weights._FOLDER", tmp_path)
    with pytest.raises(ModelError, match="model quality: this installation lacks"):
        open_source("quality", None)
    for suffix in (".onnx", ".json"):
        shutil.copy(bright_model.with_suffix(suffix), tmp_path / f"quality{suffix}")
    assert open_source("quality", None).facts == open_source(str(bright_model), None).facts
