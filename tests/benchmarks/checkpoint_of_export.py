"""Turns an exported network back into a checkpoint, to be trained on: for shipped models whose checkpoint is gone.

    python tests/benchmarks/checkpoint_of_export.py MODEL.onnx OUT.ckpt MODEL_CONFIG [KEY=VALUE ...]

MODEL_CONFIG is a name in `gaze/conf/model`, and KEY=VALUE what the network was trained with that differs from it:

    git show ad13423:gaze/weights/fast.onnx > fast.onnx; git show ad13423:gaze/weights/fast.json > fast.json
    python tests/benchmarks/checkpoint_of_export.py fast.onnx fast.ckpt mobileonegaze input.longer_side=272 \\
        "backbone.taps=[2,3,4]" "heads={reduce: null, channels: [48], weight: 0.5, taps: null, shared: true}"

An export keeps the names of the weights, widens halves and folds the blur alone, whose sigma is found again from its
taps; the deviation of the colors, which it folds into the first convolution, is the configuration's. The checkpoint is
exported once more and written only if every weight is the same, but for that rounding, and every output nearly.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from onnx import numpy_helper
from torch import Tensor, nn

from gaze.card import ModelCard
from gaze.config import CONF
from gaze.models import GazeNetwork, ModelConfig, build_network
from gaze.models.checkpoints import save_checkpoint
from gaze.models.onnx import export_onnx
from gaze.models.widths import BatchNorm, set_widths
from gaze.predictor import open_session

SIZES = ((208, 272), (272, 272), (272, 208), (112, 272), (272, 16))
ROUNDING = 1e-6
"""By how much of itself a weight may differ, as the deviation was folded in and taken out."""

PARITY = 1e-3
"""By how much an output may differ."""

NEAR, TRIED = 1e-5, 2001
"""Natural logarithm by which the sigma that the first two taps give may be off, and how many are tried."""


def read_weights(model: onnx.ModelProto) -> dict[str, Tensor]:
    """The weights of an export by their names in the network."""
    found = {tensor.name: numpy_helper.to_array(tensor).astype(np.float32) for tensor in model.graph.initializer}
    names = {name: name.removeprefix("network.").removesuffix(".half").replace(".layer.", ".") for name in found}
    return {names[name]: torch.from_numpy(values) for name, values in found.items()}


def widths_of(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, list[int]]:
    """`gaze.models.widths.widths` of the network that the weights are of."""
    found = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            outputs, inputs = weights[f"{name}.weight"].shape[:2]
            found[name] = [outputs if layer.groups > 1 else inputs, outputs]
        elif isinstance(layer, BatchNorm):
            found[name] = [len(weights[f"{name}.running_mean"])]
    return found


def blur_taps(model: onnx.ModelProto) -> NDArray[np.float32]:
    """Those of the blur: the weights of the one convolution along a column that are no initializer."""
    constants = {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
    kernels = [
        constants[node.input[1]] for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants
    ]
    return numpy_helper.to_array(kernels[0]).ravel()


def find_log_sigma(network: GazeNetwork, taps: NDArray[np.float32]) -> Tensor:
    """The float32 whose blur comes nearest to the taps."""
    finalizer, reach = network.finalizer, len(taps) // 2
    about = float(0.5 * np.log(-0.5 / np.log(np.float64(taps[reach + 1]) / taps[reach])))
    tried = np.unique(np.linspace(about - NEAR, about + NEAR, TRIED).astype(np.float32))
    before, finalizer.reach = finalizer.reach, reach
    differences = []
    for value in tried:
        with torch.no_grad():
            finalizer.log_sigma.fill_(float(value))
            differences.append(float(np.abs(finalizer.kernel().numpy() - taps).max()))
    finalizer.reach = before
    return torch.tensor(tried[int(np.argmin(differences))])


def reopened(path: Path, config: ModelConfig) -> GazeNetwork:
    """The network of an export."""
    model = onnx.load(str(path))
    network, weights = build_network(config, load_weights=False), read_weights(onnx.load(str(path)))
    set_widths(network, widths_of(network, weights))
    own = network.state_dict()
    if "backbone.std" not in weights:  # it is folded into the first convolution
        first = next(name for name, value in own.items() if name.endswith(".weight") and value.shape[1:2] == (3,))
        weights = weights | {"backbone.std": own["backbone.std"], first: weights[first] * own["backbone.std"]}
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(weights | counters | {"finalizer.log_sigma": find_log_sigma(network, blur_taps(model))})
    return network.eval()


def is_same(network: GazeNetwork, path: Path) -> bool:
    """Whether an export of the network has the weights and the outputs of a file."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = Path(folder) / "again.onnx"
        export_onnx(network, again)
        weights = [read_weights(onnx.load(str(file))) for file in (path, again)]
        sessions = [open_session(file.read_bytes(), file, 1) for file in (path, again)]
        random = np.random.default_rng(0)
        images = [random.integers(0, 256, (1, *size, 3), np.uint8) for size in SIZES]
        outputs = [[session.run(None, {"image": image}) for image in images] for session in sessions]
    same = weights[0].keys() == weights[1].keys() and all(
        torch.allclose(value, weights[1][name], rtol=ROUNDING, atol=0) for name, value in weights[0].items()
    )
    return same and all(
        np.abs(a - b).max() < PARITY
        for one, other in zip(*outputs, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def main() -> None:
    """Reads, compares and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    values = OmegaConf.create((CONF / "model" / f"{args.config}.yaml").read_text(encoding="utf-8"))
    overrides = OmegaConf.from_dotlist(args.overrides)
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(ModelConfig), values, overrides))
    network = reopened(args.model, config)  # type: ignore[arg-type]
    if not is_same(network, args.model):
        sys.exit(
            f"{args.model}: an export of the network that was read is another; is the configuration the one it had?"
        )
    card = ModelCard.load(args.model.with_suffix(".json"))
    save_checkpoint(args.out, network, card.trained_on, card.seed)
    print(f"{args.out}: {sum(weight.numel() for weight in network.parameters())} weights, those of {args.model}")


if __name__ == "__main__":
    main()
