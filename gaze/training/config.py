"""What a training and a pruning are told: the schemas of `gaze/conf/train.yaml`, `prune.yaml` and their groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaze.data.augment import AugmentConfig
from gaze.data.config import PREPARED, DataSetConfig, LoaderConfig
from gaze.errors import ConfigError, expect, expect_number, expect_one_of, expect_texts, shown
from gaze.models.config import ModelConfig
from gaze.pruning.config import PrunerConfig
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.training.trackers import check_tracker

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
HEADS = "heads"
UNIFORM = "uniform"
FISHERS = ("model", "empirical", UNIFORM)
LARGEST_SEED = 2**32 - 1  # that Lightning and NumPy take


@dataclass
class RunConfig:
    """On what a training runs; names as in Lightning's Trainer where it has them.

    Attributes:
        ema_decay: of the averaged weights, per step, once it has warmed up; they are what is validated and kept.
        accumulate_grad_batches: batches per optimiser step.
        gradient_clip_val: largest norm of the gradient; 0 lets it be.
        precision: Lightning's, or `auto`: bf16-mixed or 16-mixed on a GPU that has it, else 32-true.
        accelerator: `auto`, `cpu`, `gpu` or one kind of that.
        threads: of the CPU; null leaves torch's default.
        progress: tell how far it is: a bar on a terminal, elsewhere a line an epoch.
        logger: where figures go beside the table in `metrics/`: `tensorboard`, `wandb` (Weights & Biases) or `mlflow`,
            which are installed with pip; null: nowhere.
    """

    ema_decay: float
    accumulate_grad_batches: int
    gradient_clip_val: float
    precision: str
    accelerator: str
    threads: int | None
    progress: bool
    logger: str | None

    def check(self) -> None:
        """Raises ConfigError where a value is none that a Trainer could be given."""
        expect_number("trainer.ema_decay", self.ema_decay, least=0, below=1)
        expect_number("trainer.accumulate_grad_batches", self.accumulate_grad_batches, least=1)
        expect_number("trainer.gradient_clip_val", self.gradient_clip_val, least=0)
        expect_one_of("trainer.precision", self.precision, PRECISIONS)
        expect_one_of("trainer.accelerator", self.accelerator, ACCELERATORS)
        expect_number("trainer.threads", self.threads, least=1)
        check_tracker(self.logger)


@dataclass
class TrainerConfig(RunConfig):
    """How long a training runs, and on how many devices.

    Attributes:
        max_epochs: passes over the training sets; also the length of the learning-rate schedule.
        patience: epochs without a better validation before the run stops early.
        devices: `auto`, a number, or a list of indices.
        strategy: Lightning's: `auto`, `ddp` or a variant of that.
    """

    max_epochs: int
    patience: int
    devices: Any
    strategy: str

    def check(self) -> None:
        """Raises ConfigError where a value is none that a Trainer could be given."""
        super().check()
        expect_number("trainer.max_epochs", self.max_epochs, least=1)
        expect_number("trainer.patience", self.patience, least=0)
        expect(_are_devices(self.devices), "trainer.devices", "auto, a number or a list of indices", self.devices)
        known = self.strategy == "auto" or self.strategy.startswith("ddp")
        expect(known, "trainer.strategy", "auto, ddp or a variant of that", self.strategy)


@dataclass
class RatesConfig:
    """AdamW.

    Attributes:
        backbone_lr: peak learning rate of the backbone.
        readout_lr: peak learning rate of readout, blur and centre bias.
        weight_decay: of convolution weights; biases, norms, blur and centre bias are not decayed.
    """

    backbone_lr: float
    readout_lr: float
    weight_decay: float

    def check(self) -> None:
        """Raises ConfigError where a rate is none."""
        for key in ("backbone_lr", "readout_lr", "weight_decay"):
            expect_number(f"optim.{key}", getattr(self, key), least=0)


@dataclass
class OptimConfig(RatesConfig):
    """With a warm-up and a cosine to zero.

    Attributes:
        warmup: share of all steps over which the rates rise.
    """

    warmup: float

    def check(self) -> None:
        """Raises ConfigError where a rate or a share is none."""
        super().check()
        expect_number("optim.warmup", self.warmup, least=0, most=1)


@dataclass
class DistillConfig:
    """What is learnt from a teacher.

    Attributes:
        teacher: network to learn from: a checkpoint, an .onnx file or a shipped model's name; a list is an ensemble, of
            which the mean density is taken; null learns from people alone.
        weight: 0 to 1, share of the teachers' density in the target.
        live: whether the teachers look at each varied example, as the student sees it, which takes their time in every
            update and wants a GPU; else once at each photograph, before the training.
    """

    teacher: Any
    weight: float
    live: bool

    def check(self) -> None:
        """Raises ConfigError where a teacher is not named or the weight is no share."""
        expect_number("distill.weight", self.weight, least=0, most=1)
        _ = self.teachers

    @property
    def teachers(self) -> list[str]:
        """Whom `teacher` names; none where it is null."""
        if self.teacher is None:
            return []
        return expect_texts("distill.teacher", self.teacher, "a network or a list of networks, or null")


@dataclass
class NormConfig:
    """When the Fisher-Rao norm is measured.

    Attributes:
        every: updates between two measurements; null measures none.
        photographs: of the training sets that a measurement looks at; null looks at all.
    """

    every: int | None
    photographs: int | None

    def check(self) -> None:
        """Raises ConfigError where a number makes no sense."""
        expect_number("norm.every", self.every, least=1)
        expect_number("norm.photographs", self.photographs, least=1)

    def idle(self) -> dict[str, str]:
        """Keys that do nothing, and why."""
        return {} if self.every is not None else {"norm.photographs": "norm.every is null"}


@dataclass
class EwcConfig:
    """Elastic weight consolidation: what holds a network at its checkpoint while it learns another set.

    Attributes:
        weight: of the penalty; 1 weighs what was learnt first as much as what is trained on now, 0 adds none.
        sets: what was learnt first, names of data sets or paths of stores; null takes what the checkpoint was trained
            on.
        fisher: which information says how firmly each parameter is held: model, empirical, or uniform, which is 1 for
            every parameter: L2 to the start.
        photographs: of the first sets' train splits that the information is estimated on; null takes all.
    """

    weight: float
    sets: list[str] | None
    fisher: str
    photographs: int | None

    def check(self) -> None:
        """Raises ConfigError where a value is none."""
        expect_number("ewc.weight", self.weight, least=0)
        good = self.sets is None or (bool(self.sets) and all(self.sets))
        expect(good, "ewc.sets", "one name of a data set or path of a store at least, or null", self.sets)
        expect_one_of("ewc.fisher", self.fisher, FISHERS)
        expect_number("ewc.photographs", self.photographs, least=1)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        if not self.weight:
            return dict.fromkeys(("ewc.sets", "ewc.fisher", "ewc.photographs"), "ewc.weight is 0")
        if self.fisher == UNIFORM:
            return dict.fromkeys(("ewc.sets", "ewc.photographs"), "ewc.fisher=uniform looks at no photograph")
        return {}


@dataclass
class TrainConfig:
    """All of `gaze/conf/train.yaml`.

    Attributes:
        sets: the prepared data sets to train on, by name.
        model: the network.
        checkpoint: of a network to train on, pruned or not, in place of a pretrained backbone; null starts afresh.
        only: `heads` trains what says where heads are and leaves the rest as the checkpoint has it; null trains all.
        widths: checkpoint of a pruned network of the same layers: the network begins as narrow as that one is, with
            maps drawn at random by `seed`; null begins with all maps.
        distill: what is learnt from a teacher beside people.
        ewc: what holds it at the checkpoint while it trains on another set.
        norm: when the Fisher-Rao norm is measured.
        loader: how examples are drawn.
        augment: how they are varied.
        optim: rates and schedule.
        trainer: length, precision, devices and stopping.
        seed: of everything random.
        out: folder of checkpoints, logs and panels.
        resume: continue the run that lies in `out`.
    """

    sets: dict[str, DataSetConfig]
    model: ModelConfig
    checkpoint: Path | None
    only: str | None
    widths: Path | None
    distill: DistillConfig
    ewc: EwcConfig
    norm: NormConfig
    loader: LoaderConfig
    augment: AugmentConfig
    optim: OptimConfig
    trainer: TrainerConfig
    seed: int
    out: Path
    resume: bool

    def check(self) -> None:
        """Raises ConfigError where the whole makes no sense."""
        check_sets(self.sets, self.loader)
        if self.ewc.weight and self.checkpoint is None:
            raise ConfigError(
                f"ewc.weight={self.ewc.weight:g}: expected checkpoint=PATH of the network to hold, got none"
            )
        expect_number("seed", self.seed, least=0, most=LARGEST_SEED)
        expect(self.only in (HEADS, None), "only", f"{HEADS} or null", self.only)
        if self.only == HEADS:
            expect(
                self.checkpoint is not None, "checkpoint", "a network to be left as it is, as only=heads is given", None
            )

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        idle = {**PREPARED, **self.augment.idle(), **self.ewc.idle(), **self.norm.idle()}
        if self.only == HEADS:
            return idle | dict.fromkeys(["distill.*", "ewc.*", "optim.backbone_lr"], "only=heads learns no gaze")
        if self.checkpoint is not None:
            idle |= dict.fromkeys(("model.backbone.weights", "widths"), f"checkpoint={self.checkpoint} brings its own")
        if self.distill.teacher is None:
            idle |= dict.fromkeys(("distill.weight", "distill.live"), "no distill.teacher is named")
        elif not self.distill.weight:
            idle |= dict.fromkeys(("distill.teacher", "distill.live"), "distill.weight is 0")
        return idle


@dataclass
class PruneConfig:
    """All of `gaze/conf/prune.yaml`.

    Attributes:
        checkpoint: of the network to prune.
        budget_ms: milliseconds that one image may take, measured.
        budget: the same as a share of what the unpruned network takes; give one of the two. Where single weights are
            pruned: the share of them that stays.
        longer_side: pixels of the longer side of the images that the network is to see; null keeps the checkpoint's.
        engine: that the network will run on: onnxruntime, torch-cpu, torch-cuda.
        threads: of the engine.
        size: [width, height] in pixels of the image that is timed; null takes a 4:3 photograph.
        rounds: runs of which the median is taken.
        latency: a table of `gaze.latency` to use; one that does not fit is an error, one that is missing is measured
            and written. null keeps one in `out`, which is measured anew where it does not fit.
        sets: the prepared data sets to train on meanwhile, by name.
        pruner: what decides which maps leave.
        schedule: when they leave.
        distill: what is learnt from a teacher meanwhile; without one named it is the unpruned network.
        norm: when the Fisher-Rao norm is measured.
        loader: how examples are drawn.
        augment: how they are varied.
        optim: rates; the schedule says how they rise and fall.
        trainer: averaging, precision and device.
        seed: of everything random.
        out: folder of checkpoints, logs and pictures.
        resume: continue the run that lies in `out`.
    """

    checkpoint: Path
    budget_ms: float | None
    budget: float | None
    longer_side: int | None
    engine: str
    threads: int
    size: list[int] | None
    rounds: int
    latency: Path | None
    sets: dict[str, DataSetConfig]
    pruner: PrunerConfig
    schedule: ScheduleConfig
    distill: DistillConfig
    norm: NormConfig
    loader: LoaderConfig
    augment: AugmentConfig
    optim: RatesConfig
    trainer: RunConfig
    seed: int
    out: Path
    resume: bool

    def check(self) -> None:
        """Raises ConfigError where the whole makes no sense."""
        check_sets(self.sets, self.loader)
        self._check_budget()
        expect_number("longer_side", self.longer_side, least=1)
        expect_number("rounds", self.rounds, least=1)
        size = self.size is None or (len(self.size) == 2 and min(self.size) >= 1)
        expect(size, "size", "[width, height] in pixels, or null", self.size)
        expect_number("seed", self.seed, least=0, most=LARGEST_SEED)
        from gaze.pruning.cost.engines import ENGINES  # torch takes seconds to import, a mistyped key should not

        ENGINES.get(self.engine, "engine")
        expect_number("threads", self.threads, least=1)

    def _check_budget(self) -> None:
        if (self.budget is None) == (self.budget_ms is None):
            raise ConfigError(
                "budget: give budget_ms=MILLISECONDS or budget=SHARE of the unpruned time, one of the two, "
                f"got {'neither' if self.budget is None else 'both'}"
            )
        if self.budget is not None:
            share = 0 < self.budget < 1
            expect(share, "budget", "a share of the unpruned time between 0 and 1", self.budget)
        else:
            expect_number("budget_ms", self.budget_ms, above=0)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) that do nothing, and why."""
        idle = {**PREPARED, **self.augment.idle(), **self.norm.idle(), **self.pruner.idle()}
        if self.schedule.maps_per_removal is not None:
            idle["schedule.removals"] = "schedule.maps_per_removal says how fast it goes"
        if self.engine == "torch-cuda":
            idle["threads"] = "engine=torch-cuda has none"
        if not self.distill.weight:
            idle |= dict.fromkeys(("distill.teacher", "distill.live"), "distill.weight is 0")
        return idle


def check_sets(sets: dict[str, DataSetConfig], loader: LoaderConfig) -> None:
    """Raises ConfigError where there is no set to train on, or no image of any is drawn."""
    expect(bool(sets), "data", "one set at least, for example data=osie", list(sets))
    weights = loader.weights or {}
    if not any(weights.get(name, 1) for name in sets):
        raise ConfigError(f"loader.weights: no photograph is drawn; expected one above 0, got {shown(weights)}")


def _are_devices(devices: object) -> bool:
    if isinstance(devices, list):
        return bool(devices) and all(type(index) is int and index >= 0 for index in devices)
    return devices == "auto" or (type(devices) is int and devices >= 1)
