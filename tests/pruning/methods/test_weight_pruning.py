"""Pruning of single weights within a Lightning training."""

import pytest
import torch

from gaze.errors import ConfigError
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.methods.weight_pruning import WeightPruning, Zeroing
from gaze.training.averaging import Averaging
from tests.pruning.methods.test_fisher_pruning import Module, network, trainer  # noqa: F401

SCHEDULE = ScheduleConfig(
    updates_per_removal=2, maps_per_removal=None, removals=3, removals_per_surgery=1, finetune_updates=2
)


def zeros(net) -> float:
    weights = torch.cat([m.weight.detach().flatten() for m in net.modules() if isinstance(m, torch.nn.Conv2d)])
    return float((weights == 0).float().mean())


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode")
def test_the_share_asked_for_is_left_in_network_and_average(network, tmp_path):  # noqa: F811
    callback, averaging = WeightPruning(0.25, SCHEDULE), Averaging(decay=0.5)
    trainer(tmp_path, averaging, callback).fit(Module(network))
    assert callback.share == pytest.approx(0.25, abs=1e-4)
    assert zeros(network) == pytest.approx(0.75, abs=1e-3)
    assert zeros(averaging.network) == pytest.approx(0.75, abs=1e-3)
    assert callback.step == 3 * 2 + 2


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode")
def test_the_weights_with_the_lowest_signal_leave(network, tmp_path):  # noqa: F811
    class Watching(WeightPruning):
        def remove(self, trainer):
            values = self.signal.values()
            before = {name: mask.clone() for name, mask in self.masks.items()}
            super().remove(trainer)
            gone = torch.cat([value[before[name] & ~self.masks[name]] for name, value in values.items()])
            stay = torch.cat([value[self.masks[name]] for name, value in values.items()])
            assert gone.max() <= stay.min()
            assert not any((self.masks[name] & ~mask).any() for name, mask in before.items()), "what left stays away"

    callback = Watching(0.5, SCHEDULE)
    trainer(tmp_path, callback).fit(Module(network))
    assert callback.removals == 3


@pytest.mark.parametrize("keep", [0.0, 1.0, 7.0])
def test_a_share_outside_0_and_1_is_refused(keep):
    with pytest.raises(ConfigError, match="expected a share of the weights"):
        WeightPruning(keep, SCHEDULE)


def test_masks_set_weights_to_zero():
    layer = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False))
    Zeroing({"0": torch.tensor([True, False]).reshape(2, 1, 1, 1)}).apply(layer)
    assert (layer[0].weight != 0).flatten().tolist() == [True, False]
