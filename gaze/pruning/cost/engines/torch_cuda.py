"""torch on an NVIDIA graphics card."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gaze.errors import ConfigError
from gaze.pruning.cost.engines.base import ENGINES, Engine, Run, placed


@ENGINES.register("torch-cuda")
class TorchCuda(Engine):
    """torch on the current CUDA device; `threads` changes nothing."""

    name, device = "torch-cuda", "cuda"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        if not torch.cuda.is_available():
            raise ConfigError(f"engine={self.name}: torch finds no CUDA device here")

    def load(self, module: nn.Module, *inputs: Tensor) -> Run:
        """See `Engine.load`."""
        copied, there = placed(module, inputs, self.device)

        def run() -> None:
            with torch.inference_mode():
                copied(*there)
            torch.cuda.synchronize()

        return run

    @property
    def clock(self) -> Callable[[], float]:
        """Wall time: the processor only waits."""
        return time.perf_counter

    def machine(self) -> str:
        """The graphics card."""
        return torch.cuda.get_device_name()
