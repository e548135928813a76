"""`python -m gaze.prune`: removes feature maps until the measured time fits a budget (`gaze/conf/prune.yaml`)."""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.prune")

from gaze.config import verb
from gaze.errors import GazeError
from gaze.streams import print_result
from gaze.training.config import PruneConfig


@verb("prune", PruneConfig)
def main(config: PruneConfig) -> None:
    """Prunes, prints what came of it, and fails where the budget was not met."""
    from gaze.training.process import prepare_process
    from gaze.training.pruning_run import prune

    prepare_process(config.trainer.threads)
    outcome = prune(config)
    print_result(outcome.summary())
    if not outcome.met:
        raise GazeError("the budget cannot be met: nothing is left whose removal saves time; the fastest was kept")


if __name__ == "__main__":
    main()
