"""Wires stores, network, cost model, pruning callback and Trainer together and runs them."""

import copy
import json
import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from gaze.card import InputRule
from gaze.data.datamodule import GazeDataModule
from gaze.data.store import FixationStore
from gaze.errors import ConfigError
from gaze.files import write_atomic
from gaze.models import STRIDE, load_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.config import resized
from gaze.models.network import GazeNetwork
from gaze.pruning import pictures
from gaze.pruning.averaging import Averaging
from gaze.pruning.methods.base import PacedPruning
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.weight_pruning import WeightPruning
from gaze.pruning.removal_log import read
from gaze.training.config import PruneConfig
from gaze.training.lightning_module import MONITOR, GazeModule, parameter_groups
from gaze.training.pruning_callback import REMOVALS, make_pruning
from gaze.training.pruning_outcome import FasterOutcome, Outcome, SparserOutcome
from gaze.training.run import EXPECTED, LAST, make_teachers, resolve_precision

PRUNED = "pruned.ckpt"


class PruningModule(GazeModule):
    """A `GazeModule` whose learning rate follows the trainer's pruning callback: see `PacedPruning.rate`."""

    def configure_optimizers(self) -> Any:
        """AdamW over the groups of a `GazeModule`."""
        optimizer = torch.optim.AdamW(parameter_groups(self.network, self.optim))
        # not an attribute of the module: the averaging copies modules with all that they hold
        pruning = next(c for c in self.trainer.callbacks if isinstance(c, PacedPruning))  # type: ignore[attr-defined]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, pruning.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def prune(config: PruneConfig) -> Outcome:
    """Prunes as `config` says and leaves checkpoint, log and pictures in `out`.

    Raises:
        ConfigError: a setting makes no sense, or `out` holds a run that would be lost.
        DataError: a store is missing or damaged.
        ModelError: the checkpoint is missing or damaged.
    """
    last = _check(config)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    unpruned = _unpruned(config)
    data = _make_data(config, unpruned)
    distill = replace(config.distill, teacher=config.distill.teacher or config.checkpoint)
    teachers = make_teachers(distill, config.trainer.progress)
    network = copy.deepcopy(unpruned).train()
    module = PruningModule(network, config.optim, data.names, data.center_biases(), config.seed, data.people)
    config.out.mkdir(parents=True, exist_ok=True)
    pruning = make_pruning(config, unpruned)
    OmegaConf.save(OmegaConf.structured(config), config.out / "config.yaml")
    trainer = _make_trainer(config, [*teachers, pruning])
    with warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message)
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
        return _finish(config, module.network, pruning, unpruned, data)


def _unpruned(config: PruneConfig) -> GazeNetwork:
    network = load_network(config.checkpoint)
    if config.longer_side is not None:
        network.config = resized(network.config, config.longer_side)
    return network


def _finish(
    config: PruneConfig, network: GazeNetwork, pruning: FisherPruning | WeightPruning, unpruned: GazeNetwork,
    data: GazeDataModule,
) -> Outcome:  # fmt: skip
    trained_on = sorted({*load_checkpoint(config.checkpoint).trained_on, *data.people})
    save_checkpoint(config.out / PRUNED, network, trained_on, config.seed)
    common: dict[str, Any] = {
        "checkpoint": str(config.out / PRUNED),
        "before_gain": _gain(unpruned, config, data),
        "after_gain": _gain(network, config, data),
        "removals": pruning.removals,
        "updates": pruning.step,
    }
    if isinstance(pruning, WeightPruning):
        outcome: Outcome = SparserOutcome(**common, met=True, weights=pruning.share)
    else:
        outcome = _faster(config, common, pruning)
    write_atomic(config.out / "pruning.json", (json.dumps(vars(outcome), indent=1) + "\n").encode(), overwrite=True)
    return outcome


def _faster(config: PruneConfig, common: dict[str, Any], pruning: FisherPruning) -> FasterOutcome:
    after = {name: pruning.maps.get(name, 1) for name in pruning.before}
    pictures.draw_widths(pruning.before, after, config.out / "widths.png")
    if rows := read(config.out / REMOVALS):
        pictures.draw_time_loss(rows, config.out / "time_loss.png", pruning.budget)
        pictures.draw_predicted(rows, config.out / "predicted.png")
    return FasterOutcome(
        **common,
        met=pruning.met,
        budget_ms=pruning.budget,
        before_ms=pruning.base,
        after_ms=pruning.measured,
        before=pruning.before,
        after=after,
    )


def _gain(network: GazeNetwork, config: PruneConfig, data: GazeDataModule) -> float:
    """Information gain on the validation images, bits per fixation."""
    module = GazeModule(network, config.optim, data.names, data.center_biases(), config.seed)
    trainer = pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
    )
    loader = data.val_dataloader()
    found = trainer.validate(module, loader, verbose=False) if len(loader) else []
    return float(found[0][MONITOR]) if found else math.nan


def _make_data(config: PruneConfig, network: GazeNetwork) -> GazeDataModule:
    stores = {name: FixationStore(entry.store) for name, entry in config.sets.items()}
    rule = InputRule(network.config.input.longer_side, network.config.input.multiple)
    return GazeDataModule(stores, rule, STRIDE, config.loader, config.augment, config.seed)


def _make_trainer(config: PruneConfig, others: Sequence[pl.Callback]) -> pl.Trainer:
    settings = config.trainer
    callbacks: list[pl.Callback] = [
        Averaging(decay=settings.ema_decay),
        *others,
        ModelCheckpoint(config.out, Path(LAST).stem, enable_version_counter=False),
        LearningRateMonitor("step"),
    ]
    if settings.progress:
        callbacks.append(TQDMProgressBar(refresh_rate=1))
    return pl.Trainer(
        max_epochs=-1,  # the pruning ends the training
        accelerator=settings.accelerator,
        devices=1,
        precision=resolve_precision(settings.precision),  # type: ignore[arg-type]
        accumulate_grad_batches=settings.accumulate_grad_batches,
        gradient_clip_val=settings.gradient_clip_val,
        callbacks=callbacks,
        logger=[TensorBoardLogger(config.out, name="", version=""), CSVLogger(config.out, name="metrics")],
        enable_progress_bar=settings.progress,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
    )


def _check(config: PruneConfig) -> Path | None:
    if (config.budget is None) == (config.budget_ms is None):
        raise ConfigError("budget: give budget_ms=MILLISECONDS or budget=SHARE of the unpruned time, one of the two")
    if config.budget is not None and not 0 < config.budget < 1:
        raise ConfigError(f"budget: expected a share of the unpruned time between 0 and 1, got {config.budget}")
    if config.budget_ms is not None and config.budget_ms <= 0:
        raise ConfigError(f"budget_ms: expected milliseconds above 0, got {config.budget_ms}")
    if not config.sets:
        raise ConfigError("data: name at least one set, for example data=osie")
    config.pruner.check()
    if config.pruner.granularity == "parameter" and config.budget is None:
        raise ConfigError("budget_ms: zeros among the weights save no time; give budget=SHARE of the weights")
    config.schedule.check()
    config.distill.check()
    last = config.out / LAST
    if config.resume and not last.is_file():
        raise ConfigError(f"resume=true: no run to continue in out={config.out} (expected {LAST})")
    if not config.resume and (last.exists() or (config.out / PRUNED).exists()):
        raise ConfigError(
            f"out={config.out}: holds a run already; continue it with resume=true or choose another folder"
        )
    return last if config.resume else None
