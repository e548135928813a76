"""ONNX Runtime on the CPU: what exported networks run on."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from gaze.geometry import Size
from gaze.models.network import GazeNetwork
from gaze.models.onnx import export_onnx
from gaze.pruning.cost.engines.base import ENGINES, Engine, Run, placed, random_image
from gaze.pruning.cost.engines.onnx_profile import cpu_session, exported, onnxruntime_module, profiled
from gaze.pruning.cost.engines.timing import Timing


@ENGINES.register("onnxruntime")
class OnnxRuntime(Engine):
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def load(self, module: nn.Module, *inputs: Tensor) -> Run:
        """See `Engine.load`; rows and columns stay free, as in an exported network."""
        return self._session(exported(*placed(module, inputs, self.device)), inputs)

    def load_network(self, network: GazeNetwork, size: Size) -> Run:
        """See `Engine.load_network`; the network is exported as users get it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            export_onnx(network, path)
            return self._session(path.read_bytes(), [random_image(size)])

    def operator_time(self, module: nn.Module, inputs: Sequence[Tensor], budget: float, rounds: int) -> Timing:
        """See `Engine.operator_time`.

        ONNX Runtime computes in blocks of maps and reorders tensors where an operator stands alone. So it is run
        between other layers, and its own steps are timed by ONNX Runtime's profiler.
        """
        return Timing.of(profiled(*placed(module, inputs, self.device), self.threads, budget, rounds))

    def versions(self) -> dict[str, str]:
        """See `Engine.versions`."""
        return {"onnxruntime": onnxruntime_module().__version__}

    def _session(self, content: bytes, inputs: Sequence[Tensor]) -> Run:
        session = cpu_session(content, self.threads)
        feed = {node.name: x.cpu().numpy() for node, x in zip(session.get_inputs(), inputs, strict=True)}

        def run() -> None:
            session.run(None, feed)

        return run
