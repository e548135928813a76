"""`python -m gaze.prune`: removes feature maps until the measured time fits a budget (`gaze/conf/prune.yaml`)."""

from dataclasses import dataclass
from pathlib import Path

from gaze.config import verb
from gaze.data.augment import AugmentConfig
from gaze.data.config import DataSetConfig
from gaze.data.datamodule import LoaderConfig
from gaze.errors import GazeError
from gaze.pruning.config import PrunerConfig
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.training.config import RunConfig
from gaze.training.distillation import DistillConfig
from gaze.training.lightning_module import OptimConfig


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


@verb("prune", PruneConfig)
def main(config: PruneConfig) -> None:
    """Prunes, prints what came of it, and fails where the budget was not met."""
    from gaze.training.pruning_run import prune

    outcome = prune(config)
    print(outcome.summary())
    if not outcome.met:
        raise GazeError("the budget cannot be met: nothing is left whose removal saves time; the fastest was kept")


if __name__ == "__main__":
    main()
