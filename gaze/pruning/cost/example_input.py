"""What a network is timed on, and what becomes of it first."""

import copy
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gaze.models.onnx import export_graph


def exported_whole(network: nn.Module, inputs: Sequence[Tensor]) -> bytes:
    """A copy of a network as ONNX, for inputs of these sizes."""
    file, names = io.BytesIO(), [f"x{index}" for index in range(len(inputs))]
    export_graph(copy.deepcopy(network).cpu().eval(), [x.cpu() for x in inputs], file, names, None, {})
    return file.getvalue()


@dataclass(frozen=True)
class ExampleInput:
    """One call of a network, and what its users do to the network before they run it.

    Attributes:
        inputs: what the network is called with, a batch of one, on any device.
        size: numbers by which a latency table tells what it was measured for.
        fix: makes the copy of a network whose operators are the exported ones; layers keep their names.
        export: a copy of a network as ONNX, for the engines that run that.
    """

    inputs: tuple[Tensor, ...]
    size: tuple[int, ...]
    fix: Callable[[Any], nn.Module] = copy.deepcopy
    export: Callable[[Any, Sequence[Tensor]], bytes] = exported_whole

    @classmethod
    def of(cls, *inputs: Tensor) -> "ExampleInput":
        """Any network's: it is run as it is; the size is all dimensions of all inputs."""
        return cls(inputs, tuple(side for x in inputs for side in x.shape))
