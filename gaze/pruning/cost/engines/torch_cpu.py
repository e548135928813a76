"""torch on the CPU."""

import torch
from torch import Tensor, nn

from gaze.pruning.cost.engines.base import ENGINES, Engine, Run, placed


@ENGINES.register("torch-cpu")
class TorchCpu(Engine):
    """torch on the CPU, with `threads` threads while it runs; the caller's number comes back after each run."""

    name = "torch-cpu"

    def load(self, module: nn.Module, *inputs: Tensor) -> Run:
        """See `Engine.load`."""
        copied, there = placed(module, inputs, self.device)

        def run() -> None:
            before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
            try:
                with torch.inference_mode():
                    copied(*there)
            finally:
                torch.set_num_threads(before)

        return run
