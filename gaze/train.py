"""`python -m gaze.train`: fine-tunes a gaze network on prepared stores (`gaze/conf/train.yaml`)."""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.train")

from gaze.config import verb
from gaze.streams import print_result
from gaze.training.config import TrainConfig


@verb("train", TrainConfig)
def main(config: TrainConfig) -> None:
    """Trains and prints where the best checkpoint lies and how good it is."""
    # here, as torch takes seconds to import and a mistyped key should not
    from pytorch_lightning.utilities.rank_zero import rank_zero_only

    from gaze.training.process import prepare_process
    from gaze.training.run import fit, result

    prepare_process(config.trainer.threads)
    best = fit(config)
    rank_zero_only(lambda: print_result(result(best)))()


if __name__ == "__main__":
    main()
