"""The average of the weights forgets its start, however short the run."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from gaze.training.averaging import Averaging
from gaze.training.run import LAST, fit
from tests.training.conftest import QUIET

pytestmark = QUIET

WALK = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]


def averages(decay: float, values: Sequence[float]) -> list[float]:
    """The averages of a weight that is each of `values` in turn."""
    module = nn.Linear(1, 1, bias=False)
    average = AveragedModel(module, **Averaging(decay)._kwargs)
    found = []
    for value in values:
        nn.init.constant_(module.weight, value)
        average.update_parameters(module)
        found.append(average.module.weight.item())
    return found


def test_an_update_takes_the_decay_that_tensorflow_takes():
    expected = [WALK[0]]  # the first update copies
    for n, value in enumerate(WALK[1:], start=1):
        decay = min(0.3, (1 + n) / (10 + n))
        expected.append(decay * expected[-1] + (1 - decay) * value)
    assert averages(0.3, WALK) == pytest.approx(expected, rel=1e-5)


def test_without_decay_it_is_the_weights():
    assert averages(0.0, WALK) == pytest.approx(WALK)


@pytest.mark.parametrize(("updates", "forgotten"), [(20, 0.99), (200, 0.999)])
def test_a_short_run_is_not_judged_by_where_it_began(updates, forgotten):
    assert averages(0.998, [0.0] + [1.0] * updates)[-1] > forgotten


def test_the_decay_goes_by_the_updates_that_a_checkpoint_counts(train_config, tmp_path):
    fit(train_config("trainer.ema_decay=0.998", "trainer.max_epochs=2"))
    checkpoint = torch.load(tmp_path / "run" / LAST, weights_only=True)
    assert int(checkpoint["averaging_state"]["n_averaged"]) == checkpoint["global_step"] > 0
