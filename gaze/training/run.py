"""Wires stores, network, LightningModule and Trainer together and runs them."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import (
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
)
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from gaze.card import InputRule
from gaze.data.datamodule import GazeDataModule
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, ModelError, check_settings, expect, one_line, shown
from gaze.models import STRIDE, GazeNetwork, ModelConfig, build_network, load_network
from gaze.models.backbone import build_backbone, leave_out, set_activation
from gaze.models.checkpoints import BEST, LAST, load_checkpoint
from gaze.models.config import RANDOM, HeadsConfig
from gaze.models.widths import widths
from gaze.pruning.structure.groups import find_groups
from gaze.pruning.structure.surgery import keep_random
from gaze.training.averaging import Averaging
from gaze.training.config import HEADS, DistillConfig, NormConfig, PruneConfig, RunConfig, TrainConfig, TrainerConfig
from gaze.training.consolidation import consolidation
from gaze.training.distillation import Distillation
from gaze.training.fisher_rao_norm import FisherRaoNorm
from gaze.training.lightning_module import HEADS_MONITOR, MONITOR, GazeModule
from gaze.training.panel import PanelCallback
from gaze.training.progress import make_progress_bar
from gaze.training.resuming import SETTINGS, check_length, check_settings_of_run, check_state, leaves
from gaze.training.teachers import open_teacher
from gaze.training.tracking import tracked

FIGURES = {MONITOR: ("information gain", " bits per fixation"), HEADS_MONITOR: ("loss on heads", "")}
"""What a run chooses its checkpoint by, in words, and the unit."""

FIXED = (
    "backbone.taps",
    "backbone.reparameterize",
    "readout.reduce",
    "readout.channels",
    "finalizer.sigma",
    "finalizer.center_bias",
)
"""What of a model a checkpoint has settled."""


def fit(config: TrainConfig) -> Path:
    """Trains as `config` says.

    Returns:
        The checkpoint with the highest validation information gain; of heads alone, with the least loss on them.

    Raises:
        ConfigError: a value makes no sense, `out` holds a run that would be lost, or none where one is to be resumed.
        DataError: a store is missing or damaged.
        ModelError: the backbone or its weights are missing, or a checkpoint is damaged.
    """
    check_settings(config)
    last = check_folder(config.out, config.resume, LAST)
    if last is not None:
        check_settings_of_run(last, config)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    data = make_data(config)
    distillation = make_distillation(config.distill, config.trainer.progress)
    network = build_network(config.model) if config.checkpoint is None else _continued(config.checkpoint, config.model)
    check_labelled(network, data, config.only, any(each.teaches_heads for each in distillation))
    if config.widths is not None and config.checkpoint is None:
        _narrow(network, config.widths, config.seed)
    holding = consolidation(config, network)
    trained_on = _trained_on(config.checkpoint, data)
    module = GazeModule(network, config.optim, data.names, data.center_biases(), config.seed, trained_on, config.only)
    if config.checkpoint is None:
        module.start_from_center_bias()
    goal = (HEADS_MONITOR, "min") if config.only == HEADS else (MONITOR, "max")
    watchers = make_watchers(config.norm, data, config.seed, config.out)
    trainer = make_trainer(config.trainer, config.out, data, [*distillation, *holding, *watchers], goal)
    if last is not None:
        check_state(last, module, trainer.callbacks)  # type: ignore[attr-defined]
        check_length(last, config.trainer.max_epochs)
    run(trainer, module, data, config, last)
    return config.out / BEST


def result(best: Path) -> str:
    """A line on what a run left: where the checkpoint lies, and the validation figure that it was chosen by."""
    states = torch.load(best, map_location="cpu", weights_only=True)["callbacks"].values()
    chosen = next(state for state in states if state.get("monitor"))
    name, unit = FIGURES[chosen["monitor"]]
    return f"{best}: {name} {float(chosen['best_model_score']):.3f}{unit} on validation"


def run(
    trainer: pl.Trainer, module: GazeModule, data: GazeDataModule, config: TrainConfig | PruneConfig, last: Path | None
) -> None:
    """Keeps what a run is begun with in its folder and trains, from the checkpoint `last` on where it is one.

    Raises:
        GazeError: what `trainer.logger` names cannot be reached.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    settings = OmegaConf.structured(config)
    OmegaConf.save(settings, config.out / SETTINGS)
    values: Any = OmegaConf.to_container(settings)
    told = {key: str(value) if isinstance(value, Path) else value for key, value in leaves(values)}
    with tracked(trainer, config.trainer.logger, config.out, told, resume=last is not None):
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)


def make_distillation(config: DistillConfig, progress: bool) -> list[Distillation]:
    """Learning from the teachers that `config` names, if it names any; `progress` tells how far they are.

    Raises:
        ConfigError: a teacher is neither a shipped model's name nor a file.
        ModelError: one is missing or damaged.
    """
    if not config.teachers or not config.weight:
        return []
    teachers = [open_teacher("distill.teacher", name) for name in config.teachers]
    return [Distillation(teachers, config.weight, progress, config.live)]


def make_watchers(config: NormConfig, data: GazeDataModule, seed: int, out: Path) -> list[pl.Callback]:
    """What measures the Fisher-Rao norm, if `config` says when."""
    if config.every is None:
        return []
    return [FisherRaoNorm(data.train_set, config.every, config.photographs, seed, out)]


def make_data(config: TrainConfig) -> GazeDataModule:
    """Opens the stores that `config` names."""
    stores = {name: FixationStore(entry.store) for name, entry in config.sets.items()}
    rule = InputRule(config.model.input.longer_side, config.model.input.multiple)
    return GazeDataModule(stores, rule, STRIDE, config.loader, config.augment, config.seed)


def make_trainer(
    config: TrainerConfig,
    out: Path,
    data: GazeDataModule,
    others: Sequence[pl.Callback],
    goal: tuple[str, str] = (MONITOR, "max"),
) -> pl.Trainer:
    """A Trainer that validates averaged weights each epoch, keeps the best and the last, and has a table in `out`.

    `goal` is the figure that the best has, and whether it is the `max` or the `min`.
    """
    monitor, mode = goal
    callbacks: list[pl.Callback] = [
        *others,
        PanelCallback(out, data),  # before the averaging, which takes its weights away when validation ends
        Averaging(decay=config.ema_decay),
        ModelCheckpoint(out, Path(BEST).stem, monitor=monitor, mode=mode, enable_version_counter=False),
        ModelCheckpoint(out, Path(LAST).stem, enable_version_counter=False),
        EarlyStopping(monitor, mode=mode, patience=config.patience),
        LearningRateMonitor("step"),
    ]
    if config.progress:
        callbacks.append(make_progress_bar(refresh_rate=5))
    return trainer_on(
        config,
        max_epochs=config.max_epochs,
        devices=config.devices,
        strategy=config.strategy,
        callbacks=callbacks,
        logger=CSVLogger(out, name="metrics"),
        log_every_n_steps=10,
    )


def trainer_on(config: RunConfig, **settings: Any) -> pl.Trainer:
    """A Trainer that runs on what `config` names; `settings` are what else Lightning is told.

    Raises:
        ConfigError: there is no such device here, or it cannot do what it is asked for.
    """
    precision: Any = resolve_precision(config.precision)
    try:
        return pl.Trainer(
            accelerator=config.accelerator,
            precision=precision,
            accumulate_grad_batches=config.accumulate_grad_batches,
            gradient_clip_val=config.gradient_clip_val,
            enable_progress_bar=config.progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # BucketBatches shares the batches itself
            reload_dataloaders_every_n_epochs=1,  # each epoch has draws of its own
            **settings,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(f"trainer: {one_line(error)}") from error


def resolve_precision(precision: str) -> str:
    """`auto` becomes what the GPU has, or 32-true on a CPU; anything else is Lightning's to judge."""
    if precision != "auto":
        return precision
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def check_labelled(
    network: GazeNetwork, data: GazeDataModule, only: str | None = None, taught: bool = False
) -> None:  # fmt: skip
    """Raises ConfigError where a network is to learn where heads are and cannot; `taught`: a teacher tells it."""
    if network.heads is None:
        expect(only != HEADS, "model.heads", "{reduce: 24, channels: [48], weight: 0.5} or alike, as only=heads", None)
    elif not taught and not (data.train_set.labelled and (data.val_set.labelled or only != HEADS)):
        raise ConfigError(
            f"data: the network says where heads are, and none are labelled in {', '.join(data.names)}; expected a set "
            "with faces.csv, as eyecrowd, prepared with it, or a live teacher that knows heads"
        )


def _continued(checkpoint: Path, model: ModelConfig) -> GazeNetwork:
    """The network of a checkpoint, to be trained on at the input size and with the changes that `model` names."""
    network = load_network(checkpoint)
    came, asked = network.config.backbone, model.backbone
    if came.name != asked.name:
        raise ConfigError(
            f"checkpoint={checkpoint}: its backbone is {came.name}, the configuration's {asked.name}: set model=..."
        )
    for key in FIXED:
        settled, wanted = (attrgetter(key)(m) for m in (network.config, model))
        expect(settled == wanted, f"model.{key}", f"{shown(settled)}, as checkpoint={checkpoint} has it", wanted)
    set_activation(network.backbone, asked.activation)
    leave_out(network.backbone, asked.skip)
    backbone = replace(came, activation=asked.activation or came.activation, skip=[*came.skip, *asked.skip])
    if asked.skip:
        build_backbone(replace(backbone, weights=RANDOM))  # unpruned, as it will be when the checkpoint is loaded
    network.config = replace(network.config, name=model.name, input=model.input, backbone=backbone)
    if model.heads is not None:
        _set_heads(network, model.heads, checkpoint)
    return network.train()


def _set_heads(network: GazeNetwork, asked: HeadsConfig, checkpoint: Path) -> None:
    """Gives a network the heads readout that is asked for, if it has none yet; another one is an error."""
    came = network.config.heads
    if came is None:
        network.add_heads(asked)
        return
    for key in ("reduce", "channels", "taps", "shared"):
        settled, wanted = getattr(came, key), getattr(asked, key)
        expect(settled == wanted, f"model.heads.{key}", f"{shown(settled)}, as checkpoint={checkpoint} has it", wanted)
    network.config = replace(network.config, heads=asked)


def _trained_on(checkpoint: Path | None, data: GazeDataModule) -> list[str]:
    """What the network has seen people's gaze of: the sets, and before them those that it learnt first."""
    return data.people if checkpoint is None else sorted({*load_checkpoint(checkpoint).trained_on, *data.people})


def _narrow(network: GazeNetwork, checkpoint: Path, seed: int) -> None:
    """Makes a network as narrow as that of a checkpoint; maps that are drawn at random stay."""
    other = load_network(checkpoint)
    own, came = network.config.backbone.name, other.config.backbone.name
    expect(came == own, f"widths={checkpoint}", f"a network pruned from {own}", came)
    try:
        keep_random(network, {group.name: group.maps for group in find_groups(other, least=1)}, seed)
    except ModelError as error:
        raise ConfigError(f"widths={checkpoint}: expected a network pruned from this one ({error})") from error
    if widths(network) != widths(other):
        raise ConfigError(f"widths={checkpoint}: expected a network of these layers, got others: set model.* as there")


def check_folder(out: Path, resume: bool, *results: str) -> Path | None:
    """The checkpoint to go on from, where that is asked for.

    Args:
        out: of the run.
        resume: whether it goes on.
        results: files that only a run leaves.

    Raises:
        ConfigError: `out` holds a run that would be lost, or none where one is to be resumed.
    """
    last = out / LAST
    if resume and not last.is_file():
        raise ConfigError(f"resume=true: no run to continue in out={out} (expected {LAST})")
    if not resume and any((out / name).exists() for name in results):
        raise ConfigError(f"out={out}: holds a run already; continue it with resume=true or choose another folder")
    return last if resume else None
