"""`gaze.prune pruner=l0` from a checkpoint to a smaller one, on times that are known."""

import json
import re

import numpy as np
import pytest
import torch

from gaze.errors import ConfigError, GazeError
from gaze.models.checkpoints import load_checkpoint
from gaze.models.onnx import export_onnx, parity
from gaze.pruning.config import PrunerConfig
from gaze.pruning.methods.l0 import L0Pruning
from gaze.pruning.methods.removal_log import read
from gaze.pruning.structure.groups import find_groups
from gaze.training import pruning_run
from gaze.training.pruning_run import PRUNED, prune
from tests.pruning.known_times import known_times
from tests.pruning.methods.test_fisher_pruning import Interrupt
from tests.training.conftest import QUIET
from tests.training.test_pruning_run import latency, prune_config  # noqa: F401

pytestmark = [*QUIET, pytest.mark.filterwarnings("ignore:.*exists and is not empty")]
GATES = [
    "pruner=l0", "pruner.l0.rate=0.5",
    "schedule={updates_per_removal: 1, maps_per_removal: null, removals: 6, removals_per_surgery: 2,"
    " finetune_updates: 3}",
]  # fmt: skip


@pytest.mark.parametrize("penalty", ["time", "parameters", "maps"])
def test_a_run_leaves_a_faster_network_log_and_pictures(prune_config, tmp_path, monkeypatch, penalty):  # noqa: F811
    known_times(monkeypatch)
    outcome = prune(prune_config(*GATES, f"pruner.l0.penalty={penalty}", "budget=0.7"))
    out = tmp_path / "run"
    assert {PRUNED, "removals.csv", "pruning.json", "widths.png", "time_loss.png", "predicted.png",
            "config.yaml"} <= {path.name for path in out.iterdir()}  # fmt: skip
    stored = json.loads((out / "pruning.json").read_text())
    assert stored["met"]
    assert stored["after_ms"] <= stored["budget_ms"] == pytest.approx(0.7 * stored["before_ms"])
    pruned = load_checkpoint(out / PRUNED).network
    assert {g.name: g.maps for g in find_groups(pruned)} == {k: n for k, n in outcome.after.items() if n > 1}
    assert sum(outcome.before.values()) - sum(outcome.after.values()) == sum(
        len(row.maps) for row in read(out / "removals.csv")
    )
    assert set(torch.load(out / PRUNED)["state_dict"]) == {f"network.{key}" for key in pruned.state_dict()}
    export_onnx(pruned, tmp_path / "pruned.onnx")
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert parity(pruned, tmp_path / "pruned.onnx", [photo]) < 1e-4


def test_an_interrupted_run_ends_as_an_uninterrupted_one(prune_config, tmp_path, monkeypatch):  # noqa: F811
    known_times(monkeypatch)
    make, found = pruning_run._make_trainer, []
    for name, stops in (("whole", [-1]), ("parted", [1, 3, -1])):
        settings = [*GATES, "budget=0.5", f"out={tmp_path / name}"]
        for number, stop in enumerate(stops):
            monkeypatch.setattr(
                pruning_run, "_make_trainer", lambda c, others, stop=stop: make(c, [*others, Interrupt(stop)])
            )
            config = prune_config(*settings, f"resume={str(number > 0).lower()}")
            if stop < 0:
                prune(config)
            else:
                with pytest.raises(SystemExit):
                    prune(config)
        weights = load_checkpoint(tmp_path / name / PRUNED).network.state_dict()
        found.append((weights, (tmp_path / name / "removals.csv").read_text()))
    (whole, rows), (parted, same_rows) = found
    assert rows == same_rows
    assert rows.count("\n") > 3
    for key, value in whole.items():
        torch.testing.assert_close(parted[key], value, rtol=0, atol=0, msg=key)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("beta=0", "pruner.l0.beta: expected above 0, at most 1, got 0"),
        ("beta=1.5", "pruner.l0.beta: expected above 0, at most 1, got 1.5"),
        ("gamma=0", "pruner.l0.gamma: expected below 0, got 0"),
        ("gamma=nan", "pruner.l0.gamma: expected below 0, got nan"),
        ("zeta=1", "pruner.l0.zeta: expected above 1, got 1"),
        ("start=-2.5", "pruner.l0.start: expected above -2.3979, got -2.5"),
        ("rate=0", "pruner.l0.rate: expected above 0, got 0"),
        ("rho=-1", "pruner.l0.rho: expected above 0, got -1"),
        ("penalty=joules", "pruner.l0.penalty: expected one of linear_time, maps, .*time, got 'joules'"),
        ("estimator=hunch", "pruner.l0.estimator: expected one of concrete, rebar, reinforce, relax, got 'hunch'"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_written(prune_config, tmp_path, setting, message):  # noqa: F811
    with pytest.raises(ConfigError, match=rf"^{message}(\.0)?$"):
        prune_config(*GATES, "budget=0.5", f"pruner.l0.{setting}")
    assert not (tmp_path / "run").exists()


def test_a_number_of_maps_a_removal_is_refused(prune_config, tmp_path):  # noqa: F811
    with pytest.raises(ConfigError, match=r"^schedule.maps_per_removal: expected null, as .*closed, got 2$"):
        prune(prune_config(*GATES, "budget=0.5", "schedule.maps_per_removal=2"))
    assert not (tmp_path / "run").exists()


def test_the_method_asks_for_its_settings_and_knows_what_it_leaves_idle(prune_config):  # noqa: F811
    with pytest.raises(ConfigError, match=r"^pruner.l0: expected settings for pruner.method=l0, got null$"):
        prune_config("pruner.method=l0", "budget=0.5")
    idle = prune_config(*GATES, "budget=0.5").idle()
    assert idle["pruner.signal"] == "pruner.method=l0 learns which maps leave"
    named = {key.removeprefix("pruner.") for key in L0Pruning.IDLE if key.startswith("pruner.")}
    assert named < set(PrunerConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("budget=0.01", r"^budget: expected at least 0\.\d+ of the unpruned time, which the fewest maps .*, got 0.01$"),
        ("budget_ms=0.5", r"^budget_ms: expected at least \d[\d.]* ms, which the fewest maps a group cost, got 0.5$"),
    ],
)
def test_a_budget_below_one_map_a_group_is_told(prune_config, tmp_path, monkeypatch, budget, message):  # noqa: F811
    known_times(monkeypatch)
    with pytest.raises(ConfigError, match=message):
        prune(prune_config(*GATES, budget))
    assert not any((tmp_path / "run").iterdir())


def test_a_poor_fit_is_told_with_how_poor_it_is(prune_config, tmp_path, monkeypatch, capsys):  # noqa: F811
    known_times(monkeypatch, lambda i, o: 50.0 if i > 64 else 0.1)
    prune(prune_config(*GATES, "budget=0.9"))
    said = [line for line in capsys.readouterr().err.splitlines() if "poor quadratic" in line]
    assert len(said) == 1
    assert re.match(
        r"gaze.prune: pruner.l0.penalty=time: a poor quadratic fit, (2[6-9]|3\d)% from the latency", said[0]
    )


def test_a_fit_that_says_nothing_is_refused(prune_config, tmp_path, monkeypatch):  # noqa: F811
    known_times(monkeypatch)
    monkeypatch.setattr("gaze.pruning.methods.l0.disagreement", lambda *_: 1.37)
    said = r"^pruner.l0.penalty=time: expected a quadratic fit within 100%, got one 137% from .*; take [^\n]*$"
    with pytest.raises(GazeError, match=said):
        prune(prune_config(*GATES, "budget=0.9"))
    assert not any((tmp_path / "run").iterdir())
    assert prune(prune_config(*GATES, "budget=0.9", "pruner.l0.penalty=maps")).met


def test_runs_under_bfloat16_with_a_teacher(prune_config, tmp_path, monkeypatch):  # noqa: F811
    known_times(monkeypatch)
    settings = ("budget=0.7", "trainer.precision=bf16-mixed", "distill.weight=0.5", "trainer.accumulate_grad_batches=2")
    assert prune(prune_config(*GATES, *settings)).met
    weights = load_checkpoint(tmp_path / "run" / PRUNED).network.state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())
