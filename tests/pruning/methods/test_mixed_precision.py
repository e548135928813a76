"""Every signal and method under mixed precision: they run, they know the scale, and an overflow says nothing."""

import copy
from contextlib import nullcontext

import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from gaze.errors import GazeError
from gaze.pruning.information.signal import SIGNALS, SignalOptions
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.methods.weight_pruning import WeightPruning
from tests.pruning.methods.test_fisher_pruning import Count, Module, measured, network, trainer  # noqa: F401

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode", "ignore:.*lr_scheduler.step"
)
SCHEDULE = ScheduleConfig(
    updates_per_removal=2, maps_per_removal=None, removals=2, removals_per_surgery=1, finetune_updates=1
)
METHODS = [*SIGNALS, "weights"]


def method(name: str, net: torch.nn.Module, folder):
    """The method `weights`, or the removal of maps by the signal of that name."""
    if name == "weights":
        return WeightPruning(0.5, SCHEDULE)
    log = RemovalLog(folder / f"{name}.csv")

    def signal(net, groups):
        return SIGNALS.get(name).make(net, groups, SignalOptions())

    return FisherPruning(signal, Count(), Count(), measured, 0.8 * measured(net), SCHEDULE, log)


class Scaled(MixedPrecision):
    """The scaler of 16-mixed around full precision; its scale doubles each time, and the first gradients overflow."""

    def __init__(self, overflows: int = 0):
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1))
        self.overflows = overflows

    def pre_backward(self, tensor, module):
        self.overflows -= 1
        return super().pre_backward(tensor * float("inf") if self.overflows >= 0 else tensor, module)

    def autocast_context_manager(self):
        return nullcontext()


def seen(name: str, net: torch.nn.Module, folder, **settings) -> dict[str, torch.Tensor]:
    """The values of the signal at the first removal."""
    callback, found = method(name, net, folder), {}
    remove = callback.remove

    def watch(trainer):
        found.update(found or {key: value.clone() for key, value in callback.signal.values().items()})
        remove(trainer)

    callback.remove = watch
    trainer(folder, callback, **settings).fit(Module(net))
    return found


@pytest.mark.parametrize("name", METHODS)
def test_runs_under_bfloat16(network, tmp_path, name):  # noqa: F811
    callback = method(name, network, tmp_path)
    trainer(tmp_path, callback, precision="bf16-mixed").fit(Module(network))
    assert callback.finished is not None
    assert all(torch.isfinite(value).all() for value in callback.signal.values().values())
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_runs_under_float16_with_a_scaler(network, tmp_path, name):  # noqa: F811
    callback = method(name, network, tmp_path)
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=256.0))
    trainer(tmp_path, callback, plugins=[plugin]).fit(Module(network))
    assert callback.finished is not None


@pytest.mark.parametrize("name", ["fisher", "taylor", "weights"])
def test_the_scale_is_taken_out_again(network, tmp_path, name):  # noqa: F811
    plain = seen(name, copy.deepcopy(network), tmp_path)
    scaled = seen(name, copy.deepcopy(network), tmp_path, plugins=[Scaled()])
    assert any(value.any() for value in plain.values())
    for key, value in scaled.items():
        torch.testing.assert_close(value, plain[key], rtol=1e-3, atol=1e-3 * float(plain[key].max()), msg=key)


@pytest.mark.parametrize("name", ["fisher", "taylor", "weights"])
def test_an_update_that_overflows_is_left_out(network, tmp_path, name):  # noqa: F811
    """The first overflows and leaves the weights as they are; the second is what the first of another run would be."""
    values = seen(name, network, tmp_path, plugins=[Scaled(overflows=1)])
    assert any(value.any() for value in values.values())
    assert all(torch.isfinite(value).all() for value in values.values())


@pytest.mark.parametrize("name", ["fisher", "taylor", "weights"])
def test_where_every_update_overflows_nothing_is_chosen(network, tmp_path, name):  # noqa: F811
    callback = method(name, network, tmp_path)
    run = trainer(tmp_path, callback, plugins=[Scaled(overflows=99)])
    with pytest.raises(GazeError, match=r"^pruning, update 2: expected finite gradients .* got none; set [^\n]*$"):
        run.fit(Module(network))
    if name != "weights":
        assert read(tmp_path / f"{name}.csv") == []
