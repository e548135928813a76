"""ONNX export of a gaze network, and the proof that the file computes what torch computes."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from gaze.errors import ModelError
from gaze.geometry import Size
from gaze.models.network import GazeNetwork
from gaze.models.padding import fix_padding, slice_strides
from gaze.predictor import network_size, open_session

OPSET = 17
PARITY = 1e-4
"""Largest difference in log density that an export may show against torch."""

MOVED = 0.1
"""Share of a density, on average, that an export in 8-bit integers may have elsewhere than torch has it."""

DEVICE = "cpu"
"""Where torch runs what it exports, wherever the network is."""

TAIL = 1e-8
"""Taps of the blur below this share of the largest are left out of an export."""


class Exportable(nn.Module):
    """The network with the parts that no longer change folded.

    These are the blur, without its tails, the scale of the pixels, most padding, and by how much maps are enlarged.
    """

    def __init__(self, network: GazeNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(DEVICE).eval()
        self.network.backbone.fold_scale()
        fix_padding(self.network)
        self.network.fix_factors()
        slice_strides(self.network)
        self.network.finalizer.reach = needed_reach(self.network.finalizer.kernel())
        kernel = self.network.finalizer.kernel().detach()
        self.network.finalizer.kernel = lambda: kernel  # type: ignore[method-assign]

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What `GazeNetwork.outputs` says, without the names."""
        found = tuple(self.network.outputs(image).values())
        return found if len(found) > 1 else found[0]


def needed_reach(kernel: Tensor) -> int:
    """Taps on either side of the middle of a symmetric kernel that change anything in float32."""
    return int((kernel > TAIL * kernel.max()).sum()) // 2


def rounded(network: GazeNetwork) -> GazeNetwork:
    """A copy whose convolution weights are rounded to what float16 can hold, so that they can be stored as that."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.copy_(parameter.half())
    return network


def export_onnx(network: GazeNetwork, path: Path) -> None:
    """Writes the network as ONNX: `image` uint8 N x H x W x 3 in, `log_density` float32 N x H/4 x W/4 out.

    Where the network says where heads are, there is `heads` too, float32 N x 5 x h x w, see `GazeNetwork.look`; and
    `preference`, float32 N x 2 x h x w, where it says which crops people prefer, see `GazeNetwork.outputs`.
    N, H and W are free; BatchNorm stays for ONNX Runtime to fold. Weights that float16 holds exactly (see
    `rounded`) are stored so, half the size, and widened when the file is loaded. The network may be on any device.
    """
    side = 8 * network.config.input.multiple
    example = torch.zeros(1, side, side + network.config.input.multiple, 3, dtype=torch.uint8, device=DEVICE)
    axes = {"image": {0: "n", 1: "height", 2: "width"}, "log_density": {0: "n", 1: "rows", 2: "columns"}}
    if network.heads is not None:
        axes["heads"] = {0: "n", 2: "head_rows", 3: "head_columns"}
    if network.preference is not None:
        axes["preference"] = {0: "n", 2: "preference_rows", 3: "preference_columns"}
    export_graph(Exportable(network), [example], str(path), ["image"], list(axes)[1:], axes)
    model = onnx.load(str(path))
    _store_halves(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def export_graph(
    module: nn.Module,
    inputs: Sequence[Tensor],
    file: str | IO[bytes],
    input_names: Sequence[str],
    output_names: Sequence[str] | None,
    free: Mapping[str, Mapping[int, str]],
) -> None:
    """Writes a module as ONNX with torch's TorchScript exporter.

    torch.export needs minutes to reason about padding that depends on the size. The older exporter warns that it is
    old (DeprecationWarning) and that it leaves constants as they are (UserWarning); a program that makes errors of
    warnings has to let these pass, as `python -m gaze.export` does.

    Args:
        module: to be run on `inputs`, on the same device.
        inputs: an example of each.
        file: path, or a file to write into.
        input_names: one each.
        output_names: one each, or None for the exporter's own.
        free: the dimensions of inputs and outputs that may change, each with a name.
    """
    torch.onnx.export(
        module,
        tuple(inputs),
        file,  # type: ignore[arg-type]  # torch's annotation leaves open files out, which it takes
        dynamo=False,
        opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=input_names,
        output_names=output_names,
        dynamic_axes=free,
    )


def _store_halves(model: onnx.ModelProto) -> None:
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.ndim != 4:
            continue
        with np.errstate(over="ignore"):  # infinity is not the same
            halves = values.astype(np.float16)
        if (halves.astype(np.float32) == values).all():
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}.half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def parity(network: GazeNetwork, path: Path, photos: Iterable[NDArray[np.uint8]]) -> float:
    """The largest difference in log density, and in what else is said, of the file in ONNX Runtime from torch.

    Args:
        network: what was exported.
        path: the ONNX file.
        photos: H x W x 3 uint8 RGB images; each is seen at its own network size.

    Raises:
        ModelError: the difference is `PARITY` or more, or not a number.
    """
    worst = 0.0
    for found, expected in _compared(network, path, photos):
        difference = float(np.max([np.abs(a - b).max() for a, b in zip(found, expected, strict=True)]))
        worst = max(worst, difference)
        if not difference < PARITY:
            raise ModelError(f"{path}: differs from torch by {difference:.1e} in log density, expected below {PARITY}")
    return worst


def total_variation(network: GazeNetwork, path: Path, photos: Iterable[NDArray[np.uint8]]) -> float:
    """The share of the density, 0 to 1, that the file in ONNX Runtime has elsewhere than torch: the mean of photos.

    Args:
        network, path, photos: see `parity`.

    Raises:
        ModelError: it is `MOVED` or more, or not a number.
    """
    pairs = [(np.exp(found[0]), np.exp(expected[0])) for found, expected in _compared(network, path, photos)]
    moved = float(np.mean([np.abs(a - b).sum() / 2 for a, b in pairs]))
    if not moved < MOVED:
        raise ModelError(f"{path}: has {moved:.2f} of the density elsewhere than torch, expected less than {MOVED}")
    return moved


def _compared(
    network: GazeNetwork, path: Path, photos: Iterable[NDArray[np.uint8]]
) -> Iterator[tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]]:
    """All outputs for each photo: of the file in ONNX Runtime, and of torch."""
    session, device = open_session(path.read_bytes(), path, threads=1), next(network.parameters()).device
    for photo in photos:
        image = seen(network, photo)[None]
        with torch.inference_mode():
            expected = network.outputs(torch.from_numpy(image).to(device))
        found = session.run(list(expected), {"image": image})
        yield found, [each.cpu().numpy() for each in expected.values()]


def seen(network: GazeNetwork, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo, H x W x 3 RGB, at the size at which the network sees it."""
    rule = network.config.input
    size = network_size(Size(photo.shape[1], photo.shape[0]), rule.longer_side, rule.multiple)
    return np.asarray(cv2.resize(photo, (size.width, size.height), interpolation=cv2.INTER_AREA), np.uint8)
