"""Latency tables: interpolation, storage, and measuring a small network."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.pruning import find_groups, remove
from gaze.pruning.cost.engines.timing import Timing
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_table import Grid, LatencyTable, alignment, filled, load_or_measure, measure_table
from gaze.pruning.cost.models.table import TableCost
from gaze.training.photograph import photograph
from tests.pruning.conftest import SMALL

EXAMPLE = photograph(Size(48, 32))


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


class Pretended(TorchCpu):
    """An engine that takes a millisecond for everything."""

    def operator_time(self, module, inputs, budget, rounds):
        return Timing.of([1.0])


@pytest.fixture
def measured(small_kind, monkeypatch, tmp_path):
    """A network's operators and maps, and a way to `load_or_measure` them in blocks of 8."""
    monkeypatch.setattr("gaze.pruning.cost.latency_table.measure_block", lambda engine: 8)

    def of(kind: str):
        network = small_kind(kind)
        operators, maps = (
            find_operators(network, EXAMPLE),
            {group.name: group.maps for group in find_groups(network)},
        )
        maps = {name: 20 * count for name, count in maps.items()}  # wider than a block, as no small network is
        path = tmp_path / "latency.json"
        return operators, path, partial(load_or_measure, path, operators, maps, Pretended(1), EXAMPLE, False)

    return of


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("block", [1, 2, 8])
def test_a_table_covers_the_network_that_it_was_measured_for_and_narrower_ones(kind, block, small_kind, monkeypatch):
    monkeypatch.setattr("gaze.pruning.cost.latency_table.measure_block", lambda engine: block)
    network = small_kind(kind)
    operators, maps = (
        find_operators(network, EXAMPLE),
        {group.name: group.maps for group in find_groups(network)},
    )
    table = measure_table(operators, maps, Pretended(1), EXAMPLE, progress=False)
    assert table.gap(operators, maps) is None
    remove(network, {name: range(2, count) for name, count in maps.items()})
    assert table.gap(find_operators(network, EXAMPLE), dict.fromkeys(maps, 2)) is None


def without(grid: Grid, reads=slice(None), writes=slice(None)) -> Grid:
    """Fewer measured widths."""
    times = [[row[writes] for row in table[reads]] for table in (grid.low, grid.median, grid.high)]
    return Grid(grid.reads[reads], grid.writes[writes], *times)


def merged(grid: Grid) -> Grid:
    """As of an operator whose writes follow its reads."""
    times = [[row[:1] for row in table] for table in (grid.low, grid.median, grid.high)]
    return Grid(grid.reads, [], *times)


LAYER = "backbone.features.features_4"  # reads 6 x 20 maps and writes 8 x 20
LACKING = {
    "the kind": (lambda grids: {}, r"no operator of its kind was measured \(conv 3x3/1"),
    "an alignment": (lambda grids: {0: grids[0], 2: grids[2]}, r"fill their blocks as some of its own .*alignment 1"),
    "the widest reads": (lambda grids: each(grids, reads=slice(2)), "reads up to 120 maps, measured up to 40"),
    "reads but one": (lambda grids: each(grids, reads=slice(-1, None)), "reads up to 120 maps, measured only at 160"),
    "the widest writes": (lambda grids: each(grids, writes=slice(2)), "writes up to 160 maps, measured up to 40"),
    "writes but one": (lambda grids: each(grids, writes=slice(1)), "writes up to 160 maps, measured only at 8"),
    "all writes": (lambda grids: {a: merged(g) for a, g in grids.items()}, "writes up to 160 maps, measured at none"),
    "reads in one grid": (lambda grids: {**grids, 2: without(grids[2], reads=slice(1))}, "reads .*measured only at 7"),
}


def each(grids, **kept):
    return {a: without(grid, **kept) for a, grid in grids.items()}


@pytest.mark.parametrize(("change", "message"), LACKING.values(), ids=LACKING)
def test_a_table_that_lacks_something_is_refused_or_measured_anew(change, message, measured, capsys):
    operators, path, load = measured("vgg_bn")
    whole = load()
    kind = next(operator.kind for operator in operators if operator.name == LAYER)
    grids = {**whole.grids, kind: change(whole.grids[kind])}
    replace(whole, grids={kind: found for kind, found in grids.items() if found}).save(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=rf"latency=.*latency\.json: {LAYER}: .*{message}"):
        load(named="latency")
    assert path.read_bytes() == before
    assert load() == whole
    assert LAYER in capsys.readouterr().err
    assert load(named="latency") == whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no JSON", "not a latency table"),
        ("[]", "not a latency table"),
        ('{"facts": 3}', "not a latency table"),
        ('{"facts": {}, "block": 8, "noise": 0, "noise_ms": 0, "grids": {"a": {"0": 3}}}', "not a latency table"),
        ('{"facts": {}, "block": 8, "noise": 0, "noise_ms": 0, "grids": {}}', "measured for another format, engine"),
    ],
)
def test_another_file_under_that_name_is_refused_or_replaced(content, message, measured, capsys):
    _, path, load = measured("vgg_bn")
    path.write_text(content)
    with pytest.raises(ConfigError, match=rf"latency=.*: {message}"):
        load(named="latency")
    assert path.read_text() == content
    load()
    assert message in capsys.readouterr().err
    assert load(named="latency").block == 8


def test_times_are_one_for_each_pair_of_widths():
    with pytest.raises(ValueError, match="expected 2 x 1 times"):
        Grid([8, 16], [], [[1.0]], [[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="expected widths that rise"):
        Grid([16, 8], [], [[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [2.0]])


def test_a_small_network_is_measured_once_and_again_where_something_else_is_asked_for(
    small_kind, tmp_path, capsys, monkeypatch
):
    for name, little in (("PASSES", 1), ("ROUNDS", 2), ("MILLISECONDS", 0.0), ("SHARES", ((0.0, 1.0), (0.0, 1.0)))):
        monkeypatch.setattr(f"gaze.pruning.cost.latency_table.{name}", little)
    monkeypatch.setattr("gaze.pruning.cost.latency_table.measure_block", lambda engine: 8)
    network, path = small_kind("vgg_bn"), tmp_path / "latency.json"
    operators, maps = (
        find_operators(network, EXAMPLE),
        {group.name: group.maps for group in find_groups(network)},
    )
    engine = TorchCpu(1)
    measured = load_or_measure(path, operators, maps, engine, EXAMPLE, progress=False)
    assert measured.grids.keys() == {operator.kind for operator in operators}
    assert all(
        np.all(np.diff([g.low, g.median, g.high], axis=0) >= 0) for k in measured.grids.values() for g in k.values()
    )
    assert TableCost(operators, measured).total(maps) > 0
    assert measured.facts["machine"]
    assert measured.facts["versions"]
    assert load_or_measure(path, operators, maps, engine, EXAMPLE, progress=False) == measured
    assert capsys.readouterr().err == ""
    stale = replace(measured, facts={**measured.facts, "threads": 7})
    stale.save(path)
    assert load_or_measure(path, operators, maps, engine, EXAMPLE, progress=False).facts == measured.facts
    assert "another threads" in capsys.readouterr().err
    path.write_text(json.dumps({"grids": {}}))
    load_or_measure(path, operators, maps, engine, EXAMPLE, progress=False)
    assert "not a latency table" in capsys.readouterr().err
