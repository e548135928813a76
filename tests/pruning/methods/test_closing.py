"""Which maps leave."""

import pytest
import torch

from gaze.pruning.methods.closing import leaving

LOG_ALPHA = torch.tensor([-3.0, 2.0, -5.0, -4.0, 0.0, -6.0, 1.0, -3.5])
GATES = (LOG_ALPHA > -2).float()


@pytest.mark.parametrize(
    ("multiple", "expected"),
    [(1, [0, 2, 3, 5, 7]), (2, [2, 3, 5, 7]), (4, [2, 3, 5, 7]), (6, [2, 5]), (8, []), (16, [])],
)
def test_of_the_closed_the_highest_stay_up_to_a_multiple(multiple, expected):
    assert leaving(GATES, LOG_ALPHA, multiple) == expected


def test_one_stays_where_all_are_closed_and_none_leaves_where_none_is():
    assert leaving(torch.zeros(3), torch.tensor([-4.0, -3.0, -5.0]), 1) == [0, 2]
    assert leaving(torch.full((3,), 0.2), torch.zeros(3), 1) == []
