"""A photograph, as the example on which a gaze network is timed."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gaze.geometry import Size
from gaze.models.network import GazeNetwork
from gaze.models.onnx import export_onnx
from gaze.models.padding import fix_padding
from gaze.pruning.cost.example_input import ExampleInput


def photograph(size: Size) -> ExampleInput:
    """uint8 noise, 1 x H x W x 3, for a gaze network that is exported as its users get it."""
    noise = torch.randint(0, 256, (1, size.height, size.width, 3), generator=torch.Generator().manual_seed(0))
    return ExampleInput((noise.to(torch.uint8),), (size.width, size.height), _fixed, _exported)


def _fixed(network: GazeNetwork) -> GazeNetwork:
    network = copy.deepcopy(network)
    fix_padding(network)
    if isinstance(network, GazeNetwork):  # of any other, convolutions are all that an image times
        network.fix_factors()
    return network


def _exported(network: GazeNetwork, inputs: Sequence[Tensor]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(network, path)
        return path.read_bytes()
