"""Where predictions come from: an exported network, a training checkpoint, or a folder of finished maps."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.data.store import photograph
from gaze.errors import ConfigError, DataError
from gaze.fixations import Stimulus
from gaze.geometry import Size
from gaze.predictor import Predictor, fit_log_density, network_size
from gaze.weights import SHIPPED

CHECKPOINT, EXPORTED = ".ckpt", ".onnx"
MAP_SUFFIXES = (".npy", ".png")


@dataclass(frozen=True)
class Source:
    """Something that predicts a map for every stimulus.

    Attributes:
        name: in tables.
        predict: stimuli -> one float32 map each, at the size of the stimulus.
        is_density: whether the maps are natural-log densities; otherwise they are saliency maps >= 0.
        facts: what a report says of it.
        trained_on: names of the data sets that it says it was trained on.
    """

    name: str
    predict: Callable[[Sequence[Stimulus]], list[NDArray[np.float32]]]
    is_density: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()


def open_source(network: str | Sequence[str] | None, maps: str | None) -> Source:
    """Opens what the settings `network` and `maps` name; both null means the default model.

    Args:
        network: one, or several of which the mean density is taken.
        maps: a folder.

    Raises:
        ConfigError: both are given, or `network` is no shipped model's name and no .onnx or .ckpt file.
        DataError: `maps` is no folder.
        ModelError: the network cannot be loaded.
    """
    if maps is not None:
        if network is not None:
            raise ConfigError("network, maps: give one of the two")
        return _from_folder(Path(maps))
    if network is None or isinstance(network, str):
        return _from_network(network)
    return _ensemble([_from_network(each) for each in network]) if len(network) > 1 else _from_network(network[0])


def _ensemble(sources: Sequence[Source]) -> Source:
    """The mean of several densities, pixel by pixel."""

    def predict(stimuli: Sequence[Stimulus]) -> list[NDArray[np.float32]]:
        each = zip(*(source.predict(stimuli) for source in sources), strict=True)
        return [np.logaddexp.reduce(maps) - np.float32(np.log(len(sources))) for maps in each]

    trained_on = tuple(sorted({name for source in sources for name in source.trained_on}))
    facts = {"networks": [source.facts for source in sources]}
    return Source(f"mean of {len(sources)} networks", predict, facts=facts, trained_on=trained_on)


def _from_network(network: str | None) -> Source:
    if network is not None and Path(network).suffix == CHECKPOINT:
        return _from_checkpoint(Path(network))
    if network is not None and network not in SHIPPED and Path(network).suffix != EXPORTED:
        raise ConfigError(f"network: expected {', '.join(SHIPPED)} or a file {EXPORTED} or {CHECKPOINT}, got {network}")
    return _from_export(Predictor(network, threads=os.cpu_count() or 1))


def _from_export(predictor: Predictor) -> Source:
    card = predictor.card
    facts = {"name": card.name, "version": card.version, "sha256": card.sha256}

    def predict(stimuli: Sequence[Stimulus]) -> list[NDArray[np.float32]]:
        return [predictor.log_density(photograph(s)) for s in stimuli]

    return Source(card.name, predict, facts=facts, trained_on=tuple(card.trained_on))


def _from_checkpoint(path: Path) -> Source:
    import torch  # heavy, and an exported model needs none of it

    from gaze.models.checkpoints import load_checkpoint, run_name

    trained = load_checkpoint(path)
    network = trained.network
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    rule = network.config.input

    @torch.inference_mode()
    def predict(stimuli: Sequence[Stimulus]) -> list[NDArray[np.float32]]:
        sizes = [network_size(Size(s.width, s.height), rule.longer_side, rule.multiple) for s in stimuli]
        results: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(stimuli)
        for size in set(sizes):
            chosen = [k for k, own in enumerate(sizes) if own == size]
            batch = torch.from_numpy(np.stack([_seen(stimuli[k], size) for k in chosen])).to(device)
            for k, coarse in zip(chosen, network(batch).float().cpu().numpy(), strict=True):
                results[k] = fit_log_density(coarse, Size(stimuli[k].width, stimuli[k].height))
        return results

    facts = {"name": network.config.name, "checkpoint": str(path)}
    return Source(run_name(path), predict, facts=facts, trained_on=tuple(trained.trained_on))


def _seen(stimulus: Stimulus, size: Size) -> NDArray[np.uint8]:
    resized = cv2.resize(photograph(stimulus), (size.width, size.height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def _from_folder(folder: Path) -> Source:
    if not folder.is_dir():
        raise DataError(f"maps={folder}: no such folder")
    return Source(folder.name, lambda stimuli: [_read_map(folder, s) for s in stimuli], is_density=False)


def _read_map(folder: Path, stimulus: Stimulus) -> NDArray[np.float32]:
    """The saliency map of a stimulus: an array or a grey picture named as the image is, resized to it."""
    candidates = [folder / PurePath(stimulus.name).with_suffix(suffix) for suffix in MAP_SUFFIXES]
    path = next((p for p in candidates if p.is_file()), None)
    if path is None:
        raise DataError(f"{folder}: no map for {stimulus.name}; expected {' or '.join(p.name for p in candidates)}")
    try:
        array = np.load(path) if path.suffix == ".npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    if array is None or array.ndim != 2 or not np.isfinite(array).all() or array.min() < 0 or array.max() <= 0:
        raise DataError(f"{path}: expected a grey map of finite values >= 0, not all of them 0")
    size = (stimulus.width, stimulus.height)
    return np.asarray(cv2.resize(array.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), np.float32)
