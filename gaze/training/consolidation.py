"""Elastic weight consolidation: a network keeps what it learnt first while it moves on to another data set."""

import hashlib
import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor

from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import GazeDataset
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, DataError, OutputError, shown
from gaze.files import replacing
from gaze.models import STRIDE, GazeNetwork
from gaze.models.checkpoints import load_checkpoint
from gaze.progress import track
from gaze.training.config import UNIFORM, EwcConfig, TrainConfig
from gaze.training.likelihood import fisher_information, photographs

FORMAT = 2
"""Of the cached information: another one is estimated anew."""
SEED = 0
"""Of the sample and the draws: every run has the same, whatever its own."""

_log = logging.getLogger(__name__)


class Consolidation(pl.Callback):
    """Adds lambda / 2 sum_i F_i (theta_i - theta*_i)^2 to the loss: Kirkpatrick et al. 2017 (arXiv 1612.00796), eq. 3.

    With the Fisher information in bits per fixation, see `gaze.training.likelihood.score`, the sum is the rise of the
    first sets' loss that it estimates, so that a lambda of 1 weighs them as much as what is trained on now.

    Args:
        network: with the weights theta* that it is held at.
        information: F of each parameter that is held, by its name; None is 1 for all, which is L2 to the start.
        weight: lambda, at least 0.
    """

    def __init__(self, network: GazeNetwork, information: Mapping[str, Tensor] | None, weight: float) -> None:
        self.weight, self.information = weight, information and dict(information)
        anchors = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        self.anchors = {name: value for name, value in anchors.items() if information is None or name in information}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Goes where the network is."""
        self.anchors = {name: value.to(pl_module.device) for name, value in self.anchors.items()}
        if self.information is not None:
            self.information = {name: value.to(pl_module.device) for name, value in self.information.items()}

    def penalty(self, module: pl.LightningModule) -> Tensor:
        """See `Penalty.penalty`."""
        network: Any = module.network
        steps = {name: network.get_parameter(name).float() - value.float() for name, value in self.anchors.items()}
        squares = {name: step.square() for name, step in steps.items()}
        if self.information is not None:
            squares = {name: self.information[name] * square for name, square in squares.items()}
        return self.weight / 2 * torch.stack([square.sum() for square in squares.values()]).sum()


def consolidation(config: TrainConfig, network: GazeNetwork) -> list[Consolidation]:
    """What holds `network` at the checkpoint that it goes on from, if `config` says so.

    The Fisher information is estimated once and kept beside the checkpoint, see `information_of`. What it leaves out is
    not held; the log names it.

    Raises:
        ConfigError: there is no first set, or no store of it.
        DataError: its store is damaged.
    """
    ewc = config.ewc
    if not ewc.weight or config.checkpoint is None:
        return []
    if ewc.fisher == UNIFORM:
        return [Consolidation(network, None, ewc.weight)]
    names = load_checkpoint(config.checkpoint).trained_on if ewc.sets is None else ewc.sets
    stores = first_stores(names, {name: Path(entry.store) for name, entry in config.sets.items()})
    information = information_of(network, config.checkpoint, stores, ewc, config.trainer.progress)
    if left_out := [name for name, _ in network.named_parameters() if name not in information]:
        _log.warning("ewc: parameters that are not held, without Fisher information: %s", ", ".join(left_out))
    return [Consolidation(network, information, ewc.weight)]


def first_stores(names: list[str], known: Mapping[str, Path]) -> list[FixationStore]:
    """The stores of what was learnt first.

    Args:
        names: of data sets, or paths of stores.
        known: stores by name, which come before those that `gaze/conf/data` names.

    Raises:
        ConfigError: there is no name, one that nothing is known of, or no store of it.
        DataError: a store is damaged.
    """
    if not names:
        raise ConfigError("ewc.sets: expected what the checkpoint was trained on first, and it does not say; "
                          "give ewc.sets=[NAME]")  # fmt: skip
    return [FixationStore(_store(name, known)) for name in names]


def _store(name: str, known: Mapping[str, Path]) -> Path:
    path = known.get(name)
    if path is None and Path(name).suffix == ".h5":
        path = Path(name)
    configured = {file.name: file for file in (resources.files("gaze.conf") / "data").iterdir()}
    if path is None and (file := configured.get(f"{name}.yaml")):
        sets: Any = OmegaConf.create(file.read_text(encoding="utf-8"))
        path = Path(sets[name].store)
    if path is None:
        raise ConfigError(f"ewc.sets: expected names of data sets or paths of stores (.h5), got {shown(name)}; "
                          "give ewc.sets=[PATH]")  # fmt: skip
    if not path.is_file():
        raise ConfigError(f"ewc.sets: expected a store of {name} at {path}, found none; give ewc.sets=[PATH]")
    return path


def information_of(
    network: GazeNetwork, checkpoint: Path, stores: list[FixationStore], config: EwcConfig, progress: bool = False
) -> dict[str, Tensor]:
    """The diagonal Fisher information of a network on the train splits of stores, on the CPU: see `fisher_information`.

    It is kept beside the checkpoint, in a file whose name tells checkpoint, network, stores and settings apart by a
    hash of them; one that is damaged is estimated and written anew. Where no file can be written it is estimated each
    time, and the log says so.

    Args:
        network: as it was built from the checkpoint, at the input size that it will see.
        checkpoint: of it.
        stores: what it learnt first.
        config: kind of information and how many photographs.
        progress: tell how far it is.

    Raises:
        ConfigError: no store has a train split.
    """
    key = _key(network, checkpoint, stores, config)
    path = checkpoint.with_name(f"{checkpoint.stem}.fisher-{key[:16]}.pt")
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    if (kept := _read(path, key)) and all(value.shape == shapes.get(name) for name, value in kept.items()):
        return kept
    rule = InputRule(network.config.input.longer_side, network.config.input.multiple)
    try:
        dataset = GazeDataset(stores, "train", rule, STRIDE, AugmentConfig(0, 0, 1, 0))
    except DataError as error:
        raise ConfigError(f"ewc.sets: {error}") from error
    count = min(len(dataset), config.photographs or len(dataset))
    sample = list(photographs(dataset, count, SEED))
    shown_ = track(sample, "Fisher information", unit="step", shown=progress)
    information = fisher_information(network, shown_, config.fisher, SEED)
    information = {name: value.cpu() for name, value in information.items()}
    _write(path, key, information)
    return information


def _key(network: GazeNetwork, checkpoint: Path, stores: list[FixationStore], config: EwcConfig) -> str:
    facts = {
        "format": FORMAT,
        "checkpoint": _digest(checkpoint),
        "network": asdict(network.config),
        "stores": [_digest(store.path) for store in stores],
        "fisher": config.fisher,
        "photographs": config.photographs,
        "seed": SEED,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, key: str) -> dict[str, Tensor]:
    """What is kept there; nothing where it is missing, damaged or of something else."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return dict(content["information"]) if content["key"] == key else {}
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError):
        return {}


def _write(path: Path, key: str, information: Mapping[str, Tensor]) -> None:
    try:
        with replacing(path) as file:
            torch.save({"key": key, "information": dict(information)}, file)
    except OutputError as error:
        _log.warning("the Fisher information is not kept: %s", error)
