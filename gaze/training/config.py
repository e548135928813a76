"""What a training and a pruning are told: the schemas of `gaze/conf/train.yaml`, `prune.yaml` and their groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaze.data.augment import AugmentConfig
from gaze.data.config import DataSetConfig, LoaderConfig
from gaze.errors import ConfigError
from gaze.models.config import ModelConfig
from gaze.pruning.config import PrunerConfig
from gaze.pruning.methods.schedule import ScheduleConfig


@dataclass
class RunConfig:
    """On what a training runs; names as in Lightning's Trainer where it has them.

    Attributes:
        ema_decay: of the averaged weights, per step; they are what is validated and kept.
        accumulate_grad_batches: batches per optimiser step.
        gradient_clip_val: largest norm of the gradient.
        precision: Lightning's, or `auto`: bf16-mixed or 16-mixed on a GPU that has it, else 32-true.
        accelerator: `auto`, `cpu`, `gpu`.
        threads: of the CPU; null leaves torch's default.
        progress: show a progress bar.
    """

    ema_decay: float
    accumulate_grad_batches: int
    gradient_clip_val: float
    precision: str
    accelerator: str
    threads: int | None
    progress: bool


@dataclass
class TrainerConfig(RunConfig):
    """How long a training runs, and on how many devices.

    Attributes:
        max_epochs: passes over the training sets; also the length of the learning-rate schedule.
        patience: epochs without a better validation before the run stops early.
        devices: `auto`, a number, or a list of indices.
        strategy: Lightning's: `auto`, `ddp`, ...
    """

    max_epochs: int
    patience: int
    devices: Any
    strategy: str


@dataclass
class OptimConfig:
    """AdamW with a warm-up and a cosine to zero.

    Attributes:
        backbone_lr: peak learning rate of the backbone.
        readout_lr: peak learning rate of readout, blur and centre bias.
        weight_decay: of convolution weights; biases, norms, blur and centre bias are not decayed.
        warmup: share of all steps over which the rate rises.
    """

    backbone_lr: float
    readout_lr: float
    weight_decay: float
    warmup: float


@dataclass
class DistillConfig:
    """What is learnt from a teacher.

    Attributes:
        teacher: checkpoint of the network to learn from; null learns from people alone.
        weight: 0 to 1, share of the teacher's density in the target.
    """

    teacher: Path | None
    weight: float

    def check(self) -> None:
        """Raises ConfigError where the weight is none."""
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"distill.weight: expected 0 to 1, got {self.weight}")


@dataclass
class TrainConfig:
    """All of `gaze/conf/train.yaml`.

    Attributes:
        sets: the prepared data sets to train on, by name.
        model: the network.
        checkpoint: of a network to train on, pruned or not, in place of a pretrained backbone; null starts afresh.
        distill: what is learnt from a teacher beside people.
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
    distill: DistillConfig
    loader: LoaderConfig
    augment: AugmentConfig
    optim: OptimConfig
    trainer: TrainerConfig
    seed: int
    out: Path
    resume: bool


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
        latency: a table of `gaze.latency` to use if it fits, and to write otherwise; null keeps one in `out`.
        sets: the prepared data sets to train on meanwhile, by name.
        pruner: what decides which maps leave.
        schedule: when they leave.
        distill: what is learnt from a teacher meanwhile; without one named it is the unpruned network.
        loader: how examples are drawn.
        augment: how they are varied.
        optim: rates; `warmup` is not used.
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
    loader: LoaderConfig
    augment: AugmentConfig
    optim: OptimConfig
    trainer: RunConfig
    seed: int
    out: Path
    resume: bool
