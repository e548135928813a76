"""Where a network's time goes."""

import pytest

from gaze.geometry import Size
from gaze.pruning import find_groups
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_report import shares
from gaze.pruning.cost.models.macs import MacCost


def test_the_kinds_that_cost_most_come_first(small_kind):
    network = small_kind("vgg_bn")
    cost, full = MacCost(find_operators(network, Size(48, 32))), {g.name: g.maps for g in find_groups(network)}
    rows = shares(cost, full, rows=2)
    assert [row[0] for row in rows][-1] == "the rest"
    assert rows[0][2] >= rows[1][2]
    assert sum(row[2] for row in rows) == pytest.approx(cost.total(full))
    assert sum(row[3] for row in rows) == pytest.approx(1)
    assert sum(row[1] for row in rows) == len(cost.operators)
