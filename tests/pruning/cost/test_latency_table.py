"""Latency tables: interpolation, storage, and measuring a small network."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gaze.geometry import Size
from gaze.pruning import find_groups
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_table import Grid, LatencyTable, alignment, filled, load_or_measure
from gaze.pruning.cost.models.table import TableCost

SIZE = Size(48, 32)


def time(i: int, o: int) -> float:
    return 2 + 0.5 * i + 0.25 * o + 0.0625 * i * o


def bilinear(reads, writes) -> Grid:
    values = [[time(i, o) for o in writes] for i in reads]
    return Grid(reads, writes, values, values, values)


@pytest.fixture
def table() -> LatencyTable:
    full, beside = bilinear([8, 32, 64], [8, 32]), bilinear([7, 63], [8, 32])
    return LatencyTable({"engine": "a"}, 8, 0.01, 0.001, {"conv": {0: full, 2: beside}})


@pytest.mark.parametrize(("reads", "writes"), [(8, 8), (48, 16), (80, 24), (16, 64)])
def test_a_bilinear_time_is_reproduced_between_and_beyond_the_measured_widths(table, reads, writes):
    assert table.time("conv", reads, writes) == pytest.approx(time(reads, writes))


def test_outputs_count_in_whole_blocks_where_the_input_fills_its_own(table):
    assert table.time("conv", 16, 17) == table.time("conv", 16, 24)
    assert table.time("conv", 15, 17, aligned=2) == pytest.approx(time(15, 17))


def test_time_never_falls_to_nothing():
    grid = Grid([8, 16], [], [[1.0], [9.0]], [[1.0], [9.0]], [[1.0], [9.0]])
    assert grid.at(1, 1) == 0.5


def test_the_worst_input_decides_the_alignment(table):
    assert [alignment(width, 8) for width in (16, 12, 10, 7)] == [0, 1, 2, 2]
    assert {alignment(width, 1) for width in range(1, 9)} == {0}
    assert table.alignment([16, 8]) == 0
    assert table.alignment([16, 7]) == 2
    assert [filled(width, 8) for width in (1, 8, 9)] == [8, 8, 16]


def test_what_is_saved_is_loaded(table, tmp_path):
    table.save(tmp_path / "latency.json")
    assert LatencyTable.load(tmp_path / "latency.json") == table


def test_a_table_that_called_its_blocks_granules_is_still_read(table, tmp_path):
    table.save(tmp_path / "latency.json")
    text = (tmp_path / "latency.json").read_text()
    (tmp_path / "latency.json").write_text(text.replace('"block": 8', '"granule": 8'))
    assert '"block"' not in (tmp_path / "latency.json").read_text()
    assert LatencyTable.load(tmp_path / "latency.json") == table


def test_a_small_network_is_measured_once_and_again_where_something_else_is_asked_for(
    small_kind, tmp_path, capsys, monkeypatch
):
    for name, little in (("PASSES", 1), ("ROUNDS", 2), ("MILLISECONDS", 0.0), ("SHARES", ((0.0, 1.0), (1.0,)))):
        monkeypatch.setattr(f"gaze.pruning.cost.latency_table.{name}", little)
    monkeypatch.setattr("gaze.pruning.cost.latency_table.measure_block", lambda engine: 8)
    network, path = small_kind("vgg_bn"), tmp_path / "latency.json"
    operators, maps = find_operators(network, SIZE), {group.name: group.maps for group in find_groups(network)}
    engine = TorchCpu(1)
    measured = load_or_measure(path, operators, maps, engine, SIZE, progress=False)
    assert measured.grids.keys() == {operator.kind for operator in operators}
    assert all(
        np.all(np.diff([g.low, g.median, g.high], axis=0) >= 0) for k in measured.grids.values() for g in k.values()
    )
    assert TableCost(operators, measured).total(maps) > 0
    assert measured.facts["machine"]
    assert measured.facts["versions"]
    assert load_or_measure(path, operators, maps, engine, SIZE, progress=False) == measured
    assert capsys.readouterr().out == ""
    stale = replace(measured, facts={**measured.facts, "threads": 7})
    stale.save(path)
    assert load_or_measure(path, operators, maps, engine, SIZE, progress=False).facts == measured.facts
    assert "another threads" in capsys.readouterr().out
    path.write_text(json.dumps({"grids": {}}))
    load_or_measure(path, operators, maps, engine, SIZE, progress=False)
    assert "not a latency table" in capsys.readouterr().out
