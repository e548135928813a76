"""End-to-end time of networks on the engine that they will run on."""

import copy

from torch import nn

from gaze.pruning.cost.engines import Engine
from gaze.pruning.cost.engines.timing import measure
from gaze.pruning.cost.example_input import ExampleInput

WARM_UP = 3


class Stopwatch:
    """Measures networks beside a reference.

    Args:
        reference: the unpruned network.
        example: what they run on.
        engine: that runs the networks.
        rounds: runs of each; their median is taken.
        relative: report milliseconds as they would be while the machine is as fast as it was at the first measurement:
            the reference is timed again each time, turn by turn. For budgets that are a share of its time.

    Attributes:
        base: milliseconds of the reference, measured first.
    """

    def __init__(
        self, reference: nn.Module, example: ExampleInput, engine: Engine, rounds: int, relative: bool
    ) -> None:
        self.example, self.engine, self.rounds, self.relative = example, engine, rounds, relative
        self.reference = engine.load_network(bare(reference), example)
        self.base = measure({"reference": self.reference}, rounds, WARM_UP, engine.clock)["reference"].median

    def __call__(self, network: nn.Module) -> float:
        """Median milliseconds of one run."""
        runs = {"network": self.engine.load_network(bare(network), self.example)}
        if self.relative:
            runs["reference"] = self.reference
        times = measure(runs, self.rounds, WARM_UP, self.engine.clock)
        return times["network"].median * (self.base / times["reference"].median if self.relative else 1.0)


def bare(network: nn.Module) -> nn.Module:
    """A copy without gates and what else hooks into a network while it trains."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    return network
