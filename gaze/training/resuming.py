"""What must hold before a stopped run goes on: the settings that it began with, a checkpoint with all of its state."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from gaze.errors import ConfigError, ModelError, expect, one_line, shown
from gaze.models.checkpoints import load_network
from gaze.models.widths import set_widths
from gaze.pruning.config import GRANULARITIES
from gaze.pruning.methods.base import PacedPruning
from gaze.training.lightning_module import GazeModule, parameter_groups

SETTINGS = "config.yaml"
"""What a run was begun with, in its folder."""

FREE = (
    "out",
    "resume",
    "loader.workers",
    "trainer.max_epochs",
    "trainer.devices",
    "trainer.strategy",
    "trainer.accelerator",
    "trainer.threads",
    "trainer.progress",
    "trainer.logger",
)
"""Settings with which a run may go on that began with others: how long it takes, on what it runs, whom it tells."""

NAMED = ("sets.*", "loader.weights.*")
"""Settings (glob patterns) whose absence says something; another that a run lacks was unknown to it."""

STATE = ("optimizer_states", "lr_schedulers", "loops", "callbacks", "current_model_state", "averaging_state")
"""What Lightning and the averaging leave in a checkpoint, beside the network, to go on from."""


def check_settings_of_run(last: Path, config: Any) -> None:
    """Refuses to go on with other settings than a run began with.

    Args:
        last: the checkpoint to go on from; what the run began with lies beside it.
        config: the settings now, a dataclass.

    Raises:
        ConfigError: names the settings that differ.
        ModelError: the checkpoint is damaged, or what lies beside it cannot be read.
    """
    load_network(last)  # one line where it is damaged; Lightning has none
    path = last.parent / SETTINGS
    try:
        before = OmegaConf.to_container(OmegaConf.load(path))
        if not isinstance(before, dict) or not before:
            raise ValueError(f"expected settings by name, got {type(before).__name__}")
    except Exception as error:  # YAML, Unicode and the file system have classes of their own for what a file may be
        raise ModelError(f"{path}: expected what the run was begun with; it cannot be read ({_said(error)})") from error
    before = _of_today(before)
    now: Any = OmegaConf.to_container(OmegaConf.structured(config))
    if differ := list(_differences(dict(leaves(before)), dict(leaves(now)))):
        raise ConfigError(
            f"resume=true: expected the settings with which the run in out={last.parent} began; {', '.join(differ)}; "
            "take them back, or begin another run with another out"
        )


def _of_today(settings: dict[Any, Any]) -> dict[Any, Any]:
    """The settings of a run by an earlier gaze, with what they are called now."""
    pruner = settings.get("pruner") or {}
    method = GRANULARITIES.get(str(pruner.get("granularity")))
    return {**settings, "pruner": {**pruner, "method": method, "granularity": None}} if method else settings


def check_state(last: Path, module: GazeModule, callbacks: Sequence[pl.Callback]) -> None:
    """Refuses a checkpoint that does not hold all the state of such a run.

    Args:
        last: the checkpoint, of which `load_network` can read the network.
        module: that is to go on, as it was before the run.
        callbacks: of the run.

    Raises:
        ConfigError: the run began in another folder: the best of its networks would not be known.
        ModelError: names what is missing or does not fit.
    """
    content = torch.load(last, map_location="cpu", weights_only=True)
    lacks = [name for name in STATE if not content.get(name)]
    if not lacks:
        stateful = [c for c in callbacks if type(c).state_dict is not pl.Callback.state_dict]
        lacks = [f"the state of {type(c).__name__}" for c in stateful if not content["callbacks"].get(c.state_key)]
    if lacks:
        raise ModelError(
            f"{last}: expected what a run leaves to go on from; it lacks {', '.join(lacks)}; "
            "its network alone is trained on with checkpoint=... and another out"
        )
    places = [state["dirpath"] for state in content["callbacks"].values() if state.get("dirpath")]
    if moved := [place for place in places if Path(place) != last.parent.resolve()]:
        raise ConfigError(f"resume=true: the run in out={last.parent} began in {moved[0]}; move it back there")
    try:
        if (came := load_network(last).config) != module.network.config:
            raise ValueError(f"the network {came}")
        beside = [group for c in callbacks if isinstance(c, PacedPruning) for group in c.parameter_groups()]
        _check_tensors(content, module, [group["params"] for group in beside])
    except Exception as error:  # of a file of whatever shape
        raise ModelError(f"{last}: expected the state of this run, got that of another ({_said(error)})") from error


def check_length(last: Path, max_epochs: int) -> None:
    """Raises ConfigError where a run has begun more than `max_epochs` epochs already."""
    begun = torch.load(last, map_location="cpu", weights_only=True)["epoch"] + 1
    expect(max_epochs >= begun, "trainer.max_epochs", f"at least the {begun} epochs that {last} has begun", max_epochs)


def _check_tensors(content: Mapping[str, Any], module: GazeModule, beside: Sequence[list[torch.Tensor]]) -> None:
    """Raises ValueError where network or optimiser would not take the tensors of a checkpoint.

    Args:
        content: of the checkpoint.
        module: that is to go on, as it was before the run.
        beside: what is trained beside the network, by group of the optimiser.
    """
    network = copy.deepcopy(module.network)
    set_widths(network, content["widths"])
    state = content["current_model_state"]
    for name, value in network.state_dict().items():
        _expect_shape(f"network.{name}", value, state[f"network.{name}"])
    for name, value in module.state_dict().items():
        if not name.startswith("network."):  # which surgery leaves as it was
            _expect_shape(name, value, state[name])
    expected = [*(group["params"] for group in parameter_groups(network, module.optim)), *beside]
    (optimizer,) = content["optimizer_states"]
    counts = [len(group["params"]) for group in optimizer["param_groups"]]
    if counts != [len(group) for group in expected]:
        raise ValueError(f"the optimiser has groups of {counts} tensors")
    for index, parameter in enumerate(p for group in expected for p in group):
        if index in optimizer["state"]:
            _expect_shape(f"moment {index} of the optimiser", parameter, optimizer["state"][index]["exp_avg"])


def _expect_shape(name: str, expected: torch.Tensor, came: torch.Tensor) -> None:
    if came.shape != expected.shape:
        raise ValueError(f"{name}: expected shape {list(expected.shape)}, got {list(came.shape)}")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs, in words."""
    for key in sorted({*before, *now}):
        named = any(fnmatchcase(key, pattern) for pattern in NAMED)
        known = key in before and key in now
        if key not in FREE and (known or named) and before.get(key) != now.get(key):
            came = [shown(str(v) if isinstance(v, Path) else v) if key in of else "none" for of in (before, now)
                    for v in [of.get(key)]]  # fmt: skip
            yield f"{key} was {came[0]} and is {came[1]}"


def leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Full names of settings within settings, and their values."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _said(error: Exception) -> str:
    return f"it lacks {error}" if type(error) is KeyError else one_line(error)
