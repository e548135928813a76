"""`python -m gaze.prefer`: teaches a finished network which crops people would use (`gaze/conf/prefer.yaml`)."""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.prefer")

from gaze.config import verb
from gaze.streams import print_result
from gaze.training.preference_config import PreferConfig


@verb("prefer", PreferConfig)
def main(config: PreferConfig) -> None:
    """Learns and prints where the checkpoint lies and how good it is."""
    from gaze.training.preference import prefer  # here, as torch takes seconds to import and a mistyped key should not

    print_result(prefer(config))


if __name__ == "__main__":
    main()
