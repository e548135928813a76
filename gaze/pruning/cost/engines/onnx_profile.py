"""How long a fused operator takes within a network on ONNX Runtime, by that one's own profile."""

import io
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gaze.models.onnx import export_graph

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

REORDERS = ("ReorderInput", "ReorderOutput")
"""ONNX Runtime's steps between its blocked layout and the plain one."""

NEIGHBOUR = 3
"""Maps that the layers around a measured operator exchange with the outside: a number that no operator has itself."""


def onnxruntime_module() -> Any:
    """ONNX Runtime, loaded without its usage reports."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as `gaze.predictor.open_session`
    import onnxruntime

    return onnxruntime


def cpu_session(content: bytes, threads: int, profile: str | None = None) -> "InferenceSession":
    """An ONNX model, ready to run; with `profile`, the prefix of the file that its steps' times are written to."""
    onnxruntime = onnxruntime_module()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def exported(module: nn.Module, inputs: Sequence[Tensor]) -> bytes:
    """A module as ONNX; rows and columns stay free, as in an exported network."""
    file, names = io.BytesIO(), [f"x{index}" for index in range(len(inputs))]
    maps = {name for name, x in zip(names, inputs, strict=True) if x.ndim == 4 and x.dtype.is_floating_point}
    export_graph(module, inputs, file, names, None, {name: {2: f"h{name}", 3: f"w{name}"} for name in maps})
    return file.getvalue()


class Between(nn.Module):
    """An operator with layers before it that write its inputs, so that it finds them as it does in a network."""

    def __init__(self, operator: nn.Module, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.operator = operator
        self.before = nn.ModuleList(_neighbour(x, NEIGHBOUR, x.shape[1]) for x in inputs)
        # a second reader keeps the layer before from being fused with the operator
        self.beside = nn.ModuleList(_neighbour(x, x.shape[1], NEIGHBOUR) for x in inputs)
        self.eval()

    def forward(self, *outside: Tensor) -> list[Tensor]:
        """Maps from the outside, one tensor an input of the operator."""
        entering = [layer(x) for layer, x in zip(self.before, outside, strict=True)]
        return [self.operator(*entering), *(layer(x) for layer, x in zip(self.beside, entering, strict=True))]


def _neighbour(x: Tensor, reads: int, writes: int) -> nn.Module:
    """A layer for tensors with the dimensions of `x`."""
    return (nn.Conv2d(reads, writes, 1) if x.ndim == 4 else nn.Linear(reads, writes)).to(x.device)


def profiled(module: nn.Module, inputs: Sequence[Tensor], threads: int, budget: float, rounds: int) -> list[float]:
    """Milliseconds of an operator in each of several runs, but the first two; see `Engine.operator_time`."""
    if not module.alone:
        module, inputs = Between(module, inputs), [x.new_zeros(1, NEIGHBOUR, *x.shape[2:]) for x in inputs]
    with tempfile.TemporaryDirectory() as folder:
        session = cpu_session(exported(module, inputs), threads, f"{folder}/profile")
        feed = {node.name: x.numpy() for node, x in zip(session.get_inputs(), inputs, strict=True)}
        spans, start = list[tuple[float, float]](), time.perf_counter()
        while len(spans) < rounds + 2 or 1000 * (time.perf_counter() - start) < budget:
            before = time.perf_counter(), time.thread_time()
            session.run(None, feed)
            spans.append((1000 * (time.perf_counter() - before[0]), 1000 * (time.thread_time() - before[1])))
        events = json.loads(Path(session.end_profiling()).read_text())
    counted, others = (_sums(events, len(spans), which) for which in (True, False))
    if threads == 1:
        counted = _uninterrupted(counted, others, np.array(spans))
    return counted[2:].tolist()


def _sums(events: Iterable[Mapping[str, Any]], runs: int, counted: bool) -> NDArray[np.float64]:
    """Milliseconds of each run in the steps that belong to the operator, or in the others."""
    times: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and _counts(event) == counted:
            times.setdefault(event["name"], []).append(event["dur"] / 1000)
    return np.array(np.sum(list(times.values()), axis=0)) if times else np.zeros(runs)


def _uninterrupted(
    counted: NDArray[np.float64], others: NDArray[np.float64], spans: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Takes out of wall times what the processor did for others meanwhile.

    Where a run was interrupted, it took the operator at most the run's processor time less what all else needs.

    Args:
        counted: wall time of the operator in each run.
        others: of the other steps.
        spans: of each run, wall time and processor time.
    """
    wall, processor = spans.T
    rest = np.percentile(others, 25) + (wall - counted - others).min()
    most = np.where(wall - processor > 0.05 * wall, np.maximum(processor - rest, 0.05 * processor), np.inf)
    return np.minimum(counted, most)


def _counts(event: Mapping[str, Any]) -> bool:
    """Whether a step of the profile belongs to the operator."""
    return event["args"]["op_name"] not in REORDERS and not event["name"].startswith(("/before", "/beside"))
