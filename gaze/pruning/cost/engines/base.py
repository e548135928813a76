"""What every engine does: it makes a network or a fused operator ready to run, and says how long that takes."""

import copy
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from gaze.errors import ConfigError
from gaze.pruning.cost.engines.timing import Run, Timing, milliseconds
from gaze.pruning.cost.example_input import ExampleInput
from gaze.registry import Registry


class Engine(ABC):
    """Something that runs networks on one machine.

    Args:
        threads: within one image, on the CPU.

    Attributes:
        name: by which it is registered.
        device: torch's name of where it computes; copies of networks go there.

    Raises:
        ConfigError: `threads` is below 1, or the engine cannot run here.
    """

    name: ClassVar[str]
    device: ClassVar[str] = "cpu"

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ConfigError(f"threads: expected at least 1, got {threads}")
        self.threads = threads

    @abstractmethod
    def load(self, module: nn.Module, *inputs: Tensor) -> Run:
        """Makes a copy of a module ready to run on these inputs, on any device; the caller's stay what they are.

        Returns:
            A function; each call runs the copy once, to the end.
        """

    def load_network(self, network: nn.Module, example: ExampleInput) -> Run:
        """A whole network, ready to run on an example as a user of it would; see `load`."""
        return self.load(network, *example.inputs)

    def operator_time(self, module: nn.Module, inputs: Sequence[Tensor], budget: float, rounds: int) -> Timing:
        """How long a fused operator takes within a network.

        Args:
            module: maps in, maps out; `module.alone` says that a convolution begins it, which needs no layer before it.
            inputs: random maps.
            budget: milliseconds to spend at least.
            rounds: at least.
        """
        run = self.load(module, *inputs)
        start, times = time.perf_counter(), list[float]()
        while len(times) < rounds + 2 or 1000 * (time.perf_counter() - start) < budget:
            times.append(milliseconds(run, self.clock))
        return Timing.of(times[2:])

    @property
    def clock(self) -> Callable[[], float]:
        """What times whole networks, in seconds: on one thread the time the processor spent on it, else wall time.

        The two are the same on an idle machine. On a busy one, a run of 10 ms is interrupted more often than not.
        """
        return time.thread_time if self.threads == 1 else time.perf_counter

    def versions(self) -> dict[str, str]:
        """Versions of what runs the network."""
        return {"torch": torch.__version__}

    def machine(self) -> str:
        """The processor or the graphics card."""
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else os.uname().machine


ENGINES: Registry[type[Engine]] = Registry("gaze.pruning.cost.engines", "engine")
"""The engines by their names in `engine`."""


def placed(module: nn.Module, inputs: Sequence[Tensor], device: str) -> tuple[nn.Module, list[Tensor]]:
    """A copy of a module, ready to predict, and its inputs, all on `device`; the caller's stay what they are."""
    return copy.deepcopy(module).to(device).eval(), [x.to(device) for x in inputs]
