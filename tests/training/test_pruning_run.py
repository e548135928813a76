"""`gaze.prune` from a checkpoint to a smaller one."""

import importlib
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_module

from gaze.card import InputRule
from gaze.config import validate
from gaze.errors import ConfigError, ModelError
from gaze.geometry import Size
from gaze.models import build_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.onnx import PARITY, export_onnx, parity
from gaze.models.widths import widths
from gaze.pruning.cost.models import COSTS
from gaze.pruning.information.signal import SIGNALS
from gaze.pruning.methods.base import METHODS
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.removal_log import read
from gaze.pruning.structure.groups import Pinned, find_groups
from gaze.training import pruning_run, teacher_maps
from gaze.training.config import PruneConfig
from gaze.training.photograph import photograph
from gaze.training.pruning_run import PRUNED, prune, timed_size
from gaze.training.run import LAST, fit
from tests.models.conftest import small_config
from tests.pruning.methods.test_fisher_pruning import Count
from tests.pruning.methods.test_growing import measured
from tests.training.conftest import QUIET, train_config  # noqa: F401

pytestmark = QUIET

QUICK = [
    "data=folder", "loader={batch_size: 2, workers: 0}", "trainer.accelerator=cpu", "trainer.progress=false",
    "trainer.ema_decay=0.5", "rounds=3",
    "schedule={updates_per_removal: 1, maps_per_removal: null, removals: 3, removals_per_surgery: 2,"
    " finetune_updates: 2}",
]  # fmt: skip


@pytest.fixture(scope="module")
def latency(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first run leaves its table for the others."""
    return tmp_path_factory.mktemp("latency") / "latency.json"


@pytest.fixture
def prune_config(small_store: Path, tmp_path: Path, latency: Path) -> Callable[..., PruneConfig]:
    """Composes `gaze/conf/prune.yaml` for a quick run on a small network."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "unpruned.ckpt", build_network(small_config()), ["drawn"], 5)

    def make(*overrides: str) -> PruneConfig:
        with initialize_config_module("gaze.conf", version_base="1.3"):
            places = {
                "sets.folder.store": small_store,
                "out": tmp_path / "run",
                "checkpoint": tmp_path / "unpruned.ckpt",
                "latency": latency,
            }
            paths = [f"{key}={path}" for key, path in places.items()]
            return validate(compose("prune", [*QUICK, *paths, *overrides]), PruneConfig)

    return make


def test_a_run_leaves_a_faster_network_log_and_pictures(prune_config, tmp_path):
    outcome = prune(prune_config("budget=0.8"))
    out = tmp_path / "run"
    assert {PRUNED, "removals.csv", "pruning.json", "widths.png", "time_loss.png", "predicted.png",
            "config.yaml", "last.ckpt", "metrics"} <= {path.name for path in out.iterdir()} | {"last.ckpt"}  # fmt: skip
    stored = json.loads((out / "pruning.json").read_text())
    assert stored["after_ms"] <= stored["budget_ms"] < stored["before_ms"] or not stored["met"]
    trained = load_checkpoint(out / PRUNED)
    assert trained.trained_on == ["drawn", "folder"]
    assert {g.name: g.maps for g in find_groups(trained.network)} == {k: n for k, n in outcome.after.items() if n > 1}
    assert sum(outcome.after.values()) < sum(outcome.before.values())
    export_onnx(trained.network, tmp_path / "pruned.onnx")
    onnx.checker.check_model(str(tmp_path / "pruned.onnx"))
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert parity(trained.network, tmp_path / "pruned.onnx", [photo]) < PARITY


def test_a_pruned_network_trains_on(prune_config, train_config, tmp_path):  # noqa: F811
    prune(prune_config("pruner=fisher_macs", "budget=0.8"))
    pruned = load_checkpoint(tmp_path / "run" / PRUNED).network
    settings = [f"checkpoint={tmp_path / 'run' / PRUNED}", f"out={tmp_path / 'on'}", "trainer.max_epochs=1"]
    best = fit(train_config(*settings, "model.finalizer={sigma: 1, center_bias: [3, 4]}"))
    trained = load_checkpoint(best).network
    assert {g.name: g.maps for g in find_groups(trained)} == {g.name: g.maps for g in find_groups(pruned)}
    assert any(not torch.equal(a, b) for a, b in zip(trained.parameters(), pruned.parameters(), strict=True))


PRUNERS = sorted(path.stem for path in (Path(pruning_run.__file__).parents[1] / "conf/pruner").glob("*.yaml"))


@pytest.mark.parametrize("pruner", PRUNERS)
def test_the_command_makes_its_callback_as_any_other_training_does(prune_config, tmp_path, latency, pruner):
    """Its job is that of `Job.of`; `method.of(job)` is common to both."""
    config = prune_config("budget=0.8", f"pruner={pruner}", "pruner.multiple=8", "threads=2")
    network = build_network(small_config())
    example, schedule = photograph(timed_size(None, network)), vars(config.schedule)
    rules = Job.of(network, example, tmp_path, budget=0.8, pruner=pruner).rules
    job = Job.of(
        network, example, tmp_path / "run", budget=0.8, pruner=pruner, schedule=schedule, rounds=3, threads=2,
        rules=replace(rules, multiple=8), latency=latency, latency_named=True, progress=False,
    )  # fmt: skip
    made = pruning_run._job(config, network)
    assert (made.example.size, made.example.fix) == (example.size, example.fix)
    assert replace(made, example=example) == job


@pytest.mark.parametrize("pruner", ["taylor", "magnitude", "random"])
def test_every_criterion_runs(prune_config, pruner):
    outcome = prune(prune_config(f"pruner={pruner}", "budget=0.9"))
    assert sum(outcome.after.values()) < sum(outcome.before.values())


@pytest.fixture
def known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times that nothing measures."""

    def stopwatch(job):
        watch = Watch(job.unpruned)
        return watch, job.budget_ms or job.budget * watch.base

    monkeypatch.setattr(Job, "measure_costs", lambda job, widest=None: (Count(), Count()))
    monkeypatch.setattr(Job, "make_stopwatch", stopwatch)


@pytest.mark.usefixtures("known_times")
def test_a_network_grows_from_a_share_of_its_maps_and_on_from_there(prune_config, tmp_path):
    outcome = prune(prune_config("pruner=grow", "budget=0.4", "pruner.start=0.25", "pruner.signal=magnitude"))
    out = tmp_path / "run"
    assert {"growth.csv", "removals.csv", "pruning.json", "widths.png", PRUNED} <= {path.name for path in out.iterdir()}
    assert 0.4 * outcome.before_ms - 2 < outcome.after_ms <= 0.4 * outcome.before_ms
    trained = load_checkpoint(out / PRUNED).network
    assert {g.name: g.maps for g in find_groups(trained, least=1)} == outcome.after
    first, last = (sum(network.values()) for network in (outcome.before, outcome.after))
    assert last == first - count(out / "removals.csv") + count(out / "growth.csv")
    again = ("pruner=grow", f"checkpoint={out / PRUNED}", f"out={tmp_path / 'on'}", "schedule.maps_per_removal=8")
    grown = prune(prune_config(*again, f"budget_ms={outcome.after_ms + 20}"))
    assert (sum(grown.before.values()), sum(grown.after.values())) == (last, last + 10)
    assert not (tmp_path / "on" / "removals.csv").exists()


class Kill(pl.Callback):
    """Ends the run in the middle of an epoch, when what the update did has been logged; -1: never."""

    def __init__(self, update: int) -> None:
        self.update = update

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.update:
            raise KeyboardInterrupt


RESUMED = {
    "fisher": ["pruner=fisher", "budget=0.6"],
    "weights": ["pruner=weights", "budget=0.5"],
    "grow from a share": ["pruner=grow", "pruner.start=0.3", "budget=0.34"],
    "grow from a checkpoint": ["pruner=grow", "budget_ms={whole}"],
}


@pytest.mark.usefixtures("known_times")
@pytest.mark.filterwarnings("ignore:.*exists and is not empty")
@pytest.mark.parametrize("case", RESUMED)
def test_a_killed_run_ends_as_one_that_was_not(prune_config, tmp_path, monkeypatch, case):
    """Three updates an epoch, a removal or an addition every two: each kill loses rows that the log has already."""
    budget = measured(load_checkpoint(tmp_path / "unpruned.ckpt").network) + 30
    settings = [setting.format(whole=budget) for setting in RESUMED[case]]
    settings += ["schedule.updates_per_removal=2", "schedule.finetune_updates=3", "seed=3"]
    make, found = pruning_run._make_trainer, []
    for name, kills in (("whole", [-1]), ("parted", [4, 8, -1])):
        for number, update in enumerate(kills):
            killing = lambda c, others, update=update: make(c, [*others, Kill(update)])  # noqa: E731
            monkeypatch.setattr(pruning_run, "_make_trainer", killing)
            config = prune_config(*settings, f"out={tmp_path / name}", f"resume={str(number > 0).lower()}")
            with nullcontext() if update < 0 else pytest.raises(SystemExit):
                prune(config)
        found.append(left(tmp_path / name))
    one, other = found
    assert one.pop("widths") == other.pop("widths")
    assert one.pop("logs") == other.pop("logs")
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, rtol=0, atol=0, msg=key)


def left(run: Path) -> dict[str, Any]:
    """What a run left: widths, logs, and every tensor of network, average, optimiser and callbacks, by its place."""
    last, pruned = (torch.load(run / name, weights_only=True) for name in (LAST, PRUNED))
    assert last["global_step"] > 8, "every kill came before the end"
    del last["loops"]  # counts what each part of a run began
    tensors = dict(flat({"last": last, "pruned": pruned}))
    logs = {path.name: path.read_text() for path in run.glob("*.csv")}
    assert not logs or min(text.count("\n") for text in logs.values()) > 3
    return {"widths": widths(load_checkpoint(run / PRUNED).network), "logs": logs, **tensors}


def flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Tensors and numbers in mappings and lists, each with where it stands."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, part in parts:
        yield from flat(part, f"{place}/{key}")
    if isinstance(value, (torch.Tensor, bool, int, float)):
        yield place, value


class Watch:
    """Two milliseconds a map."""

    def __init__(self, unpruned):
        self.base = measured(unpruned)

    def __call__(self, network):
        return measured(network)


def count(log: Path) -> int:
    """How many maps left, or joined."""
    return sum(len(row.maps) for row in read(log))


TOYS = {
    SIGNALS: """
        from gaze.pruning.information.signal import SIGNALS, Signal
        import torch

        @SIGNALS.register("toy")
        class First(Signal):
            '''The lower its number, the less a map is worth.'''

            @classmethod
            def make(cls, network, groups, options):
                return cls(groups)

            def values(self):
                return {name: 1.0 + torch.arange(len(total)) for name, total in self.totals.items()}
        """,
    COSTS: """
        from gaze.pruning.cost.models import COSTS
        from gaze.pruning.cost.models.uniform import UniformCost

        @COSTS.register("toy")
        class Readout(UniformCost):
            '''Nothing but the readout costs anything.'''

            def _saving(self, name, n, maps):
                return float(n) if name.startswith("readout") else 0.0
        """,
    METHODS: """
        from gaze.pruning.methods.base import METHODS
        from gaze.pruning.methods.fisher_pruning import FisherPruning

        @METHODS.register("toy")
        class Told(FisherPruning):
            '''Says what it did.'''

            def outcome(self, *arguments):
                print("toys all the way down")
                return super().outcome(*arguments)
        """,
}


class ByWeights:
    """In place of `Stopwatch`: a millisecond a weight, so that fewer are always faster, whatever the machine does."""

    def __init__(self, reference: torch.nn.Module, *arguments: object, **options: object) -> None:
        self.base = self(reference)

    def __call__(self, network: torch.nn.Module) -> float:
        return float(sum(weights.numel() for weights in network.parameters()))


def test_a_signal_a_cost_and_a_method_are_a_file_each_and_a_name(prune_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gaze.pruning.methods.job.Stopwatch", ByWeights)
    for registry, source in TOYS.items():
        package = importlib.import_module(registry.package)
        folder = tmp_path / registry.package
        folder.mkdir()
        (folder / f"toy_{registry.kind}.py").write_text(textwrap.dedent(source))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.setattr(registry, "_complete", False)
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    try:
        prune(prune_config("pruner={method: toy, signal: toy, cost: toy}", "budget=0.5", "rounds=1"))
    finally:
        for name in [name for name in sys.modules if ".toy_" in name]:
            del sys.modules[name]
    assert "toys all the way down" in capsys.readouterr().out
    rows = read(tmp_path / "run" / "removals.csv")
    assert {row.layer.split(".")[0] for row in rows} == {"readout"}
    for layer in {row.layer for row in rows}:
        maps = [k for row in rows if row.layer == layer for k in row.maps]
        assert maps == list(range(len(maps)))


@pytest.mark.parametrize("pruner", ["fisher", "weights"])
def test_runs_under_bfloat16_with_a_teacher(prune_config, tmp_path, pruner):
    config = prune_config(f"pruner={pruner}", "budget=0.9", "trainer.precision=bf16-mixed", "distill.weight=0.5")
    assert prune(config).removals
    weights = load_checkpoint(tmp_path / "run" / PRUNED).network.state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_network_can_be_pruned_for_smaller_images(prune_config, tmp_path, monkeypatch):
    rules, key = set(), teacher_maps.maps_key
    monkeypatch.setattr(teacher_maps, "maps_key", lambda teacher, store: rules.add(teacher.rule) or key(teacher, store))
    prune(prune_config("budget=0.9", "pruner=magnitude", "longer_side=48", f"latency={tmp_path / 'other.json'}"))
    assert rules == {InputRule(64, 16)}  # the teacher, the unpruned network, sees them as large as ever
    assert load_checkpoint(tmp_path / "run" / PRUNED).network.config.input.longer_side == 48


def test_single_weights_leave_and_what_is_pinned_is_told_once(prune_config, tmp_path, monkeypatch, capsys):
    found = [Pinned("Softmax", "backbone.mix", 8), Pinned("flip", "flip_1", 4)]
    monkeypatch.setattr("gaze.training.pruning_run.find_pinned", lambda network: found)
    outcome = prune(prune_config("pruner=weights", "budget=0.5"))
    assert outcome.weights == pytest.approx(0.5, abs=1e-3)
    weights = [p for p in load_checkpoint(tmp_path / "run" / PRUNED).network.parameters() if p.ndim == 4]
    zeros = sum(int((p == 0).sum()) for p in weights) / sum(p.numel() for p in weights)
    assert zeros == pytest.approx(0.5, abs=0.01)
    assert capsys.readouterr().err.count("Softmax (backbone.mix, 8 maps), flip (flip_1, 4 maps)") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "budget: give budget_ms=MILLISECONDS or budget=SHARE"),
        (["budget=0.5", "budget_ms=3"], "budget: give budget_ms=MILLISECONDS or budget=SHARE"),
        (["budget=1.5"], r"budget: expected a share .* between 0 and 1, got 1.5"),
        (["budget_ms=-1"], "budget_ms: expected above 0, got -1"),
        (["budget=0.5", "pruner.signal=hunch"], "pruner.signal: expected one of fisher, .*got 'hunch'"),
        (["budget=0.5", "pruner.cost=gut"], "pruner.cost: expected one of linear, macs, .*quadratic, table.*got 'gut'"),
        (
            ["budget=0.5", "pruner.method=hunch"],
            "pruner.method: expected one of greedy, grow, l0, weights, got 'hunch'",
        ),
        (["budget=0.5", "pruner.granularity=atom"], "pruner.granularity: expected map, parameter or null, got 'atom'"),
        (["budget=0.5", "pruner.beta=-1"], "pruner.beta: expected at least 0, got -1"),
        (["budget=0.5", "pruner.exclude=[readuot]"], r"pruner.exclude: .* begins: readout.*; got 'readuot'"),
        (["budget=0.5", "pruner.exclude=[backbone.features.block.1]"], "begins: .*backbone.features.blocks.1"),
        (["budget=0.5", "pruner.exclude=[x]"], r"pruner.exclude: .*backbone.*readout.*; got 'x'"),
        (["budget=0.5", "pruner.decay=0"], "pruner.decay: expected above 0"),
        (["budget=0.5", "pruner.multiple=0"], "pruner.multiple: expected at least 1"),
        (["budget=0.5", "pruner=grow", "pruner.start=1"], "pruner.start: expected above 0, below 1, got 1"),
        (["budget=0.5", "pruner=grow"], "budget=0.5: a share of its own time is nothing that a network can grow to; "),
        (["budget_ms=9", "pruner=grow", "pruner.exclude=[backbone,readout]"], "pruner=grow: expected a group that can"),
        (["budget=0.5", "distill.weight=2"], "distill.weight: expected 0 to 1"),
        (["budget=0.5", "longer_side=0"], "longer_side: expected at least 1, got 0"),
        (["budget=0.5", "resume=true"], "no run to continue"),
        (["budget_ms=3", "pruner=weights"], "budget_ms: zeros among the weights save no time"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_written(prune_config, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        prune(prune_config(*settings))
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_overwritten(prune_config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / PRUNED).write_bytes(b"precious")
    with pytest.raises(ConfigError, match="holds a run already"):
        prune(prune_config("budget=0.5"))
    assert (tmp_path / "run" / PRUNED).read_bytes() == b"precious"


def test_the_timed_size_is_what_the_network_sees():
    network = build_network(small_config())
    assert timed_size(None, network) == Size(64, 48)
    assert timed_size([128, 96], network) == Size(128, 96)
    with pytest.raises(ConfigError, match=r"size: expected \[width, height\], multiples of 16, got \[100, 96\]"):
        timed_size([100, 96], network)


def test_a_damaged_checkpoint_to_go_on_from_is_one_line_that_names_it(prune_config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LAST).write_bytes(b"PK\x03\x04" + bytes(999))
    with pytest.raises(ModelError, match=r"^\S*last\.ckpt: not a checkpoint of gaze, or a damaged one \([^\n]*\)$"):
        prune(prune_config("budget=0.5", "resume=true"))
