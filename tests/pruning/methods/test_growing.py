"""Growing within a Lightning training, on a cost that is known exactly."""

import copy
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from gaze.errors import ConfigError
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.widths import widths
from gaze.pruning.information.fisher import Fisher
from gaze.pruning.methods.additions import Additions, room
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.growing import Growing
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.groups import find_groups
from gaze.pruning.structure.surgery import remove
from gaze.training.averaging import Averaging
from tests.pruning.methods.test_fisher_pruning import Count, Interrupt, Module, network, trainer  # noqa: F401

QUIET = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode", "ignore:.*exists and is not empty"
)
QUICK = ScheduleConfig(
    updates_per_removal=2, maps_per_removal=None, removals=3, removals_per_surgery=1, finetune_updates=3
)


def measured(net) -> float:
    """Two milliseconds a map: what `Count` predicts before it is calibrated, times 2."""
    return 2.0 * sum(group.maps for group in find_groups(net, least=1))


def growing(folder, budget, schedule=QUICK, **options):
    logs = RemovalLog(folder / "growth.csv"), RemovalLog(folder / "removals.csv")
    return Growing(Fisher, Count(), Count(), options.pop("stopwatch", measured), budget, schedule, *logs, **options)


@pytest.fixture
def narrow(network):  # noqa: F811
    """A quarter of the maps, one at least."""
    remove(network, {group.name: range(max(1, group.maps // 4), group.maps) for group in find_groups(network)})
    return network


@QUIET
def test_ends_with_the_largest_network_that_fits(narrow, tmp_path):
    before, budget = measured(narrow), 1.25 * measured(narrow) + 1
    callback, averaging = growing(tmp_path, budget), Averaging(decay=0.5)
    run = trainer(tmp_path, averaging, callback)
    run.fit(Module(narrow))
    assert budget - 2 < measured(narrow) == callback.measured <= budget
    assert (callback.base, callback.met) == (before, True)
    assert callback.step == callback.finished + QUICK.finetune_updates
    assert widths(averaging.network) == widths(narrow)
    assert {p for g in run.optimizers[0].param_groups for p in g["params"]} == set(narrow.parameters())
    rows = read(tmp_path / "growth.csv")
    assert sum(len(row.maps) for row in rows) == (measured(narrow) - before) / 2
    assert rows[-1].measured_ms == callback.measured
    assert all(row.signal > 0 for row in rows)
    left = dict(callback.before)
    for row in rows:
        assert row.maps == tuple(range(left[row.layer], row.maps_left))
        left[row.layer] = row.maps_left
    assert left == callback.maps == callback.outcome("", 0, 0).after
    assert len({row.step for row in rows}) >= QUICK.removals, "it grew by and by"


@QUIET
def test_what_did_not_fit_and_was_taken_out_again_does_not_make_the_rest_seem_dearer(narrow, tmp_path):
    before = measured(narrow)

    def dearer(net) -> float:
        """Where more than two maps have joined, all is twice as dear as is foretold."""
        return measured(net) * (2 if measured(net) > before + 4 else 1)

    callback = growing(tmp_path, 1.6 * before, replace(QUICK, removals=1), stopwatch=dearer)
    trainer(tmp_path, callback).fit(Module(narrow))
    assert callback.measured == measured(narrow) == before + 4


@QUIET
def test_a_grown_network_goes_through_a_checkpoint_even_where_it_is_wider_than_its_backbone(network, tmp_path):  # noqa: F811
    callback = growing(tmp_path, measured(network) + 20)
    trainer(tmp_path, callback).fit(Module(network))
    assert any(callback.maps[name] > maps for name, maps in callback.before.items())
    save_checkpoint(tmp_path / "grown.ckpt", network, ["drawn"], 3)
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    torch.testing.assert_close(load_checkpoint(tmp_path / "grown.ckpt").network(image), network.eval()(image))


@QUIET
def test_it_may_begin_with_the_maps_that_are_worth_most(network, tmp_path):  # noqa: F811
    full = {group.name: group.maps for group in find_groups(network)}
    callback = growing(tmp_path, 0.4 * measured(network), start=0.25, rules=Rules(multiple=2, exclude=("readout",)))
    trainer(tmp_path, Averaging(decay=0.5), callback).fit(Module(network))
    assert callback.before == full
    gone, joined = read(tmp_path / "removals.csv"), read(tmp_path / "growth.csv")
    assert {row.step for row in gone} == {QUICK.updates_per_removal}
    for row in gone:
        assert row.maps_left == max(1, round(full[row.layer] / 8)) * 2
        assert len(row.maps) == full[row.layer] - row.maps_left
    assert gone[-1].measured_ms == callback.narrow < joined[-1].measured_ms <= callback.budget
    assert not any(row.layer.startswith("readout") for row in gone + joined)
    assert all(maps % 2 == 0 for name, maps in callback.maps.items() if not name.startswith("readout"))


@QUIET
def test_the_output_is_the_same_before_and_after_an_addition(narrow, tmp_path):
    images, seen = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8), []

    class Watching(Growing):
        def _add(self, trainer, goal):
            with torch.no_grad():
                before = [net(images) for net in (self.network, averaging.network)]
                added = super()._add(trainer, goal)
                after = [net(images) for net in (self.network, averaging.network)]
            seen.append((len(added), max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))))
            return added

    log, averaging = RemovalLog(tmp_path / "growth.csv"), Averaging(decay=0.5)
    callback = Watching(Fisher, Count(), Count(), measured, 1.2 * measured(narrow), QUICK, log)
    trainer(tmp_path, averaging, callback).fit(Module(narrow))
    assert sum(count for count, _ in seen) > 10
    assert max(change for _, change in seen) < 1e-5


@QUIET
def test_what_is_measured_not_to_fit_is_taken_out_again_as_if_it_had_never_been(narrow, tmp_path):
    """Whatever is wider than it was is slow, beyond all predictions."""
    start, said = measured(narrow), []

    def stopwatch(net) -> float:
        said.append(10.0 if measured(net) == start else 100.0)
        return said[-1]

    states = []
    for budget in (30.0, None):
        net = copy.deepcopy(narrow)
        schedule = ScheduleConfig(2, None, 1, 1, 3)
        callback = growing(tmp_path / str(budget), budget or 10.01, schedule, stopwatch=stopwatch)
        run = trainer(tmp_path, Averaging(decay=0.5), callback)
        run.fit(Module(net))
        assert (callback.measured, callback.met, measured(net)) == (10.0, True, start)
        assert read(tmp_path / str(budget) / "growth.csv") == []
        states.append((callback.finished, net.state_dict()))
    assert 100.0 in said, "something was tried"
    (step, tried), (same, untried) = states
    assert step == same
    assert all(torch.equal(tried[name], value) for name, value in untried.items())


@QUIET
def test_an_interrupted_run_ends_as_an_uninterrupted_one(network, tmp_path):  # noqa: F811
    start, results = copy.deepcopy(network), []
    schedule = ScheduleConfig(
        updates_per_removal=3, maps_per_removal=None, removals=3, removals_per_surgery=1, finetune_updates=4
    )
    for name, stops in (("whole", [-1]), ("parted", [1, 2, 3, -1])):  # four updates an epoch
        folder, last = tmp_path / name, None
        for stop in stops:
            model, keep = Module(copy.deepcopy(start)), ModelCheckpoint(folder, "last", enable_version_counter=False)
            callback = growing(folder, 0.4 * measured(start), schedule, start=0.3)
            with nullcontext() if stop < 0 else pytest.raises(SystemExit):
                run = trainer(folder, Averaging(decay=0.5), callback, keep, Interrupt(stop))
                run.fit(model, ckpt_path=last, weights_only=True)
            last = folder / "last.ckpt"
        logs = [(folder / log).read_text() for log in ("removals.csv", "growth.csv")]
        results.append((model.network, logs, callback))
    (whole, rows, one), (parted, same_rows, other) = results
    assert widths(whole) == widths(parted) != widths(start)
    assert rows == same_rows
    assert (one.step, one.measured, one.maps) == (other.step, other.measured, other.maps)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(parted.state_dict()[key], value, rtol=0, atol=0)


@QUIET
def test_a_budget_below_what_it_begins_with_is_one_line(network, tmp_path):  # noqa: F811
    with pytest.raises(ConfigError, match=r"pruner.start=0.5 of the maps, which takes .* ms; expected more .*, got 20"):
        trainer(tmp_path, growing(tmp_path, 20.0, start=0.5)).fit(Module(copy.deepcopy(network)))
    with pytest.raises(ConfigError, match="growing begins with the network, which takes"):
        trainer(tmp_path, growing(tmp_path, 20.0)).fit(Module(network))


@QUIET
def test_it_grows_in_mixed_precision(narrow, tmp_path):
    schedule = ScheduleConfig(2, None, 1, 1, 1)
    callback = growing(tmp_path, measured(narrow) + 8.5, schedule)
    trainer(tmp_path, callback, precision="bf16-mixed").fit(Module(narrow))
    assert sum(callback.maps.values()) == sum(callback.before.values()) + 4
    assert all(torch.isfinite(parameter).all() for parameter in narrow.parameters())


class Steps(Count):
    """Maps cost in blocks of four."""

    def additions(self, maps):
        return (4 - maps % 4, 8 - maps % 4)

    def _saving(self, name, n, maps):
        return 4.0 * (-(-maps[name] // 4) - -(-(maps[name] - n) // 4))


def test_additions_go_by_value_for_cost_and_what_costs_nothing_comes_first():
    values = {"a": torch.tensor([9.0, 1, 1, 1, 1, 1, 1]), "b": torch.full((8,), 2.0), "c": torch.zeros(8)}
    maps = {"a": 3, "b": 4, "c": 4}
    additions = Additions(values, Steps())
    first = additions.best(maps, lambda wider: True)
    assert (first.group, first.count, first.value, first.cost) == ("a", 1, 9.0, 0.0)
    additions.take(first)
    maps["a"] = 4
    second = additions.best(maps, lambda wider: True)
    assert (second.group, second.count, second.value, second.cost) == ("b", 4, 8.0, 4.0)
    assert additions.best(maps, lambda wider: sum(wider.values()) < 12) is None
    assert Additions(values, Steps(), exclude=("a", "b")).best(maps, lambda wider: True) is None
    assert (room(Steps(), 3, 1), room(Steps(), 4, 1), room(Count(), 5, 4), room(Steps(), 4, 6)) == (
        [1, 5], [4, 8], [3], [8],
    )  # fmt: skip
