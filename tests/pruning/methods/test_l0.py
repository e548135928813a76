"""L0 regularisation within a Lightning training, on a cost that is known exactly."""

import copy
from contextlib import nullcontext

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from gaze.errors import ConfigError, GazeError
from gaze.models.widths import widths
from gaze.pruning.cost.expectations import Expectation, Term
from gaze.pruning.cost.fused_operators import Width
from gaze.pruning.methods.estimators import ESTIMATORS
from gaze.pruning.methods.l0 import L0Pruning
from gaze.pruning.methods.l0_config import L0Config
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.groups import find_groups
from gaze.training.averaging import Averaging
from gaze.training.penalty import total_penalty
from tests.pruning.methods.test_fisher_pruning import Count, Interrupt, Module, measured, network, trainer  # noqa: F401
from tests.pruning.methods.test_mixed_precision import Scaled

QUIET = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode", "ignore:.*exists and is not empty"
)
pytestmark = QUIET
CONFIG = L0Config(
    penalty="time", estimator="concrete", beta=2 / 3, gamma=-0.1, zeta=1.1, start=3.0, rate=0.5, rho=1.0,
    per_example=False,
)  # fmt: skip
QUICK = ScheduleConfig(
    updates_per_removal=2, maps_per_removal=None, removals=8, removals_per_surgery=2, finetune_updates=3
)


class Penalized(Module):
    """Learns to predict a corner with as few maps as the price asks for."""

    def losses(self, batch):
        return -self.network(batch["image"])[:, :4, :4].mean((1, 2))

    def training_step(self, batch, index):
        return self.losses(batch).mean() + total_penalty(self)


def gated(folder, net, share, schedule=QUICK, stopwatch=measured, **options):
    """Pruning to a share of the maps, each of which takes a millisecond."""
    names = [group.name for group in find_groups(net)]
    time = Expectation([Term(Width(0, ((name, 1),)), Width(0), a=1.0) for name in names], names)
    config = L0Config(**{**vars(CONFIG), **options.pop("config", {})})
    return L0Pruning(config, time, time, Count(), stopwatch, share * measured(net), schedule,
                     RemovalLog(folder / "removals.csv"), **options)  # fmt: skip


def test_ends_within_the_budget_measured(network, tmp_path):  # noqa: F811
    before = measured(network)
    callback, averaging = gated(tmp_path, network, 0.5), Averaging(decay=0.5)
    trainer(tmp_path, callback, averaging).fit(Penalized(network))
    print(callback.removals, callback.multiplier, callback.step)
    assert callback.met
    assert callback.measured == measured(network) <= before / 2
    assert callback.base == before
    assert widths(averaging.network) == widths(network)
    assert callback.step == callback.finished + QUICK.finetune_updates
    rows = read(tmp_path / "removals.csv")
    assert rows[-1].measured_ms == callback.measured
    assert len({(row.layer, index) for row in rows for index in row.maps}) == sum(len(row.maps) for row in rows)
    assert {
        name: n - sum(len(r.maps) for r in rows if r.layer == name) for name, n in callback.before.items()
    } == callback.learnt.maps


def fit(folder, net, callback, **settings):
    run = trainer(folder, callback, **settings)
    run.fit(Penalized(net))
    return run


@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_every_estimator_runs_under_bfloat16(network, tmp_path, name, per_example):  # noqa: F811
    callback = gated(tmp_path, network, 0.5, config={"estimator": name, "per_example": per_example})
    fit(tmp_path, network, callback, precision="bf16-mixed", max_steps=5)
    log_alpha = callback.learnt.log_alpha
    assert log_alpha.dtype == torch.float32
    assert (log_alpha != CONFIG.start).float().mean() > 0.9
    assert all(torch.isfinite(parameter).all() for parameter in [log_alpha, *network.parameters()])


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_what_mixed_precision_and_accumulation_scale_the_loss_by_is_taken_out_again(network, tmp_path, name):  # noqa: F811
    found = []
    for settings in ({}, {"plugins": [Scaled()]}, {"accumulate_grad_batches": 2, "plugins": [Scaled()]}):
        seen, callback = [], gated(tmp_path, network, 0.5, config={"estimator": name})
        callback.read = lambda divisor, read=callback.read, c=callback, s=seen: (
            read(divisor),
            s.append(gradient(c, divisor)),
        )
        fit(tmp_path, copy.deepcopy(network), callback, max_steps=1, **settings)
        found.append(seen)
    (plain,), (scaled,), (first, _) = found
    assert plain.any()
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))
    torch.testing.assert_close(first, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))


def gradient(callback, divisor) -> torch.Tensor:
    """Of log alpha, free of what the loss was scaled by."""
    return callback.learnt.log_alpha.grad * divisor / callback.examples


@pytest.mark.parametrize(("name", "end"), [("concrete", -1), *((name, 3) for name in ESTIMATORS)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(network, tmp_path, name, end):  # noqa: F811
    start, results = copy.deepcopy(network), []
    schedule = ScheduleConfig(
        updates_per_removal=3, maps_per_removal=None, removals=5, removals_per_surgery=2, finetune_updates=6
    )
    for part, stops in (("whole", [end]), ("parted", [1, 2, end])):
        folder, last = tmp_path / part, None
        for stop in stops:
            model, keep = (
                Penalized(copy.deepcopy(start)),
                ModelCheckpoint(folder, "last", enable_version_counter=False),
            )
            callback, averaging = gated(folder, start, 0.6, schedule, config={"estimator": name}), Averaging(decay=0.5)
            run = trainer(folder, callback, averaging, keep, Interrupt(stop))
            with nullcontext() if stop < 0 else pytest.raises(SystemExit):
                run.fit(model, ckpt_path=last, weights_only=True)
            last = folder / "last.ckpt"
        results.append((model, (folder / "removals.csv").read_text(), callback))
    (whole, rows, one), (parted, same_rows, other) = results
    assert widths(whole.network) == widths(parted.network)
    assert end > 0 or widths(whole.network) != widths(start)
    assert rows == same_rows
    assert (one.step, one.measured, one.multiplier) == (other.step, other.measured, other.multiplier)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(parted.state_dict()[key], value, rtol=0, atol=0, msg=key)


class Rates(pl.Callback):
    """What the optimiser says of log alpha."""

    def on_train_start(self, trainer, module):
        self.groups = [group for group in trainer.optimizers[0].param_groups
                       if any(p is module.log_alpha for p in group["params"])]  # fmt: skip


def test_log_alpha_has_its_own_rate_does_not_decay_and_is_averaged(network, tmp_path):  # noqa: F811
    callback, averaging, rates = gated(tmp_path, network, 0.5), Averaging(decay=0.9), Rates()
    seen = []

    class Watching(pl.Callback):
        def on_train_batch_end(self, trainer, module, *rest):
            seen.append((module.log_alpha.detach().clone(), averaging._average_model.module.log_alpha.detach().clone()))

    trainer(tmp_path, callback, averaging, rates, Watching()).fit(Penalized(network))
    (group,) = rates.groups
    assert (len(group["params"]), group["lr"], group["weight_decay"]) == (1, CONFIG.rate, 0.0)
    now, average = seen[5]
    lagging = (average - CONFIG.start).abs() < (now - CONFIG.start).abs()
    assert lagging.float().mean() > 0.9
    assert (average != CONFIG.start).any()


@torch.no_grad()
def outputs(net, images) -> torch.Tensor:
    return copy.deepcopy(net).eval()(images)


def test_the_last_cut_changes_nothing_at_test_time(network, tmp_path):  # noqa: F811
    """The gated network just before, and the one without gates just after."""
    images, seen = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8), []

    class Watching(L0Pruning):
        def remove(self, trainer):
            before = outputs(self.network, images)
            super().remove(trainer)
            seen.append((outputs(self.network, images) - before).abs().max())

    shape = gated(tmp_path, network, 0.5)
    callback = Watching(shape.config, shape.time, shape.time, Count(), measured, shape.budget, QUICK, shape.removal_log)
    callback.attach(model := Penalized(network))
    torch.nn.init.uniform_(model.log_alpha, -2, 4, generator=torch.Generator().manual_seed(0))
    trainer(tmp_path, callback).fit(model)
    assert callback.met
    assert len(seen) == callback.removals
    assert max(seen) < 1e-4
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_widths_stay_multiples_and_excluded_groups_whole(network, tmp_path):  # noqa: F811
    full = {group.name: group.maps for group in find_groups(network)}
    callback = gated(tmp_path, network, 0.7, multiple=8, exclude=("readout",))
    fit(tmp_path, network, callback)
    left = callback.learnt.maps
    assert callback.met
    assert all(count % 8 == 0 or count == full[name] for name, count in left.items())
    assert all(count == full[name] for name, count in left.items() if name.startswith("readout"))
    assert left == {name: {g.name: g.maps for g in find_groups(network)}.get(name, 1) for name in left}


def test_a_measurement_that_does_not_fit_sends_it_on(network, tmp_path):  # noqa: F811
    """The network is slower than expected: a third of its time is that of none of its maps."""
    base, said, expected = measured(network), [], []

    def stopwatch(net) -> float:
        said.append((base + 2 * measured(net)) / 3)
        expected.append(callback.expected)
        return said[-1]

    callback = gated(tmp_path, network, 0.75, stopwatch=stopwatch, config={"rate": 0.2})
    fit(tmp_path, network, callback)
    missed = [e <= callback.budget < time for e, time in zip(expected[1:], said[1:], strict=True)]
    assert any(missed)
    assert callback.met
    assert callback.measured == said[-1] == pytest.approx((base + 2 * measured(network)) / 3)


def test_a_missed_budget_keeps_the_fastest_network_with_its_gates(network, tmp_path):  # noqa: F811
    base, said = measured(network), []

    def stopwatch(net) -> float:
        said.append(1.0 + abs(measured(net) - 0.6 * base) / base)
        return said[-1]

    callback = gated(tmp_path, network, 0.0, stopwatch=stopwatch)
    callback.budget = 0.9
    averaging = Averaging(decay=0.5)
    run = trainer(tmp_path, callback, averaging)
    run.fit(Penalized(network))
    assert not callback.met
    assert callback.measured == min(said) == stopwatch(network)
    assert widths(averaging.network) == widths(network)
    assert callback.learnt.maps == {
        name: {g.name: g.maps for g in find_groups(network)}.get(name, 1) for name in callback.before
    }
    rows = read(tmp_path / "removals.csv")
    assert sum(len(row.maps) for row in rows) == sum(callback.before.values()) - sum(callback.learnt.maps.values())


def test_what_does_not_fit_the_module_is_told(network, tmp_path):  # noqa: F811
    with pytest.raises(ConfigError, match=r"^pruning: expected a training_step that adds its callbacks' penalties"):
        trainer(tmp_path, gated(tmp_path, network, 0.5)).fit(Module(network))
    with pytest.raises(ConfigError, match=r"^pruner.l0.estimator=rebar: expected a module with losses\(batch\)[^\n]*$"):
        trainer(tmp_path, gated(tmp_path, network, 0.5, config={"estimator": "rebar"})).fit(Module(network))
    with pytest.raises(ConfigError, match="expected L0Pruning before the averaging"):
        trainer(tmp_path, Averaging(decay=0.5), gated(tmp_path, network, 0.5)).fit(Penalized(network))


def test_where_no_gradient_is_finite_nothing_is_chosen(network, tmp_path):  # noqa: F811
    class Broken(Penalized):
        def losses(self, batch):
            return super().losses(batch) * float("nan")

    with pytest.raises(GazeError, match=r"^pruning, update 2: expected finite gradients .* got none"):
        trainer(tmp_path, gated(tmp_path, network, 0.5)).fit(Broken(network))
