"""The schema of `gaze/conf/trainer/*.yaml`."""

from dataclasses import dataclass
from typing import Any


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
