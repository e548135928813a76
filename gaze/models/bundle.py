"""An exported model as it travels: the ONNX file and the card beside it, written together or not at all."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze.card import InputRule, ModelCard
from gaze.errors import ConfigError, DataError, check_settings
from gaze.files import check_free, write_atomic
from gaze.images import SUFFIXES, decode
from gaze.models.checkpoints import Trained, load_checkpoint
from gaze.models.config import CardConfig, ExportConfig, resized
from gaze.models.finalizer import STRIDE
from gaze.models.int8 import quantize
from gaze.models.network import GazeNetwork
from gaze.models.onnx import export_onnx, parity, rounded, seen, total_variation

PHOTOS = 8
"""How many photographs of a folder are compared."""

MEASURED = 48
"""How many tell which values maps have."""


def write_bundle(config: ExportConfig) -> str:
    """Exports a checkpoint as `config` says.

    Returns:
        One line: the file, its size and how far it is from torch.

    Raises:
        ConfigError: `out` is no .onnx file or is there already, or there are no photos.
        ModelError: the checkpoint cannot be loaded, or the export differs from torch.
    """
    check_settings(config)
    card_path = config.out.with_suffix(".json")
    check_free([config.out, card_path], config.overwrite)
    trained = load_checkpoint(config.checkpoint)
    if config.longer_side is not None:
        trained.network.config = resized(trained.network.config, config.longer_side)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / config.out.name
        difference = _write(trained.network, path, config)
        content = path.read_bytes()
    card = make_card(config.card, config.out.stem, trained, content)
    write_atomic(card_path, card.dumps().encode(), config.overwrite)
    write_atomic(config.out, content, config.overwrite)
    return f"{config.out}: {len(content) / 1e6:.1f} MB, {difference}"


def _write(network: GazeNetwork, path: Path, config: ExportConfig) -> str:
    """Writes the network, and says how far it is from torch."""
    if config.int8:
        export_onnx(network, path)
        parity(network, path, _photos(config.photos, PHOTOS))
        quantize(path, [seen(network, photo) for photo in _photos(config.photos, MEASURED)])
        moved = total_variation(network, path, _photos(config.photos, PHOTOS))
        return f"{moved:.3f} of the density elsewhere than torch has it"
    network = rounded(network) if config.half else network
    export_onnx(network, path)
    return f"within {parity(network, path, _photos(config.photos, PHOTOS)):.1e} of torch in log density"


def make_card(words: CardConfig, name: str, trained: Trained, content: bytes) -> ModelCard:
    """The card of an exported network whose file is `content`."""
    config = trained.network.config
    return ModelCard(
        name=name,
        version=words.version,
        sha256=hashlib.sha256(content).hexdigest(),
        input=InputRule(config.input.longer_side, config.input.multiple),
        output=_strides(trained.network),
        backbone=config.backbone.name,
        parameters=sum(parameter.numel() for parameter in trained.network.parameters()),
        trained_on=trained.trained_on,
        metrics=_figures(words.metrics) if words.metrics else {},
        left_out={name: _figures(path)[name] for name, path in (words.left_out or {}).items()},
        license=words.license,
        notices=words.notices,
        command=words.command,
        seed=trained.seed,
        log=words.log,
    )


def _strides(network: GazeNetwork) -> dict[str, Any]:
    """Pixels of the input per cell of each output."""
    finest, others = network.backbone.strides[0], {"heads": network.heads, "preference": network.preference}
    return {"stride": STRIDE} | {name: finest for name, readout in others.items() if readout is not None}


def _figures(path: Path) -> dict[str, dict[str, Any]]:
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))["sets"]
        return {
            name: {metric: round(value["mean"], 4) for metric, value in entry["scores"]["model"].items()}
            for name, entry in sets.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a report of gaze.evaluate ({error})") from error


def _photos(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    known = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
    paths = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix.lower() in known)
    if not paths:
        raise ConfigError(f"photos: expected a photograph or a folder of them, got {path}")
    for photo in paths[:: max(1, len(paths) // count)][:count]:
        yield decode(photo)
