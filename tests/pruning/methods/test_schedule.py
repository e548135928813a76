"""The pace of a pruning."""

import pytest

from gaze.errors import ConfigError
from gaze.pruning.methods.schedule import ScheduleConfig

PACE = ScheduleConfig(
    updates_per_removal=2, maps_per_removal=None, removals=4, removals_per_surgery=1, finetune_updates=0
)


def test_each_removal_saves_the_same_share_down_to_the_budget():
    goals = [PACE.goal(number, 16.0, 1.0) for number in range(1, 7)]
    assert goals == pytest.approx([8, 4, 2, 1, 1, 1])


def test_a_budget_above_the_start_asks_for_nothing():
    assert PACE.goal(4, 2.0, 3.0) == pytest.approx(2.0)


@pytest.mark.parametrize("field", ["updates_per_removal", "removals", "removals_per_surgery", "maps_per_removal"])
def test_numbers_below_one_are_refused(field):
    with pytest.raises(ConfigError, match=rf"schedule\.{field}: expected at least 1.*got 0"):
        ScheduleConfig(**{**vars(PACE), field: 0}).check()
