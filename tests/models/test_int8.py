"""8-bit integers compute nearly what the network does, with what rounding shifts taken off."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from gaze.errors import ModelError
from gaze.models import build_network
from gaze.models.config import InputConfig
from gaze.models.int8 import LEVELS, correct_biases, quantize, rounded_weights
from gaze.models.onnx import OPSET, export_onnx, seen, total_variation
from tests.models.conftest import small_config
from tests.pruning.conftest import live


@pytest.fixture
def photos() -> list[np.ndarray]:
    shapes = ((90, 120), (120, 90), (64, 64), (48, 100))
    return [np.random.default_rng(i).integers(0, 256, (*shape, 3), np.uint8) for i, shape in enumerate(shapes)]


@pytest.fixture(params=["mobileone_s0", "tf_mobilenetv3_small_minimal_100", "mobilenetv2_050"])
def network(request):
    torch.manual_seed(0)
    config = small_config(name=request.param, taps=[1, 2], reparameterize=request.param == "mobileone_s0")
    config.input = InputConfig(64, 16)
    return live(build_network(config))


def dequantized(graph) -> dict[str, np.ndarray]:
    """The weights of the convolutions that integers compute, by name."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.zeros(0)).dtype == np.int8:
            integers, scale = values[node.input[0]], values[node.input[1]]
            assert np.abs(integers).max() <= LEVELS
            found[node.output[0]] = integers * scale.reshape(-1, 1, 1, 1)
    return found


def test_integers_foretell_what_the_network_does(network, photos, tmp_path):
    path = tmp_path / "net.onnx"
    export_onnx(network, path)
    before = path.stat().st_size
    quantize(path, [seen(network, photo) for photo in photos])
    assert 0 < total_variation(network, path, photos) < 0.05
    model = onnx.load(path)
    graph = model.graph
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]  # what an older engine knows
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    weights = dequantized(graph)
    assert 5 <= len(weights) < len(convolutions)
    assert path.stat().st_size < before
    ends = {node.op_type for node in graph.node for name in node.input if name in {c.output[0] for c in convolutions}}
    assert "Relu" in ends  # of the first ones, which stay as they are


@pytest.mark.parametrize(("longer_side", "multiple"), [(60, 5), (70, 7)])
def test_the_same_layers_compute_in_integers_whatever_photograph_comes_first(longer_side, multiple, photos, tmp_path):
    """Also where strides do not divide the sides."""
    config = small_config(name="tf_mobilenetv3_small_minimal_100", taps=[1, 2])
    config.input = InputConfig(longer_side, multiple)
    network, found = live(build_network(config)), []
    for first in ((90, 120), (120, 90), (64, 64), (10, 1000), (1000, 10)):
        export_onnx(network, tmp_path / "net.onnx")
        quantize(tmp_path / "net.onnx", [seen(network, np.zeros((*first, 3), np.uint8)), seen(network, photos[0])])
        found.append(set(dequantized(onnx.load(tmp_path / "net.onnx").graph)))
    assert found == found[:1] * len(found)
    assert any("blocks.1.0.conv_pw" in name for name in found[0]), found[0]  # at stride 4


def test_weights_are_the_nearest_of_the_levels():
    weights = np.random.default_rng(0).normal(0, 1, (5, 3, 2, 2)).astype(np.float32)
    weights[2] = 0
    for kernel, got in zip(weights, rounded_weights(weights), strict=True):
        levels = np.abs(kernel).max() / LEVELS * np.arange(-LEVELS, LEVELS + 1)
        nearest = levels[np.abs(kernel[..., None] - levels).argmin(-1)]
        np.testing.assert_allclose(got, nearest, atol=1e-6)


@pytest.mark.parametrize(("groups", "strides", "pads", "dilations"), [
    (1, [1, 1], [1, 1, 1, 1], [1, 1]), (6, [2, 2], [0, 0, 1, 1], [1, 1]), (2, [1, 2], [2, 1, 0, 3], [2, 1]),
])  # fmt: skip
def test_a_corrected_bias_leaves_every_map_its_mean(groups, strides, pads, dilations):
    random = np.random.default_rng(0)
    weight, bias = random.normal(0, 1, (6, 6 // groups, 3, 3)), random.normal(0, 1, 6)
    node = helper.make_node(
        "Conv", ["image", "w", "b"], ["out"], "conv", group=groups, strides=strides, pads=pads, dilations=dilations
    )
    model = helper.make_model(
        helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 6, 9, 8])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in (("w", weight), ("b", bias))],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    images = [np.abs(random.normal(0, 1, (6, 9, 8))).astype(np.float32) for _ in range(3)]

    def means() -> np.ndarray:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return np.mean([session.run(None, {"image": image[None]})[0].mean(axis=(0, 2, 3)) for image in images], axis=0)

    before, tensors = means(), {tensor.name: tensor for tensor in model.graph.initializer}
    tensors["w"].CopyFrom(numpy_helper.from_array(rounded_weights(weight.astype(np.float32)), "w"))
    assert np.abs(means() - before).max() > 1e-3
    tensors["w"].CopyFrom(numpy_helper.from_array(weight.astype(np.float32), "w"))
    correct_biases(model, [node], images)
    np.testing.assert_allclose(means(), before, atol=1e-5)
    np.testing.assert_array_equal(numpy_helper.to_array(tensors["w"]), rounded_weights(weight.astype(np.float32)))


def test_what_other_nodes_read_too_stays_as_it_was():
    """ONNX Runtime stores small equal weights and biases once."""
    random = np.random.default_rng(0)
    nodes = [helper.make_node("Conv", ["image", "w", "b"], [f"out{i}"], f"conv{i}") for i in range(3)]
    nodes[2].input[1] = "v"
    values = {"w": random.normal(0, 1, (2, 6, 1, 1)), "v": random.normal(0, 1, (2, 6, 1, 1)), "b": np.zeros(2)}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "three",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 6, 9, 8])],
            [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    images = [np.abs(random.normal(0, 1, (6, 9, 8))).astype(np.float32) for _ in range(3)]

    def outputs() -> list[np.ndarray]:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return [np.stack(each) for each in zip(*(session.run(None, {"image": i[None]}) for i in images), strict=True)]

    before = outputs()
    correct_biases(model, [model.graph.node[0], model.graph.node[2]], images)
    after = outputs()
    np.testing.assert_array_equal(after[1], before[1])
    for place in (0, 2):
        assert np.abs(after[place] - before[place]).max() > 1e-3
        np.testing.assert_allclose(after[place].mean((0, 1, 3, 4)), before[place].mean((0, 1, 3, 4)), atol=1e-5)
    read = {name for node in model.graph.node for name in node.input} - {"image"}
    assert {tensor.name for tensor in model.graph.initializer} == read


def test_a_network_without_relu_is_refused(photos, tmp_path):
    network = live(build_network(small_config(name="mobilenetv3_small_050", taps=[1])))
    for module in list(network.backbone.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.Hardswish())
    export_onnx(network, tmp_path / "net.onnx")
    before = (tmp_path / "net.onnx").read_bytes()
    with pytest.raises(ModelError, match=r"^net\.onnx: expected a ReLU before convolutions"):
        quantize(tmp_path / "net.onnx", [seen(network, photo) for photo in photos])
    assert (tmp_path / "net.onnx").read_bytes() == before


def test_another_network_is_refused(network, photos, tmp_path):
    export_onnx(network, tmp_path / "net.onnx")
    with torch.no_grad():
        network.finalizer.center_bias[:, :1] += 5
    with pytest.raises(ModelError, match=r"of the density elsewhere than torch, expected less than 0\.1$"):
        total_variation(network, tmp_path / "net.onnx", photos)
