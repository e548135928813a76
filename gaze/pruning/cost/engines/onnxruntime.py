"""ONNX Runtime on the CPU: what exported networks run on."""

from collections.abc import Sequence

from torch import Tensor, nn

from gaze.pruning.cost.engines.base import ENGINES, Engine, Run, placed
from gaze.pruning.cost.engines.onnx_profile import cpu_session, exported, onnxruntime_module, profiled
from gaze.pruning.cost.engines.timing import Timing
from gaze.pruning.cost.example_input import ExampleInput


@ENGINES.register("onnxruntime")
class OnnxRuntime(Engine):
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def load(self, module: nn.Module, *inputs: Tensor) -> Run:
        """See `Engine.load`; rows and columns stay free, as in an exported network."""
        return self._session(exported(*placed(module, inputs, self.device)), inputs)

    def load_network(self, network: nn.Module, example: ExampleInput) -> Run:
        """See `Engine.load_network`; the network is exported as users get it."""
        return self._session(example.export(network, example.inputs), example.inputs)

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
