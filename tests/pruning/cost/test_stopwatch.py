"""End-to-end times."""

import copy

import torch

from gaze.geometry import Size
from gaze.models import build_network
from gaze.pruning.cost.engines.timing import Timing
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.stopwatch import Stopwatch, bare
from gaze.pruning.structure.gates import Gates
from gaze.pruning.structure.groups import find_groups
from gaze.training.photograph import photograph
from tests.models.conftest import small_config


def small():
    torch.manual_seed(0)
    return build_network(small_config()).eval()


def test_times_are_told_as_of_a_machine_as_fast_as_at_first(monkeypatch):
    """The machine doubles its speed: the reference shows it, and the network's time is told as before."""
    network, milliseconds = small(), iter([4.0, 1.0, 2.0])  # reference; network and reference

    def pretended(runs, rounds, warm_up, clock):
        return {name: Timing.of([next(milliseconds)]) for name in runs}

    monkeypatch.setattr("gaze.pruning.cost.stopwatch.measure", pretended)
    stopwatch = Stopwatch(network, photograph(Size(64, 48)), TorchCpu(1), rounds=3, relative=True)
    assert stopwatch.base == 4.0
    assert stopwatch(network) == 2.0


def test_a_measured_time_is_positive_and_the_network_untouched():
    network = small()
    before = copy.deepcopy(network.state_dict())
    stopwatch = Stopwatch(network, photograph(Size(64, 48)), TorchCpu(1), rounds=3, relative=False)
    assert stopwatch.base > 0
    assert stopwatch(network) > 0
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_gates_do_not_enter_the_copy():
    network = small()
    gates = Gates(network, find_groups(network))
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        opened = network(image)
        gates.close("readout.reduce.0", range(7))
        assert not torch.equal(network(image), opened)
        torch.testing.assert_close(bare(network)(image), opened)
