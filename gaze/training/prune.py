"""Wires stores, network, cost model, pruning callback and Trainer together and runs them."""

import copy
import json
import logging
import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from gaze.card import InputRule
from gaze.data.datamodule import GazeDataModule
from gaze.data.store import FixationStore
from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.images import write_atomic
from gaze.models import STRIDE, load_network
from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.network import GazeNetwork
from gaze.predictor import network_size
from gaze.pruning import pictures
from gaze.pruning.averaging import Averaging
from gaze.pruning.callback import FisherPruning, Rules
from gaze.pruning.costs import Cost, MacCost, QuadraticCost, TableCost, UniformCost
from gaze.pruning.engines import Engine
from gaze.pruning.groups import Group, find_groups
from gaze.pruning.record import RemovalLog, read
from gaze.pruning.signal import Fisher, Magnitude, Random, Signal, Taylor
from gaze.pruning.stopwatch import Stopwatch
from gaze.pruning.table import load_or_measure
from gaze.pruning.units import find_units
from gaze.training.fit import EXPECTED, LAST, make_teacher, resolve_precision
from gaze.training.module import MONITOR, GazeModule, parameter_groups

if TYPE_CHECKING:
    from gaze.prune import PruneConfig

PRUNED, REMOVALS = "pruned.ckpt", "removals.csv"
SHAPE = 4 / 3  # of the photograph that is timed where the configuration does not say

SIGNALS = ("fisher", "taylor", "magnitude", "random")
COSTS = ("table", "quadratic", "macs", "none")


@dataclass
class PrunerConfig:
    """What decides which maps leave: the schema of `gaze/conf/pruner/*.yaml`.

    Attributes:
        signal: `fisher`, or for comparison `taylor`, `magnitude`, `random`.
        decay: weight that an update keeps in the signal with each later update; 1 reads afresh after every removal.
        cost: what a map's signal is weighed against: measured time by `table`, its `quadratic` fit, `macs` (Theis et
            al. 2018), or `none`.
        beta: price of a unit of cost in units of the loss; null takes loss per cost saved.
        exclude: groups whose name begins with one of these keep all maps.
        multiple: widths are brought to multiples of this.
    """

    signal: str
    decay: float
    cost: str
    beta: float | None
    exclude: list[str]
    multiple: int

    def check(self) -> None:
        """Raises ConfigError where a value is none of those that are there."""
        for key, allowed in (("signal", SIGNALS), ("cost", COSTS)):
            if getattr(self, key) not in allowed:
                raise ConfigError(f"pruner.{key}: expected one of {', '.join(allowed)}, got {getattr(self, key)!r}")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"pruner.decay: expected above 0, at most 1, got {self.decay}")
        if self.multiple < 1:
            raise ConfigError(f"pruner.multiple: expected at least 1, got {self.multiple}")


class PruningModule(GazeModule):
    """A `GazeModule` whose learning rate follows the pruning: see `FisherPruning.rate`."""

    pruning: FisherPruning

    def configure_optimizers(self) -> Any:
        """AdamW over the groups of a `GazeModule`."""
        optimizer = torch.optim.AdamW(parameter_groups(self.network, self.optim))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.pruning.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@dataclass(frozen=True)
class Outcome:
    """What a run ended with; `pruning.json` holds the same.

    Attributes:
        checkpoint: of the pruned network.
        met: whether its measured time fits the budget.
        budget_ms: milliseconds.
        before_ms: measured time of the unpruned network.
        after_ms: measured time of the pruned one, in the same unit of machine speed.
        before_gain: validation information gain of the unpruned network, bits per fixation.
        after_gain: the same of the pruned one.
        before: maps of each group.
        after: maps of each group that has more than one left.
        removals: how many there were.
        updates: optimiser steps in all.
    """

    checkpoint: str
    met: bool
    budget_ms: float
    before_ms: float
    after_ms: float
    before_gain: float
    after_gain: float
    before: dict[str, int]
    after: dict[str, int]
    removals: int
    updates: int


def prune(config: "PruneConfig") -> Outcome:
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
    unpruned = load_network(config.checkpoint)
    data = _make_data(config, unpruned)
    teacher = make_teacher(replace(config.distill, teacher=config.distill.teacher or config.checkpoint))
    module = PruningModule(copy.deepcopy(unpruned).train(), config.optim, data.names, data.center_biases(),
                           config.seed, teacher)  # fmt: skip
    config.out.mkdir(parents=True, exist_ok=True)
    module.pruning = make_pruning(config, unpruned)
    OmegaConf.save(OmegaConf.structured(config), config.out / "config.yaml")
    trainer = _make_trainer(config, module.pruning)
    with warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message)
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
        return _finish(config, module, unpruned, data)


def make_pruning(config: "PruneConfig", unpruned: GazeNetwork) -> FisherPruning:
    """The callback that `config` describes; measures the latency table where there is none that fits."""
    size = timed_size(config.size, unpruned)
    engine = Engine(config.engine, config.threads)
    units, maps = find_units(unpruned, size), {group.name: group.maps for group in find_groups(unpruned)}
    table = load_or_measure(config.latency or config.out / "latency.json", unpruned, size, engine)
    clock = TableCost(units, table)
    costs: dict[str, Any] = {
        "table": lambda: clock,
        "quadratic": lambda: QuadraticCost(units, table),
        "macs": lambda: MacCost(units),
        "none": UniformCost,
    }
    cost: Cost = costs[config.pruner.cost]()
    stopwatch = Stopwatch(unpruned, size, engine, config.rounds, relative=config.budget_ms is None)
    clock.calibrate(maps, stopwatch.base)
    budget = config.budget_ms if config.budget_ms is not None else (config.budget or 0) * stopwatch.base
    rules = Rules(config.pruner.beta, tuple(config.pruner.exclude), config.pruner.multiple)
    log = RemovalLog(config.out / REMOVALS)
    return FisherPruning(partial(make_signal, config), cost, clock, stopwatch, budget, config.schedule, log, rules)


def make_signal(config: "PruneConfig", network: GazeNetwork, groups: list[Group]) -> Signal:
    """The signal that `config` names."""
    makers: dict[str, Any] = {
        "fisher": lambda: Fisher(network, groups, config.pruner.decay),
        "taylor": lambda: Taylor(network, groups, config.pruner.decay),
        "magnitude": lambda: Magnitude(network, groups),
        "random": lambda: Random(groups, config.seed),
    }
    return makers[config.pruner.signal]()


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


def _finish(config: "PruneConfig", module: PruningModule, unpruned: GazeNetwork, data: GazeDataModule) -> Outcome:
    pruning = module.pruning
    trained_on = sorted({*load_checkpoint(config.checkpoint).trained_on, *data.names})
    save_checkpoint(config.out / PRUNED, module.network, trained_on, config.seed)
    outcome = Outcome(
        checkpoint=str(config.out / PRUNED),
        met=pruning.met,
        budget_ms=pruning.budget,
        before_ms=pruning.base,
        after_ms=pruning.measured,
        before_gain=_gain(unpruned, config, data),
        after_gain=_gain(module.network, config, data),
        before=pruning.before,
        after=pruning.maps,
        removals=pruning.removals,
        updates=pruning.step,
    )
    write_atomic(config.out / "pruning.json", (json.dumps(vars(outcome), indent=1) + "\n").encode(), overwrite=True)
    rows = read(config.out / REMOVALS)
    pictures.draw_widths(outcome.before, outcome.after, config.out / "widths.png")
    if rows:
        pictures.draw_time_loss(rows, config.out / "time_loss.png", outcome.budget_ms)
        pictures.draw_predicted(rows, config.out / "predicted.png")
    return outcome


def _gain(network: GazeNetwork, config: "PruneConfig", data: GazeDataModule) -> float:
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


def _make_data(config: "PruneConfig", network: GazeNetwork) -> GazeDataModule:
    stores = {name: FixationStore(entry.store) for name, entry in config.sets.items()}
    rule = InputRule(network.config.input.longer_side, network.config.input.multiple)
    return GazeDataModule(stores, rule, STRIDE, config.loader, config.augment, config.seed)


def _make_trainer(config: "PruneConfig", pruning: FisherPruning) -> pl.Trainer:
    settings = config.trainer
    callbacks: list[pl.Callback] = [
        Averaging(decay=settings.ema_decay),
        pruning,
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


def _check(config: "PruneConfig") -> Path | None:
    if (config.budget is None) == (config.budget_ms is None):
        raise ConfigError("budget: give budget_ms=MILLISECONDS or budget=SHARE of the unpruned time, one of the two")
    if config.budget is not None and not 0 < config.budget < 1:
        raise ConfigError(f"budget: expected a share of the unpruned time between 0 and 1, got {config.budget}")
    if config.budget_ms is not None and config.budget_ms <= 0:
        raise ConfigError(f"budget_ms: expected milliseconds above 0, got {config.budget_ms}")
    if not config.sets:
        raise ConfigError("data: name at least one set, for example data=osie")
    config.pruner.check()
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
