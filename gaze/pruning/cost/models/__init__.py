"""Cost models, one a file: each registers in `COSTS` by its name in `pruner.cost`.

All are made alike, of a network's operators and their latency table. Here lives
what tells a network's cost from the widths of its groups; how that is measured does not.
"""

from gaze.pruning.cost.models.base import COSTS, Cost

__all__ = ["COSTS", "Cost"]
