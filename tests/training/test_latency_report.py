"""Where a network's time goes."""

import pytest

from gaze.geometry import Size
from gaze.pruning import find_groups
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.models.macs import MacCost
from gaze.training.latency_report import shares
from gaze.training.photograph import photograph
from tests.pruning.conftest import build_small


def test_the_kinds_that_cost_most_come_first():
    network, example = build_small("vgg_bn"), photograph(Size(48, 32))
    cost, full = (
        MacCost(find_operators(network, example)),
        {g.name: g.maps for g in find_groups(network)},
    )
    rows = shares(cost, full, rows=2)
    assert [row[0] for row in rows][-1] == "the rest"
    assert rows[0][2] >= rows[1][2]
    assert sum(row[2] for row in rows) == pytest.approx(cost.total(full))
    assert sum(row[3] for row in rows) == pytest.approx(1)
    assert sum(row[1] for row in rows) == len(cost.operators)
