import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import gaze
import gaze.weights
from gaze.card import ModelCard
from gaze.errors import ConfigError, ImageError, ModelError
from gaze.geometry import Size
from gaze.predictor import Predictor, fit_log_density, network_size, saliency
from gaze.weights.external_data import has_external_data


@pytest.fixture(scope="module")
def predictor(bright_model: Path) -> Predictor:
    return Predictor(bright_model)


@pytest.fixture
def copy(bright_model: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    shutil.copy(bright_model.with_suffix(".json"), tmp_path / "copy.json")
    return Path(shutil.copy(bright_model, tmp_path / "copy.onnx"))


def edit(model: Path, **changes: Any) -> None:
    card = json.loads(model.with_suffix(".json").read_text()) | changes
    model.with_suffix(".json").write_text(json.dumps(card))


def spot(width: int = 90, height: int = 60) -> np.ndarray:
    image = np.full((height, width, 3), 20, np.uint8)
    image[height // 2 : height // 2 + height // 6, width * 3 // 4 : width * 5 // 6] = 255
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(640, 480), Size(320, 240)),
        (Size(480, 640), Size(240, 320)),
        (Size(4000, 3000), Size(320, 240)),
        (Size(20, 15), Size(320, 240)),
        (Size(1, 20000), Size(16, 320)),
        (Size(1920, 1080), Size(320, 176)),  # 180 lies between 176 and 192
        (Size(640, 464), Size(320, 240)),  # 232 is half way: up
        (Size(1, 1), Size(320, 320)),
    ],
)
def test_network_size(size: Size, expected: Size):
    assert network_size(size, 320, 16) == expected


def test_network_size_does_not_depend_on_the_scale_of_the_photo():
    assert {network_size(Size(400 * n, 300 * n), 320, 16) for n in range(1, 40)} == {Size(320, 240)}


@pytest.mark.parametrize("size", [Size(1, 1), Size(7, 300), Size(80, 60), Size(2000, 1500)])
def test_fitted_log_density_sums_to_one(size: Size):
    coarse = np.random.default_rng(0).normal(0, 30, (60, 80)).astype(np.float32)
    fitted = fit_log_density(coarse, size)
    assert fitted.dtype == np.float32
    assert fitted.shape == (size.height, size.width)
    assert np.exp(fitted.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


def test_fitted_log_density_interpolates_between_cells_linearly():
    coarse = np.array([[0.0, 4.0]], np.float32)
    fitted = fit_log_density(coarse, Size(8, 1))[0]
    expected = np.interp((np.arange(8) + 0.5) / 4 - 0.5, [0, 1], [0, 4])  # cells and pixels meet at their edges
    assert fitted - fitted[0] == pytest.approx(expected, abs=1e-6)


def test_even_map_becomes_minus_log_of_the_number_of_pixels():
    assert fit_log_density(np.full((3, 4), 900.0, np.float32), Size(50, 20)) == pytest.approx(-np.log(1000), abs=1e-5)


def test_log_density_finds_the_bright_spot(predictor: Predictor):
    image = spot(300, 200)
    log_density = predictor.log_density(image)
    assert log_density.dtype == np.float32
    assert log_density.shape == (200, 300)
    assert np.exp(log_density.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)
    y, x = np.unravel_index(log_density.argmax(), log_density.shape)
    assert image[y, x].tolist() == [255, 255, 255]


def test_log_density_comes_in_the_size_that_is_asked_for(predictor: Predictor):
    assert predictor.log_density(spot(), Size(31, 17)).shape == (17, 31)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (5, 3)])
def test_tiny_and_thin_images(predictor: Predictor, shape: tuple[int, int]):
    log_density = predictor.log_density(np.zeros((*shape, 3), np.uint8))
    assert log_density.shape == shape
    assert np.exp(log_density).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        "a",
    ],
)
def test_other_arrays_are_refused(predictor: Predictor, image: Any):
    with pytest.raises(ImageError, match=r"^image: expected"):
        predictor.log_density(image)


def test_views_and_threads_give_the_same_map(predictor: Predictor):
    image = spot(200, 100)
    expected = predictor.log_density(image)
    views = [image, np.asfortranarray(image), image[:, ::-1][:, ::-1]] * 4
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(predictor.log_density, views):
            np.testing.assert_array_equal(result, expected)


def test_density_is_the_log_density_in_the_networks_cells(predictor: Predictor):
    density = predictor.density(spot(900, 600))
    assert (density.dtype, density.shape) == (np.float32, (52, 80))
    assert density.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.log(density), predictor.log_density(spot(900, 600), Size(80, 52)), atol=1e-4)
    with pytest.raises(ImageError, match=r"^image: expected"):
        predictor.density(spot()[..., 0])


def test_nothing_is_reported_and_nothing_written_at_home(bright_model: Path, tmp_path: Path):
    code = f"import gaze; gaze.Predictor({str(bright_model)!r})"
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "SYSTEMROOT", "VIRTUAL_ENV")}
    root = Path(gaze.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, env=kept | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_saliency_takes_paths_pictures_and_arrays(predictor: Predictor, tmp_path: Path):
    pixels = spot()
    Image.fromarray(pixels).save(tmp_path / "spot.png")
    maps = [saliency(source, predictor) for source in (tmp_path / "spot.png", Image.fromarray(pixels), pixels)]
    maps.append(saliency(str(tmp_path / "spot.png"), predictor))
    for density in maps:
        assert density.dtype == np.float32
        assert density.shape == (60, 90)
        assert density.sum(dtype=np.float64) == pytest.approx(1, abs=1e-4)
        np.testing.assert_array_equal(density, maps[0])


def test_saliency_of_twelve_megapixels_sums_to_one(predictor: Predictor):
    assert saliency(spot(4000, 3000), predictor).sum(dtype=np.float64) == pytest.approx(1, abs=1e-4)


def test_saliency_refuses_what_is_no_image(predictor: Predictor):
    with pytest.raises(ImageError, match="got NoneType"):
        gaze.saliency(None, predictor)  # type: ignore[arg-type]


def test_card_is_read_and_written(predictor: Predictor, tmp_path: Path):
    card = predictor.card
    assert (card.name, card.version, card.input.longer_side, card.input.multiple) == ("bright", "7", 320, 16)
    assert (card.output, card.trained_on, card.metrics) == ({"stride": 4}, [], {})
    card.save(tmp_path / "card.json")
    assert ModelCard.load(tmp_path / "card.json") == card


@pytest.mark.parametrize("model", ["slow", "nothing.onnx", Path("quality"), "./quality", ""])
def test_what_is_neither_a_name_nor_a_file_is_named(model: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    expected = f"model: expected fast or quality, or an .onnx file that exists, got {str(model)!r}"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        Predictor(model)


def test_names_are_looked_up_among_the_shipped_models(copy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gaze.weights, "_FOLDER", copy.parent)
    monkeypatch.chdir(copy.parent)
    for absent in gaze.weights.SHIPPED:
        with pytest.raises(ModelError, match=rf"^model {absent}: this installation lacks .*{absent}\.onnx$"):
            Predictor(absent)
    for suffix in (".onnx", ".json"):
        copy.with_suffix(suffix).rename(copy.with_name(f"fast{suffix}"))
    Path("fast").write_text("a file of that name is not meant")
    assert Predictor("fast").path == Predictor(Path("fast.onnx").resolve()).path == copy.with_name("fast.onnx")


def test_default_is_a_shipped_model(copy: Path, monkeypatch: pytest.MonkeyPatch):
    assert gaze.weights.DEFAULT in gaze.weights.SHIPPED
    monkeypatch.setattr(gaze.weights, "_FOLDER", copy.parent)
    for suffix in (".onnx", ".json"):
        copy.with_suffix(suffix).rename(copy.with_name(gaze.weights.DEFAULT + suffix))
    assert Predictor().path.stem == gaze.weights.DEFAULT


def test_saliency_takes_a_model_or_a_predictor_not_both(bright_model: Path, predictor: Predictor):
    np.testing.assert_array_equal(saliency(spot(), model=bright_model), saliency(spot(), predictor))
    assert gaze.crop(spot(), model=str(bright_model)) == gaze.crop(spot(), predictor=predictor)
    for function in (saliency, gaze.crop):
        with pytest.raises(ConfigError, match="predictor, model: expected one of the two"):
            function(spot(), predictor=predictor, model=bright_model)


def test_missing_card_is_named(copy: Path):
    copy.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"copy\.json: the model's card cannot be read"):
        Predictor(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("\x80", "is not JSON"),
        ("[]", "lacks format_version, input, name, output, sha256, version"),
        ('{"format_version": 1, "name": "x"}', "lacks input, output, sha256, version"),
    ],
)
def test_damaged_card_is_one_line(copy: Path, content: str, message: str):
    copy.with_suffix(".json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelError, match=message) as raised:
        Predictor(copy)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "card format 2, this gaze reads 1"),
        ({"input": {"color": "RGB"}}, "input: expected longer_side"),
        ({"input": 5}, "input: expected longer_side"),
        ({"input": {"longer_side": 0, "multiple": 16}}, "input: this version of gaze cannot serve"),
        (
            {"input": {"longer_side": 320, "multiple": 16, "color": "BGR"}},
            "input: this version of gaze cannot serve",
        ),
    ],
)
def test_card_that_does_not_fit_is_refused(copy: Path, changes: dict[str, Any], message: str):
    edit(copy, **changes)
    with pytest.raises(ModelError, match=message):
        Predictor(copy)


def test_changed_model_is_refused_and_both_hashes_are_named(copy: Path):
    stated = json.loads(copy.with_suffix(".json").read_text())["sha256"]
    copy.write_bytes(copy.read_bytes() + b"\0")
    found = hashlib.sha256(copy.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match=f"copy.onnx: sha256 is {found}, its card says {stated}"):
        Predictor(copy)


def test_what_is_no_network_is_refused(copy: Path):
    copy.write_bytes(b"not a network")
    edit(copy, sha256=hashlib.sha256(b"not a network").hexdigest())
    with pytest.raises(ModelError, match="not a network that ONNX Runtime can load") as raised:
        Predictor(copy)
    assert "\n" not in str(raised.value)


def test_network_with_other_inputs_is_refused(copy: Path):
    model = onnx.load(copy)
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"
    onnx.save(model, copy)
    edit(copy, sha256=hashlib.sha256(copy.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match=r"expected input image and output log_density, got .*picture"):
        Predictor(copy)


def replaced(model: Path, network: "onnx.ModelProto") -> Path:
    """The network in place of the model's, its card adapted."""
    model.write_bytes(network.SerializeToString())
    edit(model, sha256=hashlib.sha256(model.read_bytes()).hexdigest())
    return model


def make_external(tensor: "onnx.TensorProto", name: str = "weights.bin") -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=name)


def test_weights_in_other_files_are_refused(copy: Path, monkeypatch: pytest.MonkeyPatch):
    network = onnx.load(copy)
    (copy.parent / "weights.bin").write_bytes(np.array(8, np.float32).tobytes())
    monkeypatch.chdir(copy.parent)
    make_external(next(tensor for tensor in network.graph.initializer if tensor.name == "scale"))
    with pytest.raises(ModelError, match=r"copy\.onnx: keeps weights in other files, .*; expected all in one$"):
        Predictor(replaced(copy, network))


def test_so_are_those_of_nodes_and_of_graphs_within(copy: Path):
    make = onnx.helper.make_attribute
    tensor = onnx.helper.make_tensor("t", onnx.TensorProto.FLOAT, [1], [1.0])
    make_external(tensor)
    inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
    for attribute in (make("value", tensor), make("then", inner), make("many", [tensor]), make("all", [inner])):
        network = onnx.load(copy)
        network.graph.node[0].attribute.append(attribute)
        assert has_external_data(network.SerializeToString())


def test_the_word_alone_is_no_other_file(copy: Path, bright_model: Path):
    network = onnx.load(copy)
    network.doc_string = network.graph.node[0].doc_string = "location"
    network.metadata_props.add(key="location", value="here")
    assert Predictor(replaced(copy, network)).density(spot()).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "content", [b"location", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfflocation", b"\x3a\x3a" * 300 + b"location"]
)
def test_what_is_damaged_and_names_a_place_is_refused(content: bytes):
    assert has_external_data(content)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_network_that_answers_nan_says_so(copy: Path, value: float):
    network = onnx.load(copy)
    scale = next(tensor for tensor in network.graph.initializer if tensor.name == "scale")
    scale.raw_data = np.array(value, np.float32).tobytes()
    predictor = Predictor(replaced(copy, network))
    for ask in (predictor.density, predictor.log_density):
        with pytest.raises(ModelError, match=r"copy\.onnx: the network answered with NaN or infinity"):
            ask(spot())


def test_a_card_without_end_is_one_line(copy: Path):
    copy.with_suffix(".json").write_text("[" * 200_000)
    with pytest.raises(ModelError, match="the model's card is not JSON"):
        Predictor(copy)
