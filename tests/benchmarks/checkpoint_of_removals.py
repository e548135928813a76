"""Takes from a network as it was the first maps that a pruning chose, and leaves its weights alone.

    python tests/benchmarks/checkpoint_of_removals.py OUT CHECKPOINT REMOVALS COUNT

CHECKPOINT is what the pruning began with, REMOVALS its `removals.csv`, COUNT how many of its lines are followed; OUT is
the new checkpoint. A pruning trains on while it removes; what follows few removals may be better off without that.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from gaze.models.checkpoints import load_checkpoint, save_checkpoint
from gaze.pruning.structure.surgery import remove


def main(out: Path, checkpoint: Path, removals: Path, count: int) -> None:
    """Writes the smaller network."""
    trained = load_checkpoint(checkpoint)
    with removals.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))[:count]
    if not 0 < count == len(lines):
        sys.exit(f"{removals}: expected {count} removals, at least one, got {len(lines)}")
    gone: defaultdict[str, set[int]] = defaultdict(set)
    for line in lines:  # which count maps as they were when the pruning began
        gone[line["layer"]] |= {int(index) for index in line["maps"].split()}
    remove(trained.network, {layer: sorted(maps) for layer, maps in gone.items()})
    save_checkpoint(out, trained.network, trained.trained_on, trained.seed)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]))
