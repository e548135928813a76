"""Checkpoints that rebuild their own network."""

import io
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaze.errors import ModelError
from gaze.files import write_atomic
from gaze.models.config import ModelConfig
from gaze.models.network import GazeNetwork, build_network
from gaze.models.widths import set_widths, widths

PREFIX = "network."
LATER: dict[str, Any] = {"backbone": {"activation": None, "skip": []}}
"""What checkpoints from before a field mean by its absence."""


@dataclass(frozen=True)
class Trained:
    """A network and where it comes from.

    Attributes:
        network: with its averaged weights, ready to predict.
        trained_on: names of the data sets.
        seed: of the training.
    """

    network: GazeNetwork
    trained_on: list[str]
    seed: int


def describe(network: GazeNetwork, trained_on: list[str], seed: int) -> dict[str, Any]:
    """What a checkpoint holds beside the weights, in plain values, so that `load_checkpoint` can read it."""
    return {"model": asdict(network.config), "widths": widths(network), "trained_on": list(trained_on), "seed": seed}


def save_checkpoint(path: Path, network: GazeNetwork, trained_on: list[str], seed: int) -> None:
    """Writes a checkpoint of the network alone, whole or not at all; `load_checkpoint` reads it."""
    state = {f"{PREFIX}{key}": value.detach().cpu() for key, value in network.state_dict().items()}
    content = io.BytesIO()
    torch.save({"state_dict": state, **describe(network, trained_on, seed)}, content)
    write_atomic(path, content.getvalue(), overwrite=True)


def load_checkpoint(path: str | Path) -> Trained:
    """Builds the network of a training checkpoint.

    Only tensors and plain values are unpickled (`weights_only=True`), so a file from elsewhere cannot run code.

    Raises:
        ModelError: the file is missing, damaged or not a checkpoint of gaze.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        schema = OmegaConf.structured(ModelConfig)
        config: Any = OmegaConf.to_object(OmegaConf.merge(schema, LATER, _plain(checkpoint["model"])))
        state = {key.removeprefix(PREFIX): value for key, value in checkpoint["state_dict"].items()}
        network = build_network(config, load_weights=False)
        set_widths(network, checkpoint.get("widths", {}))
        network.load_state_dict(state)
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError,
            pickle.UnpicklingError, OmegaConfBaseException) as error:  # fmt: skip
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a checkpoint of gaze, or a damaged one ({reason})") from error
    return Trained(network.eval(), list(checkpoint.get("trained_on", [])), int(checkpoint.get("seed", 0)))


def _plain(values: Any) -> Any:
    """The same values; an interpolation, which could read this machine's environment, is an error.

    Raises:
        ValueError: there is one.
    """
    if isinstance(values, dict):
        return {_plain(key): _plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    if isinstance(values, str) and "${" in values:
        raise ValueError(f"expected plain values, got {values!r}")
    return values


def load_network(path: str | Path) -> GazeNetwork:
    """The network of `load_checkpoint`."""
    return load_checkpoint(path).network
