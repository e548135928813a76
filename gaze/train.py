"""`python -m gaze.train`: fine-tunes a gaze network on prepared stores (`gaze/conf/train.yaml`)."""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.train")

from gaze.config import verb
from gaze.streams import print_result
from gaze.training.config import TrainConfig


@verb("train", TrainConfig)
def main(config: TrainConfig) -> None:
    """Trains and prints where the best checkpoint lies."""
    # here, as torch takes seconds to import and a mistyped key should not
    from pytorch_lightning.utilities.rank_zero import rank_zero_only

    from gaze.training.process import prepare_process
    from gaze.training.run import fit

    prepare_process(config.trainer.threads)
    rank_zero_only(print_result)(str(fit(config)))


if __name__ == "__main__":
    main()
