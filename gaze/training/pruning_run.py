"""Wires stores, network, cost model, pruning callback and Trainer together and runs them."""

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from gaze.card import InputRule
from gaze.data.datamodule import GazeDataModule
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, check_settings
from gaze.files import write_atomic
from gaze.geometry import Size
from gaze.models import STRIDE, load_network
from gaze.models.checkpoints import LAST, PRUNED, load_checkpoint, save_checkpoint
from gaze.models.config import resized
from gaze.models.network import GazeNetwork
from gaze.predictor import network_size
from gaze.pruning import pictures
from gaze.pruning.information.signal import SignalOptions
from gaze.pruning.methods.base import METHODS, PacedPruning
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.outcome import FasterOutcome, Outcome
from gaze.pruning.methods.removal_log import GROWTH, REMOVALS, read
from gaze.pruning.structure.groups import find_pinned
from gaze.streams import print_note
from gaze.training.averaging import Averaging
from gaze.training.config import PruneConfig
from gaze.training.lightning_module import MONITOR, GazeModule, parameter_groups
from gaze.training.photograph import photograph
from gaze.training.progress import make_progress_bar
from gaze.training.resuming import check_settings_of_run, check_state
from gaze.training.run import check_folder, check_labelled, make_distillation, make_watchers, run, trainer_on

SHAPE = 4 / 3  # of the photograph that is timed where the configuration does not say


class PruningModule(GazeModule):
    """A `GazeModule` whose learning rate follows the trainer's pruning callback: see `PacedPruning.rate`."""

    def configure_optimizers(self) -> Any:
        """AdamW over the groups of a `GazeModule` and those of the pruning."""
        # not an attribute of the module: the averaging copies modules with all that they hold
        pruning = next(c for c in self.trainer.callbacks if isinstance(c, PacedPruning))  # type: ignore[attr-defined]
        optimizer = torch.optim.AdamW(parameter_groups(self.network, self.optim) + pruning.parameter_groups())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, pruning.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def prune(config: PruneConfig) -> Outcome:
    """Prunes as `config` says and leaves checkpoint, log and pictures in `out`.

    Raises:
        ConfigError: a setting makes no sense, or `out` holds a run that would be lost.
        DataError: a store is missing or damaged.
        ModelError: the checkpoint is missing or damaged.
    """
    check_settings(config)
    last = check_folder(config.out, config.resume, LAST, PRUNED)
    if last is not None:
        check_settings_of_run(last, config)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    unpruned = _unpruned(config)
    method, job = METHODS.get(config.pruner.method, "pruner.method"), _job(config, unpruned)
    method.check(job)
    if pinned := find_pinned(unpruned):
        kept = ", ".join(map(str, pinned))
        print_note(f"gaze.prune: maps that stay, as it is not known what is done to them: {kept}")
    data = _make_data(config, unpruned)
    distill = replace(config.distill, teacher=config.distill.teacher or str(config.checkpoint))
    distillation = make_distillation(distill, config.trainer.progress)
    check_labelled(unpruned, data, taught=any(each.teaches_heads for each in distillation))
    network = copy.deepcopy(unpruned).train()
    module = PruningModule(network, config.optim, data.names, data.center_biases(), config.seed, data.people)
    config.out.mkdir(parents=True, exist_ok=True)
    pruning = method.of(job)
    pruning.attach(module)
    watchers = make_watchers(config.norm, data, config.seed, config.out)
    trainer = _make_trainer(config, [*distillation, pruning, *watchers])
    if last is not None:
        check_state(last, module, trainer.callbacks)  # type: ignore[attr-defined]
    run(trainer, module, data, config, last)
    return _finish(config, module.network, pruning, unpruned, data)


def _unpruned(config: PruneConfig) -> GazeNetwork:
    network = load_network(config.checkpoint)
    if config.longer_side is not None:
        network.config = resized(network.config, config.longer_side)
    return network


def _job(config: PruneConfig, unpruned: GazeNetwork) -> Job:
    pruner = config.pruner
    return Job(
        unpruned=unpruned,
        budget=config.budget,
        budget_ms=config.budget_ms,
        schedule=config.schedule,
        signal=pruner.signal,
        signal_options=SignalOptions(pruner.decay, config.seed),
        cost=pruner.cost,
        rules=Rules(pruner.beta, tuple(pruner.exclude), pruner.multiple),
        engine=config.engine,
        threads=config.threads,
        example=photograph(timed_size(config.size, unpruned)),
        rounds=config.rounds,
        latency=config.latency or config.out / "latency.json",
        latency_named=config.latency is not None,
        removals=config.out / REMOVALS,
        progress=config.trainer.progress,
        l0=pruner.l0,
        start=pruner.start,
    )


def timed_size(size: list[int] | None, network: GazeNetwork) -> Size:
    """The size that is timed: `size` as width and height, or a 4:3 photograph as the network sees it.

    Raises:
        ConfigError: `size` is not two multiples of what the network asks for.
    """
    rule = network.config.input
    if size is None:
        return network_size(Size(1000, round(1000 / SHAPE)), rule.longer_side, rule.multiple)
    if len(size) != 2 or any(side < 1 or side % rule.multiple for side in size):
        raise ConfigError(f"size: expected [width, height], multiples of {rule.multiple}, got {size}")
    return Size(*size)


def _finish(
    config: PruneConfig, network: GazeNetwork, pruning: PacedPruning, unpruned: GazeNetwork, data: GazeDataModule
) -> Outcome:
    trained_on = sorted({*load_checkpoint(config.checkpoint).trained_on, *data.people})
    save_checkpoint(config.out / PRUNED, network, trained_on, config.seed)
    gains = [_gain(each, config, data) for each in (unpruned, network)]
    outcome = pruning.outcome(str(config.out / PRUNED), *gains)
    if isinstance(outcome, FasterOutcome):
        _draw(config.out, outcome)
    write_atomic(config.out / "pruning.json", (json.dumps(vars(outcome), indent=1) + "\n").encode(), overwrite=True)
    return outcome


def _draw(out: Path, outcome: FasterOutcome) -> None:
    pictures.draw_widths(outcome.before, outcome.after, out / "widths.png")
    if (out / GROWTH).is_file():  # what is drawn below is how a network got faster
        return
    if rows := read(out / REMOVALS):
        pictures.draw_time_loss(rows, out / "time_loss.png", outcome.budget_ms)
        pictures.draw_predicted(rows, out / "predicted.png")


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
        callbacks.append(make_progress_bar(refresh_rate=1))
    return trainer_on(
        settings,
        max_epochs=-1,  # the pruning ends the training
        devices=1,
        callbacks=callbacks,
        logger=CSVLogger(config.out, name="metrics"),
        log_every_n_steps=1,
    )
