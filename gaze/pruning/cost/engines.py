"""Engines: what runs a network or a fused operator, and how long that takes."""

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.models.network import GazeNetwork
from gaze.models.onnx import export_onnx
from gaze.pruning.cost.onnx_profile import cpu_session, exported, onnxruntime_module, profiled

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


ONNXRUNTIME, TORCH_CPU, TORCH_CUDA = "onnxruntime", "torch-cpu", "torch-cuda"
ENGINES = (ONNXRUNTIME, TORCH_CPU, TORCH_CUDA)
Run = Callable[[], None]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a run: the median, the lower and the upper quartile, and of how many rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, times: Sequence[float]) -> "Timing":
        """The summary of some times in milliseconds."""
        low, median, high = np.percentile(times, [25, 50, 75])
        return cls(float(median), float(low), float(high), len(times))


@dataclass(frozen=True)
class Engine:
    """Something that runs networks.

    Args:
        name: one of `ENGINES`.
        threads: within one image, on the CPU.

    Raises:
        ConfigError: there is no such engine here, or `threads` is below 1.
    """

    name: str
    threads: int

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise ConfigError(f"engine={self.name}: expected one of {', '.join(ENGINES)}")
        if self.threads < 1:
            raise ConfigError(f"threads={self.threads}: expected at least 1")
        if self.name == TORCH_CUDA and not torch.cuda.is_available():
            raise ConfigError(f"engine={self.name}: torch finds no CUDA device here")

    def load(self, module: nn.Module, *inputs: Tensor) -> Run:
        """Makes a module ready to run on these inputs; each call of the result runs it once, to the end."""
        if self.name == ONNXRUNTIME:
            session = cpu_session(exported(module, inputs), self.threads)
            return _on_session(session, {node.name: x for node, x in zip(session.get_inputs(), inputs, strict=True)})
        if self.name == TORCH_CUDA:
            return _on_cuda(module, inputs)
        return _on_cpu(module, inputs, self.threads)

    def operator_time(self, module: nn.Module, inputs: Sequence[Tensor], milliseconds: float, rounds: int) -> Timing:
        """How long a fused operator takes within a network.

        ONNX Runtime computes in blocks of maps and reorders tensors where an operator stands alone. So it is run
        between other layers and its own steps are timed by ONNX Runtime's profiler. Other engines are timed by clock.

        Args:
            module: maps in, maps out; `module.alone` says that a convolution begins it, which needs no layer before it.
            inputs: random maps.
            milliseconds: to spend at least.
            rounds: at least.
        """
        if self.name == ONNXRUNTIME:
            return Timing.of(profiled(module, inputs, self.threads, milliseconds, rounds))
        run = self.load(module, *inputs)
        start, times = time.perf_counter(), list[float]()
        while len(times) < rounds + 2 or 1000 * (time.perf_counter() - start) < milliseconds:
            times.append(_time(run, self.clock))
        return Timing.of(times[2:])

    @property
    def clock(self) -> Callable[[], float]:
        """What times whole networks, in seconds: on one thread the time the processor spent on it, else wall time.

        The two are the same on an idle machine. On a busy one, a run of 10 ms is interrupted more often than not.
        """
        return time.thread_time if self.threads == 1 and self.name != TORCH_CUDA else time.perf_counter

    def versions(self) -> dict[str, str]:
        """Versions of what runs the network."""
        if self.name == ONNXRUNTIME:
            return {"onnxruntime": onnxruntime_module().__version__}
        return {"torch": torch.__version__}

    def machine(self) -> str:
        """The processor or the graphics card."""
        if self.name == TORCH_CUDA:
            return torch.cuda.get_device_name()
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else os.uname().machine


def measure(
    runs: Mapping[str, Run], rounds: int, warm_up: int = 3, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Timing]:
    """Times runs.

    They take turns, so that what else the machine does hits all alike. Where it is busy, the lower quartile is the
    steadiest number to compare.

    Args:
        runs: by name, see `Engine.load`.
        rounds: that count.
        warm_up: rounds before those.
        clock: seconds; see `Engine.clock`.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for index in range(warm_up + rounds):
            for name, run in runs.items():
                elapsed = _time(run, clock)
                if index >= warm_up:
                    times[name].append(elapsed)
    finally:
        if collecting:
            gc.enable()
    return {name: Timing.of(values) for name, values in times.items()}


def network_runner(network: GazeNetwork, size: Size, engine: Engine) -> Run:
    """A whole network, ready to run on one random photograph of `size`, as a user of it would."""
    image = torch.randint(0, 256, (1, size.height, size.width, 3), dtype=torch.uint8)
    if engine.name != ONNXRUNTIME:
        return engine.load(network, image)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, Path(folder) / "network.onnx")
        session = cpu_session((Path(folder) / "network.onnx").read_bytes(), engine.threads)
    return _on_session(session, {"image": image})


def noise_floor(first: Sequence[Timing], second: Sequence[Timing]) -> tuple[float, float]:
    """What measuring the same things again changes: the median difference, relative and in milliseconds.

    The relative one is that of the longer half, where the clock's own steps do not show.
    """
    pairs = sorted((a.low, b.low) for a, b in zip(first, second, strict=True))
    relative = statistics.median(2 * abs(a - b) / max(a + b, 1e-9) for a, b in pairs[len(pairs) // 2 :])
    return relative, statistics.median(abs(a - b) for a, b in pairs)


def _time(run: Run, clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    run()
    return 1000 * (clock() - start)


def _on_session(session: "InferenceSession", inputs: Mapping[str, Tensor]) -> Run:
    feed = {name: x.numpy() for name, x in inputs.items()}

    def run() -> None:
        session.run(None, feed)

    return run


def _on_cpu(module: nn.Module, inputs: Sequence[Tensor], threads: int) -> Run:
    module = module.eval()

    def run() -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            module(*inputs)

    return run


def _on_cuda(module: nn.Module, inputs: Sequence[Tensor]) -> Run:
    module, there = module.eval().cuda(), [x.cuda() for x in inputs]

    def run() -> None:
        with torch.inference_mode():
            module(*there)
        torch.cuda.synchronize()

    return run
