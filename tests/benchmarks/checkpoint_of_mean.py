"""Writes the mean of the weights of several checkpoints of one network: Wortsman et al. 2022, "Model soups".

    python tests/benchmarks/checkpoint_of_mean.py OUT CHECKPOINT CHECKPOINT ...

arXiv 2203.05482, the uniform soup: networks that one training led to lie in one basin, and their mean foretells what
none of them has seen as well as or better than each. OUT is a checkpoint that every verb reads; it sees photographs at
the size of the first.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.models.widths import widths


def main(out: Path, checkpoints: list[Path]) -> None:
    """Averages every weight and every statistic; refuses networks that differ in more."""
    first, *others = [load_checkpoint(path) for path in checkpoints]
    for other in others:
        same = replace(other.network.config, input=first.network.config.input) == first.network.config
        if not same or widths(other.network) != widths(first.network):
            sys.exit("expected checkpoints of one network and of the same widths")
    states = [trained.network.state_dict() for trained in (first, *others)]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    first.network.load_state_dict(mean)
    seen = sorted({name for trained in (first, *others) for name in trained.trained_on})
    save_checkpoint(out, first.network, seen, first.seed)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), list(map(Path, sys.argv[2:])))
