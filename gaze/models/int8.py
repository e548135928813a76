"""Convolutions of an exported network in 8-bit integers: less time in ONNX Runtime, and weights of half the size.

A number is `scale * (q - zero)` with an integer q: Jacob et al. 2018, "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", section 2.1. `onnxruntime.quantization` writes the file. What rounding the
weights shifts a map by on average is taken off its bias before: Nagel, van Baalen, Blankevoort and Welling 2019,
"Data-free quantization through weight equalization and bias correction", section 4.2, with the means of photographs
(appendix D).
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch.nn import functional

from gaze.errors import ModelError
from gaze.models.finalizer import STRIDE

LEVELS = 64
"""Weights are whole numbers from minus this to this. Of x86 processors, those without VNNI add two products in 16 bits,
which eight bits would overflow; and so all compute the same."""

ACTIVATIONS = ("Relu", "Clip")
"""What integers do by their range."""


def quantize(path: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Has the convolutions of an exported network compute in 8-bit integers, in place.

    These are the backbone's, and what reads its taps, where they read what a ReLU wrote at a stride of at least
    `STRIDE`: large maps of few channels take longer to bring to integers than they save.

    Args:
        path: what `export_onnx` wrote.
        images: H x W x 3 uint8, of the size that the network is to see: what values its maps have.

    Raises:
        ModelError: the network has no such convolution.
    """
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        quant_pre_process(path, folded, skip_symbolic_shape=True)  # BatchNorms go into their convolutions
        model = onnx.load(folded)
        layers = _layers(model, images[0])
        if not layers:
            raise ModelError(f"{path.name}: expected a ReLU before convolutions that 8-bit integers are to compute")
        correct_biases(model, layers, images)
        onnx.save(model, folded)
        written = {layer.output[0] for layer in layers}
        activations = [n for n in model.graph.node if n.op_type in ACTIVATIONS and n.input[0] in written]
        quantize_static(
            folded,
            path,
            _Photographs(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Clip"],
            nodes_to_quantize=[node.name for node in (*layers, *activations)],
            per_channel=True,
            reduce_range=True,  # to LEVELS
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    _drop_unused_domains(path)


def _drop_unused_domains(path: Path) -> None:
    """Asks for no more operators than there are: ONNX Runtime writes those that it knows, and an older one refuses."""
    model = onnx.load(path)
    used = {node.domain for node in model.graph.node}
    imports = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def rounded_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each output map's weights as the nearest of 2 `LEVELS` + 1 evenly spaced numbers up to its largest."""
    scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / LEVELS
    scale[scale == 0] = 1
    rounded: NDArray[np.float32] = np.round(weights / scale) * scale
    return rounded


def correct_biases(model: ModelProto, layers: Sequence[NodeProto], images: Sequence[NDArray[np.uint8]]) -> None:
    """Rounds the weights of convolutions, and takes off their biases what that adds to their maps on average.

    Args:
        model: changed in place.
        layers: convolutions of it.
        images: see `quantize`.
    """
    _unshare(model, layers)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = [numpy_helper.to_array(tensors[layer.input[1]]) for layer in layers]
    rounded = list(map(rounded_weights, weights))
    shifts: list[list[NDArray[np.float32]]] = [[] for _ in layers]
    for inputs in _values(model, [layer.input[0] for layer in layers], images):
        for layer, values, before, after, means in zip(layers, inputs, weights, rounded, shifts, strict=True):
            means.append(_convolved(layer, values, after - before).mean(axis=(0, 2, 3)))
    for layer, after, means in zip(layers, rounded, shifts, strict=True):
        weight, bias = (tensors[name] for name in layer.input[1:])
        corrected = numpy_helper.to_array(bias) - np.mean(means, axis=0)
        weight.CopyFrom(numpy_helper.from_array(after, weight.name))
        bias.CopyFrom(numpy_helper.from_array(corrected, bias.name))


def _unshare(model: ModelProto, layers: Sequence[NodeProto]) -> None:
    """Gives layers weights and biases that no other node reads: ONNX Runtime stores small equal ones once."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for layer, place in ((layer, place) for layer in layers for place in (1, 2)):
        shared = layer.input[place]
        if readers[shared] > 1:
            own = model.graph.initializer.add()
            own.CopyFrom(tensors[shared])
            own.name = layer.input[place] = f"{layer.name}.{shared}"
            readers[shared] -= 1


def _convolved(layer: NodeProto, values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a convolution would make of values with other weights and no bias."""
    how = {attribute.name: helper.get_attribute_value(attribute) for attribute in layer.attribute}
    top, left, bottom, right = how.get("pads", [0] * 4)
    padded = functional.pad(torch.from_numpy(values), (left, right, top, bottom))
    strides, group = how.get("strides", [1, 1]), how.get("group", 1)
    dilations = how.get("dilations", [1, 1])
    return functional.conv2d(padded, torch.from_numpy(weights), None, strides, 0, dilations, group).numpy()


def _layers(model: ModelProto, image: NDArray[np.uint8]) -> list[NodeProto]:
    """The convolutions that integers are to compute."""
    rectified = {
        node.output[0] for node in model.graph.node if node.op_type in ACTIVATIONS and "/backbone/" in node.name
    }
    known = {tensor.name for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type == "Conv" and node.input[0] in rectified]
    layers = [layer for layer in layers if len(layer.input) == 3 and known.issuperset(layer.input[1:])]
    (values,) = _values(model, [layer.input[0] for layer in layers], [image])
    most = ceil(max(image.shape[:2]) / STRIDE)  # the longer side is the same for every photograph
    return [layer for layer, value in zip(layers, values, strict=True) if max(value.shape[2:]) <= most]


def _values(
    model: ModelProto, names: Sequence[str], images: Sequence[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """The named tensors, for each image."""
    if not names:  # of which ONNX Runtime would make all outputs
        yield from ([] for _ in images)
        return
    told = ModelProto()
    told.CopyFrom(model)
    told.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(told.SerializeToString(), providers=["CPUExecutionProvider"])
    for image in images:
        yield session.run(list(names), {"image": image[None]})


class _Photographs(CalibrationDataReader):
    """Hands over images one by one."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:  # type: ignore[override]
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}
