"""What cost models say, against sums and slopes worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.pruning import find_groups, remove
from gaze.pruning.cost.fused_operators import FusedOperator, Width, find_operators
from gaze.pruning.cost.latency_table import Grid, LatencyTable
from gaze.pruning.cost.models import COSTS
from gaze.pruning.cost.models.linear import LinearCost
from gaze.pruning.cost.models.macs import MacCost
from gaze.pruning.cost.models.quadratic import QuadraticCost
from gaze.pruning.cost.models.table import TableCost
from gaze.pruning.cost.models.uniform import UniformCost
from gaze.training.photograph import photograph

SIZE = Size(48, 32)
A = Width(0, (("a", 1),))
B = Width(0, (("b", 1),))


def operator(name, kind, inputs, writes, dense, kernel) -> FusedOperator:
    return FusedOperator(name, kind, inputs, writes, dense, rows=2, columns=5, kernel=kernel, builder=None)


CHAIN = [
    operator("first", "stem", (Width(3),), A, True, 9),
    operator("depthwise", "dw", (A,), A, False, 9),
    operator("second", "conv", (A,), B, True, 1),
    operator("joined", "cat", (A, B), Width(0, (("a", 1), ("b", 1))), False, 0),
]


def grid(reads, writes, time) -> Grid:
    values = [[time(i, o) for o in writes or [0]] for i in reads]
    return Grid(reads, writes, values, values, values)


def table(block: int = 8, noise: float = 0.01) -> LatencyTable:
    """A machine on which inputs that fill no blocks take 10 ms more."""
    alignments = ((0, 0, 0), (1, 4, 10), (2, 1, 10))
    reads = [8, 32, 64]

    def grids(writes, time):
        return {
            a: grid([r - short for r in reads], writes, lambda i, o, p=penalty: time(i, o) + p)
            for a, short, penalty in alignments
        }

    return LatencyTable(
        {},
        block,
        noise,
        0.001,
        {
            "stem": {2: grid([3], reads, lambda i, o: 1 + 0.5 * o)},
            "dw": grids([], lambda i, o: 0.25 + 0.125 * i),
            "conv": grids(reads, lambda i, o: 2 + 0.5 * i + 0.25 * o + 0.0625 * i * o),
            "cat": grids([], lambda i, o: 0.5 * i),
        },
    )


def chain_time(a: int, b: int) -> float:
    return (1 + 0.5 * a) + (0.25 + 0.125 * a) + (2 + 0.5 * a + 0.25 * b + 0.0625 * a * b) + 0.5 * (a + b)


@pytest.mark.parametrize("model", [TableCost, QuadraticCost])
def test_a_network_costs_the_sum_of_its_operators(model):
    cost = model(CHAIN, table())
    assert cost.total({"a": 48, "b": 24}) == pytest.approx(chain_time(48, 24))
    assert cost.saving("a", 16, {"a": 48, "b": 24}) == pytest.approx(chain_time(48, 24) - chain_time(32, 24))


def test_the_quadratic_is_recovered_from_the_measurements():
    assert QuadraticCost(CHAIN, table()).coefficients["conv"] == pytest.approx((2, 0.5, 0.25, 0.0625))


def test_the_linear_cost_is_fitted_without_products_so_that_savings_are_the_same_beside_any_neighbour():
    grid = table().grids["conv"][0]
    points = [(i, o, grid.low[r][c]) for r, i in enumerate(grid.reads) for c, o in enumerate(grid.writes)]
    reads, writes, times = np.array(points).T
    design = np.stack([np.ones_like(reads), reads, writes], 1)
    best = np.linalg.lstsq(design / times[:, None], np.ones_like(times), rcond=None)[0]
    cost = LinearCost(CHAIN, table())
    assert cost.coefficients["conv"] == pytest.approx((*best, 0))
    assert cost.saving("a", 16, {"a": 48, "b": 24}) == pytest.approx(cost.saving("a", 16, {"a": 48, "b": 8}))


def test_the_table_knows_that_a_block_takes_as_long_as_its_part():
    cost = TableCost(CHAIN, table())
    full = cost.total({"a": 48, "b": 24})
    assert cost.saving("b", 1, {"a": 48, "b": 24}) == pytest.approx(-10 + 0.5)  # the concatenation leaves its blocks
    assert cost.total({"a": 47, "b": 24}) > full
    assert TableCost(CHAIN[:3], table()).saving("b", 1, {"a": 48, "b": 24}) == pytest.approx(0)


def test_a_step_goes_to_the_next_width_that_is_faster_by_more_than_the_noise():
    maps = {"a": 48, "b": 24}
    assert TableCost(CHAIN, table()).step("b", maps) == 8
    assert TableCost(CHAIN, table()).step("b", {"a": 48, "b": 21}) == 5
    loud = TableCost(CHAIN, table(noise=0.4))
    saved = [loud.saving("b", n, maps) for n in (8, 16)]
    noise = loud.noise_of(CHAIN[2:], maps)
    assert saved[0] < noise < saved[1]
    assert loud.step("b", maps) == 16
    assert TableCost(CHAIN, table(noise=9.0)).step("b", maps) is None


def test_no_step_leads_below_one_map():
    assert MacCost(CHAIN).step("a", {"a": 2, "b": 1}) == 1
    assert MacCost(CHAIN).step("b", {"a": 2, "b": 1}) is None
    assert TableCost(CHAIN, table()).step("b", {"a": 48, "b": 8}) is None


def test_a_mac_is_one_product_of_a_weight():
    cost = MacCost(CHAIN)
    maps = {"a": 4, "b": 6}
    stem, depthwise, second = 10 * 4 * 3 * 9, 10 * 4 * 9, 10 * 6 * 4
    assert cost.total(maps) == stem + depthwise + second
    assert cost.saving("b", 2, maps) == 10 * 2 * 4
    assert cost.unit == "MAC"


class Mixed(nn.Module):
    """Strides, groups, dilation, a rectangular kernel, depthwise with and without more maps, with and without bias."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3, groups=4, padding=1),
            nn.Conv2d(12, 24, 5, groups=12),
            nn.BatchNorm2d(24),
            nn.Conv2d(24, 6, (1, 3), dilation=2),
            nn.Conv2d(6, 1, 1),
        )

    def forward(self, images):
        return self.layers(images.permute(0, 3, 1, 2).float())


def counted(network: nn.Module, run) -> float:
    """Multiply-adds as torch counts them: half of what it calls flops, which leave biases out."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(torch.zeros(1, SIZE.height, SIZE.width, 3, dtype=torch.uint8))
    return counter.get_total_flops() / 2


def test_macs_are_what_torch_counts_before_and_after_surgery(small):
    network = small.eval()
    run = lambda images: network.readout(network.backbone(images))  # noqa: E731 (the blur is not counted)
    cost, maps = MacCost(find_operators(network, photograph(SIZE))), {g.name: g.maps for g in find_groups(network)}
    assert cost.total(maps) == counted(network, run) > 0
    gone = {name: range(0, count // 2) for name, count in maps.items()}
    remove(network, gone)
    assert cost.total({name: count - len(gone[name]) for name, count in maps.items()}) == counted(network, run)


def test_macs_of_every_form_of_convolution_are_what_torch_counts():
    network = Mixed().eval()
    operators = find_operators(network, photograph(SIZE))
    assert MacCost(operators).total({g.name: g.maps for g in find_groups(network)}) == counted(network, network) > 0
    assert any(operator.split == 4 for operator in operators)


def test_without_a_cost_every_map_counts_one():
    cost = UniformCost()
    assert cost.total({"a": 4, "b": 6}) == 10
    assert cost.saving("a", 3, {"a": 4, "b": 6}) == 3
    assert cost.step("a", {"a": 4, "b": 6}) == 1


def test_calibration_scales_totals_and_savings_and_is_kept_in_the_state():
    cost, maps = TableCost(CHAIN, table()), {"a": 48, "b": 24}
    before, step = cost.saving("b", 8, maps), cost.step("b", maps)
    cost.calibrate(maps, 2 * cost.total(maps))
    assert cost.scale == pytest.approx(2)
    assert cost.saving("b", 8, maps) == pytest.approx(2 * before)
    assert cost.step("b", maps) == step
    other = TableCost(CHAIN, table())
    other.load_state_dict(cost.state_dict())
    assert other.total(maps) == cost.total(maps)


def test_predictions_are_the_same_from_the_units_before_and_after_surgery(small):
    size = Size(48, 32)
    before, maps = MacCost(find_operators(small, photograph(size))), {g.name: g.maps for g in find_groups(small)}
    gone = {name: range(0, count // 2) for name, count in maps.items()}
    left = {name: count - len(gone[name]) for name, count in maps.items()}
    remove(small, gone)
    after = MacCost(find_operators(small, photograph(size)))
    assert before.total(left) == after.total({g.name: g.maps for g in find_groups(small)})
    full = before.total(maps)
    assert before.total(left) == pytest.approx(full - sum_of_savings(before, maps, gone))


def sum_of_savings(cost, maps, gone) -> float:
    """Removes group after group."""
    total, now = 0.0, dict(maps)
    for name, out in gone.items():
        total += cost.saving(name, len(out), now)
        now[name] -= len(out)
    return total


def test_savings_change_with_neighbours_alone(small):
    groups = {group.name: group.maps for group in find_groups(small)}
    cost = MacCost(find_operators(small, photograph(Size(64, 64))))
    for name in groups:
        fewer = {**groups, name: groups[name] - 1}
        changed = {
            other for other in groups if other != name and cost.saving(other, 1, groups) != cost.saving(other, 1, fewer)
        }
        assert changed <= cost.neighbours(name)
        assert name in cost.neighbours(name)


@pytest.mark.parametrize("name", list(COSTS))
def test_every_cost_model_is_made_of_units_and_a_table(name):
    assert COSTS[name](CHAIN, table()).total({"a": 48, "b": 24}) > 0


@pytest.mark.parametrize("name", ["linear", "quadratic", "table"])
def test_a_cost_model_of_measured_times_asks_for_them(name):
    with pytest.raises(ValueError, match="table: expected a latency table, got None"):
        COSTS[name](CHAIN)


def test_a_cost_model_is_a_name_and_a_wrong_name_lists_them():
    assert {name: COSTS[name] for name in COSTS} == {
        "macs": MacCost,
        "none": UniformCost,
        "linear": LinearCost,
        "quadratic": QuadraticCost,
        "table": TableCost,
    }
    names = "linear, macs, none, quadratic, table"
    with pytest.raises(ConfigError, match=rf"pruner\.cost: expected one of {names}, got 'joules'"):
        COSTS.get("joules", "pruner.cost")
