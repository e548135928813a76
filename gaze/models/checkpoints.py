"""Checkpoints that rebuild their own network."""

import io
import math
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from gaze.errors import ModelError, one_line
from gaze.files import write_atomic
from gaze.models.config import ModelConfig
from gaze.models.network import GazeNetwork, build_network
from gaze.models.widths import set_widths, widths

BEST, LAST, PRUNED = "best.ckpt", "last.ckpt", "pruned.ckpt"
"""What a run calls its checkpoints: the best of a training, where a run stands, what a pruning leaves."""

PREFIX = "network."
LATER: dict[str, Any] = {"backbone": {"activation": None, "skip": []}}
"""What checkpoints from before a field mean by its absence."""

_VALUES = 1000
"""Settings of a model at most, each layer, tap and pattern counted."""

_MOST, _TAP = 2**28, 2**12
"""Weights of a readout and cells of a center bias at most, where a tap has so many maps."""


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


def run_name(path: Path) -> str:
    """What a table calls a checkpoint: as its run's folder, or as the file where that has a name of its own."""
    folder = path.absolute().parent.name
    names = {BEST: folder, PRUNED: folder, LAST: f"{folder}, last"}
    return names.get(path.name) or path.stem


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
        ModelError: the file is missing, damaged or not a checkpoint of gaze; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint")
    try:
        return _build(_read(path))
    except Exception as error:  # torch, timm and OmegaConf have dozens of classes for what a damaged file may be
        raise ModelError(f"{path}: not a checkpoint of gaze, or a damaged one ({_reason(error)})") from error


def _read(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):  # torch would take it for a bare pickle, and advise to let it run its code
        raise ValueError("expected an archive of torch.save, got something else, or one that is cut off")
    with zipfile.ZipFile(path) as archive:  # torch compresses nothing
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("expected what torch.save wrote, got an archive that unpacks to more bytes than it has")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("expected tensors and plain values alone; what else a pickle holds could run code") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"expected model and state_dict by name, got {type(checkpoint).__name__}")
    return checkpoint


def _build(checkpoint: dict[str, Any]) -> Trained:
    if (values := _count(checkpoint["model"])) > _VALUES:
        raise ValueError(f"model: expected at most {_VALUES} values, got {values}")
    schema = OmegaConf.structured(ModelConfig)
    config: Any = OmegaConf.to_object(OmegaConf.merge(schema, LATER, _plain(checkpoint["model"])))
    # what a training had beside its network, as gates that it was learning, stays behind
    state = {key.removeprefix(PREFIX): v for key, v in checkpoint["state_dict"].items() if key.startswith(PREFIX)}
    _check_extent(config, state, checkpoint.get("widths", {}))
    network = _filled(config, checkpoint.get("widths", {}), state)
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name}: expected finite weights, got NaN or infinity")
    return Trained(network.eval(), list(checkpoint.get("trained_on", [])), int(checkpoint.get("seed", 0)))


def _check_extent(config: ModelConfig, state: Mapping[str, Any], layers: Mapping[str, Any]) -> None:
    """Refuses what would take far more memory than the file has bytes.

    Raises:
        ValueError: the model is wider than any, or a tensor has more numbers than are stored of it.
    """
    readout, taps = config.readout, config.backbone.taps
    joined = readout.reduce * len(taps) if readout.reduce else _TAP
    widths = [_TAP if readout.reduce else 0, joined, *readout.channels]
    if (weights := sum(a * b for a, b in pairwise(widths)) + math.prod(config.finalizer.center_bias)) > _MOST:
        raise ValueError(f"readout and center_bias: expected at most {_MOST} weights, got {weights}")
    largest = max(
        (max(value.shape, default=0) for value in state.values() if isinstance(value, torch.Tensor)), default=0
    )
    for name, width in layers.items():
        if state and max(width) > largest:
            raise ValueError(f"widths of {name}: expected at most the {largest} of its tensors, got {max(width)}")
    for key, value in state.items():
        if isinstance(value, torch.Tensor) and value.is_meta:
            raise ValueError(f"{key}: expected numbers, got none")
        if isinstance(value, torch.Tensor) and value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(f"{key}: expected all numbers of its shape {list(value.shape)}, got some of them")


def _filled(config: ModelConfig, stored: Mapping[str, list[int]], state: Mapping[str, Any]) -> GazeNetwork:
    """A network with the tensors of `state`; shapes and names are seen to agree before memory is taken for it."""
    if (sketch := _sketch(config)) is not None:
        set_widths(sketch, stored)
        expected = sketch.state_dict()
        # copies, as tensors of a file may share their numbers, and what is trained may not
        own = {key: _copy(value, expected[key]) if key in expected else value for key, value in state.items()}
        sketch.load_state_dict(own, assign=True)
        if not any(buffer.is_meta for buffer in sketch.buffers()):
            return sketch
    network = build_network(config, load_weights=False)  # it has numbers that no file holds
    set_widths(network, stored)
    network.load_state_dict(state)
    return network


def _sketch(config: ModelConfig) -> GazeNetwork | None:
    """The network without memory for its weights; None where its backbone computes while it is built."""
    try:
        with torch.device("meta"):
            return build_network(config, load_weights=False)
    except (RuntimeError, NotImplementedError):
        return None


def _copy(value: Any, like: torch.Tensor) -> Any:
    if not isinstance(value, torch.Tensor) or value.shape != like.shape:
        return value  # which `load_state_dict` refuses
    return value.to(like.dtype).clone(memory_format=torch.contiguous_format)


def _reason(error: Exception) -> str:
    """What an exception says, in one line: torch begins with a heading and lists what is wrong below it."""
    if type(error) is KeyError:
        return f"it lacks {error}"
    lines = [one_line(line.strip()) for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__


def _count(values: Any) -> int:
    """How many values there are within others."""
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else ()
    return len(inner) + sum(map(_count, inner))


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
