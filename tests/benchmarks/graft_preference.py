"""Gives an exported network the preference readout of a checkpoint of the same backbone, and leaves all else as it is.

    python tests/benchmarks/graft_preference.py MODEL.onnx CHECKPOINT OUT.onnx

For a shipped model whose own checkpoint is gone: `checkpoint_of_export.py` makes one of an older, unrounded file,
`gaze.prefer` teaches that, and MODEL, which computes in 8-bit integers, keeps every bit of its density and its heads.
The readout reads the taps as MODEL's integers have them, in floats. OUT's card is MODEL's, but for `output`,
`parameters` and `sha256`.
"""

import hashlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto

from gaze.card import ModelCard
from gaze.files import write_atomic
from gaze.models.checkpoints import load_checkpoint
from gaze.models.onnx import export_onnx, rounded

NAME = "preference"
PREFIX = "grafted."


def readout_nodes(donor: ModelProto, known: set[str]) -> list[NodeProto]:
    """The nodes that lead to the output of preference from tensors that are `known`, in order."""
    makers = {output: node for node in donor.graph.node for output in node.output}
    wanted, found = [NAME], []
    while wanted:
        name = wanted.pop()
        if name in makers and name not in known and makers[name] not in found:
            found.append(makers[name])
            wanted += makers[name].input
    return [node for node in donor.graph.node if node in found]


def graft(model: ModelProto, donor: ModelProto) -> None:
    """Adds the output to `model`, in place.

    Raises:
        ValueError: the readout reads what `model` has not.
    """
    integers = {node.input[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}
    floats = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    have = {output for node in model.graph.node for output in node.output} | {
        tensor.name for tensor in model.graph.input
    }
    taps = {name for name in have if name.endswith("Relu_output_0") and "/backbone/" in name}
    nodes = readout_nodes(donor, taps)
    tensors = {tensor.name: tensor for tensor in donor.graph.initializer}
    read = {name for node in nodes for name in node.input if name}
    own = {name for node in nodes for name in node.output}
    if missing := read - own - taps - set(tensors):
        raise ValueError(f"the readout reads {', '.join(sorted(missing))}, which the model has not")
    as_read = {name: floats[integers[name].output[0]] if name in integers else name for name in taps}
    for node in nodes:
        copy = model.graph.node.add()
        copy.CopyFrom(node)
        copy.name = node.name and PREFIX + node.name
        copy.input[:] = [as_read.get(name, PREFIX + name if name in read - taps else name) for name in node.input]
        copy.output[:] = [name if name == NAME else PREFIX + name for name in node.output]
    for name in sorted(read & set(tensors)):
        copy = model.graph.initializer.add()
        copy.CopyFrom(tensors[name])
        copy.name = PREFIX + name
    model.graph.output.append(next(output for output in donor.graph.output if output.name == NAME))


def main(path: Path, checkpoint: Path, out: Path) -> None:
    """Reads, grafts and writes."""
    trained, card = load_checkpoint(checkpoint), ModelCard.load(path.with_suffix(".json"))
    network = rounded(trained.network)
    if network.preference is None:
        sys.exit(f"{checkpoint}: expected a network that gaze.prefer taught, it has no preference")
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, Path(folder) / "donor.onnx")
        donor = onnx.load(str(Path(folder) / "donor.onnx"))
    model = onnx.load(str(path))
    graft(model, donor)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    more = sum(parameter.numel() for parameter in network.preference.parameters())
    output = card.output | {NAME: network.backbone.strides[0]}
    card = replace(card, output=output, parameters=card.parameters + more, sha256=hashlib.sha256(content).hexdigest())
    write_atomic(out.with_suffix(".json"), card.dumps().encode(), overwrite=True)
    write_atomic(out, content, overwrite=True)
    print(f"{out}: {len(content) / 1e6:.2f} MB, {more} weights more than {path}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
