"""The exported file computes what torch computes, at any size."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from timm.layers import Conv2dSame

from gaze.errors import ModelError
from gaze.models import build_network
from gaze.models.config import HeadsConfig, InputConfig
from gaze.models.finalizer import RADIUS
from gaze.models.onnx import Exportable, export_onnx, parity, rounded
from gaze.models.padding import SlicedConv2d
from gaze.predictor import open_session
from tests.models.conftest import small_config
from tests.pruning.conftest import live


@pytest.fixture
def photos() -> list[np.ndarray]:
    shapes = ((600, 800), (640, 480), (256, 256), (90, 400))
    return [np.random.default_rng(i).integers(0, 256, (*shape, 3), np.uint8) for i, shape in enumerate(shapes)]


def test_equals_torch_for_any_size_and_batch(network, photos, tmp_path):
    export_onnx(network, tmp_path / "net.onnx")
    assert parity(network, tmp_path / "net.onnx", photos) < 1e-4
    session = open_session((tmp_path / "net.onnx").read_bytes(), tmp_path / "net.onnx", threads=1)
    images = torch.randint(0, 256, (3, 48, 80, 3), dtype=torch.uint8)
    (got,) = session.run(["log_density"], {"image": images.numpy()})
    np.testing.assert_allclose(got, network(images).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7, 9.0])
def test_the_blur_loses_its_tails_and_nothing_else(network, photos, tmp_path, sigma):
    with torch.no_grad():
        network.finalizer.log_sigma.fill_(np.log(sigma))
        network.readout.layers[-1].weight.mul_(30)
    export_onnx(network, tmp_path / "net.onnx")
    assert parity(network, tmp_path / "net.onnx", photos) < 1e-4
    reach = min(RADIUS, int(sigma * np.sqrt(2 * np.log(1e8))))  # exp(-r^2 / 2 sigma^2) = 1e-8
    graph = onnx.load(tmp_path / "net.onnx").graph
    tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]
    assert 2 * reach + 1 in {int(np.prod(t.dims)) for t in tensors}
    assert 2 * RADIUS + 1 not in {int(np.prod(t.dims)) for t in tensors} or reach == RADIUS
    assert network.finalizer.reach == RADIUS


def test_parity_refuses_another_network(network, photos, tmp_path):
    export_onnx(network, tmp_path / "net.onnx")
    with torch.no_grad():
        network.readout.layers[-1].weight += 1
    with pytest.raises(ModelError, match=r"differs from torch by \S+ in log density"):
        parity(network, tmp_path / "net.onnx", photos)


@pytest.mark.parametrize("place", [0, 1])
def test_parity_refuses_what_is_no_number(place, network, photos, tmp_path):
    """Be it in what says where heads are."""
    network.add_heads(HeadsConfig(4, [4], 0.5))
    with torch.no_grad():
        (network.readout, network.heads)[place].layers[0].weight[:] = torch.nan
    export_onnx(network, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="differs from torch by nan"):
        parity(network, tmp_path / "net.onnx", photos)


def test_rounded_weights_are_stored_in_half_the_space(network, photos, tmp_path):
    export_onnx(network, tmp_path / "full.onnx")
    half = rounded(network)
    export_onnx(half, tmp_path / "half.onnx")
    assert parity(half, tmp_path / "half.onnx", photos) < 1e-4
    full, small = (onnx.load(tmp_path / name).graph.initializer for name in ("full.onnx", "half.onnx"))
    weights = [t for t in small if len(t.dims) == 4]
    wide = [t for t in weights if t.data_type != onnx.TensorProto.FLOAT16]
    assert len(weights) > 20
    sizes = {tuple(sorted(t.dims)) for t in wide}
    assert sizes <= {(1, 1, 1, 3), (1, 1, 1, 13), (3, 3, 3, 8)}  # pixel mean, a blur of sigma 1, the first convolution
    assert sum(len(t.raw_data) for t in small) < 0.6 * sum(len(t.raw_data) for t in full)
    worst = max((a - b).abs().max() for a, b in zip(network.parameters(), half.parameters(), strict=True))
    assert 0 < worst < 1e-2


@pytest.mark.parametrize(("multiple", "factors"), [(16, [2.0, 2.0]), (32, [2.0, 2.0, 4.0])])
def test_maps_are_enlarged_by_numbers_where_these_are_the_same_for_every_size(multiple, factors, tmp_path):
    config = small_config()  # taps of strides 8, 16 and 32
    config.input = InputConfig(64, multiple)
    network = live(build_network(config))
    export_onnx(network, tmp_path / "net.onnx")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # which works out constants
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    ort.InferenceSession(tmp_path / "net.onnx", options)
    graph = onnx.load(tmp_path / "folded.onnx").graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    given = [node.input[2] for node in graph.node if node.op_type == "Resize"]
    assert sorted(float(values[name][-1]) for name in given if name in values and values[name].size) == factors
    session = open_session((tmp_path / "net.onnx").read_bytes(), tmp_path / "net.onnx", threads=1)
    for rows, columns in ((1, 3), (5, 2), (6, 9)):
        image = torch.randint(0, 256, (1, rows * multiple, columns * multiple, 3), dtype=torch.uint8)
        with torch.no_grad():
            np.testing.assert_allclose(session.run(None, {"image": image.numpy()})[0], network(image), atol=1e-4)


def test_the_first_convolution_scales_the_pixels(network, tmp_path):
    export_onnx(network, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert "Sub" in {node.op_type for node in graph.node if "backbone" in node.name}
    assert "Div" not in {node.op_type for node in graph.node if "backbone" in node.name}
    assert network.backbone.scaled


def test_a_convolution_that_standardises_its_weights_scales_nothing():
    config = small_config(name="nf_resnet26", taps=[1])
    network = live(build_network(config))
    images = torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = network.backbone(images)
        network.backbone.fold_scale()
        assert all(map(torch.equal, before, network.backbone(images)))
    assert network.backbone.scaled


@pytest.mark.parametrize(("name", "taps"), [("convnext_atto", [1, 2]), ("vgg11_bn", [2, 5])])
def test_networks_that_take_no_small_images_are_exported(name, taps, tmp_path):
    config = small_config(name=name, taps=taps)
    config.input = InputConfig(64, 4)
    export_onnx(live(build_network(config)), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size > 0


def test_pixels_are_scaled_before_what_is_no_convolution_of_all_colors(network):
    network.backbone.features = torch.nn.Sequential(torch.nn.BatchNorm2d(3), network.backbone.features)
    images = torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        before = network.backbone.eval()(images)
        network.backbone.fold_scale()
        assert all(map(torch.equal, before, network.backbone(images)))
    assert network.backbone.scaled


@pytest.mark.parametrize(("multiple", "left"), [(16, 1), (24, 2), (32, 0), (48, 1)])
def test_padding_that_is_the_same_for_every_size_is_written_as_numbers(multiple, left, tmp_path):
    torch.manual_seed(0)
    config = small_config(name="tf_mobilenetv3_small_minimal_100")
    config.input = InputConfig(320, multiple)
    network = live(build_network(config))
    exportable = Exportable(network)
    assert sum(isinstance(layer, Conv2dSame) for layer in network.modules()) == 5
    assert sum(isinstance(layer, SlicedConv2d) for layer in exportable.modules()) == left
    export_onnx(network, tmp_path / "net.onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node if "backbone" in node.name]
    assert "Pad" not in kinds
    assert kinds.count("Shape") == left
    session = open_session((tmp_path / "net.onnx").read_bytes(), tmp_path / "net.onnx", threads=1)
    for rows, columns in ((1, 3), (3, 4), (5, 2), (6, 9)):
        image = torch.randint(0, 256, (1, rows * multiple, columns * multiple, 3), dtype=torch.uint8)
        with torch.no_grad():
            expected = network(image)
            for tap, own in zip(exportable.network.backbone(image), network.backbone(image), strict=True):
                torch.testing.assert_close(tap, own, rtol=1e-4, atol=1e-4)
        (got,) = session.run(["log_density"], {"image": image.numpy()})
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-4)
