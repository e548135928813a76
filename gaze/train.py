"""`python -m gaze.train`: fine-tunes a gaze network on prepared stores (`gaze/conf/train.yaml`)."""

from dataclasses import dataclass
from pathlib import Path

from gaze.config import verb
from gaze.data.augment import AugmentConfig
from gaze.data.config import DataSetConfig
from gaze.data.datamodule import LoaderConfig
from gaze.models.config import ModelConfig
from gaze.training.config import TrainerConfig
from gaze.training.distillation import DistillConfig
from gaze.training.lightning_module import OptimConfig


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


@verb("train", TrainConfig)
def main(config: TrainConfig) -> None:
    """Trains and prints where the best checkpoint lies."""
    # here, as torch takes seconds to import and a mistyped key should not
    from pytorch_lightning.utilities.rank_zero import rank_zero_only

    from gaze.training.run import fit

    rank_zero_only(print)(fit(config))


if __name__ == "__main__":
    main()
