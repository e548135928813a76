"""The Fisher-Rao norm while a network trains: logged, kept in a file, and drawn beside the information gain."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import nn

from gaze.data.dataset import GazeDataset
from gaze.errors import DataError
from gaze.files import write_atomic
from gaze.pruning.information.fisher_rao import FisherRao, HalfNorms
from gaze.pruning.pictures import NormCurves, draw_norms
from gaze.pruning.structure.groups import find_groups
from gaze.training.lightning_module import MONITOR
from gaze.training.likelihood import KINDS, estimate, photographs

NORMS = "norm.json"
PICTURE = "norm.png"

_log = logging.getLogger(__name__)


def half_norms_of(network: nn.Module, dataset: GazeDataset, count: int | None, seed: int) -> dict[str, HalfNorms]:
    """Half the squared Fisher-Rao norm in bits per fixation: see `FisherRao` and `gaze.training.likelihood.score`.

    Args:
        network: photographs in, log densities out; left as it is.
        dataset: whose photographs are looked at, without what a teacher says of them.
        count: how many of them at most; None takes all.
        seed: of the sample and of the model's draws.

    Returns:
        `weights_empirical`, `maps_empirical`, `weights_model` and `maps_model`: of all parameters and of the masks on
        all maps, with the Fisher information of the fixations as they are and of draws from the predicted density.
    """
    found: dict[str, HalfNorms] = {}
    for kind in KINDS:
        norm = FisherRao(network, find_groups(network))
        try:
            estimate(network, norm, photographs(dataset, count, seed), kind, seed)
        finally:
            norm.detach()
        found |= {f"weights_{kind}": norm.weights(), f"maps_{kind}": norm.maps()}
    return found


class FisherRaoNorm(pl.Callback):
    """Measures `half_norms_of` every few updates of a training or a pruning, first before it begins.

    Logs `norm/NAME` and `norm/NAME_diagonal` in bits per fixation, for the names that `half_norms_of` gives; writes
    `norm.json`, with each layer and group as well, and when the run is over `norm.png`. Parameters that are not counted
    are named there as `left_out`, and once in the log. The network is the one that trains, not the average of its
    weights, which is what the information gain is of.

    Args:
        dataset: whose photographs are looked at, without what a teacher says of them.
        every: updates between two measurements.
        count: photographs of a measurement, the same ones each time; None takes all.
        seed: of the sample and of the draws.
        out: folder of the files.

    Attributes:
        norms: what was measured, by the update after which it was.
        gains: validation information gain over the centre bias in bits per fixation, by the update likewise.
    """

    def __init__(self, dataset: GazeDataset, every: int, count: int | None, seed: int, out: Path) -> None:
        self.dataset, self.every, self.count, self.seed, self.out = dataset, every, count, seed, out
        self.norms: dict[int, dict[str, Any]] = {}
        self.gains: dict[int, float] = {}
        self.told: list[str] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures what the run begins with."""
        self._measure(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures when it is time to."""
        if trainer.global_step % self.every == 0:
            self._measure(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes the information gain."""
        if MONITOR in trainer.callback_metrics:
            self.gains[trainer.global_step] = float(trainer.callback_metrics[MONITOR])

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the file once more, with the last gain, and draws."""
        if trainer.is_global_zero:
            self._write()
            draw_norms({self.out.name: curves(self.out / NORMS)}, self.out / PICTURE)

    def state_dict(self) -> dict[str, Any]:
        """What was measured so far."""
        return {"norms": self.norms, "gains": self.gains}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self.norms, self.gains = dict(state_dict["norms"]), dict(state_dict["gains"])

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        step = trainer.global_step
        if step in self.norms:  # it was resumed, or gradients are being accumulated
            return
        found = half_norms_of(module.network, self.dataset, self.count, self.seed)  # type: ignore[arg-type]
        self._tell(list(dict.fromkeys(name for norms in found.values() for name in norms.left_out)))
        self.norms[step] = {name: asdict(norms) for name, norms in found.items()}
        for logger in trainer.loggers:
            logger.log_metrics({f"norm/{name}": value for name, value in _totals(self.norms[step]).items()}, step)
        if trainer.is_global_zero:
            self._write()

    def _tell(self, left_out: list[str]) -> None:
        if left_out and left_out != self.told:
            _log.warning("norm: parameters that are not counted: %s", ", ".join(left_out))
        self.told = left_out

    def _write(self) -> None:
        content = json.dumps({"norms": self.norms, "gains": self.gains}) + "\n"
        write_atomic(self.out / NORMS, content.encode(), overwrite=True)


def curves(path: Path) -> NormCurves:
    """The totals over the updates, from a run's `norm.json`.

    Raises:
        DataError: the file is missing or damaged; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = {int(step): _totals(norms) for step, norms in content["norms"].items()}
        gains = {int(step): float(gain) for step, gain in content["gains"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: expected norms and gains by update, as FisherRaoNorm writes them ({error})"
        ) from error
    names = list(next(iter(rows.values()), {}))
    return NormCurves({name: {step: row[name] for step, row in rows.items()} for name in names}, gains)


def _totals(norms: dict[str, Any]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, found in norms.items():
        totals |= {name: found["total"]["full"], f"{name}_diagonal": found["total"]["diagonal"]}
    return totals
