"""What a network costs in expectation while each of its maps is there with some probability, a penalty a file.

Each registers in `EXPECTATIONS` by its name in `pruner.l0.penalty`.
"""

from gaze.pruning.cost.expectations.base import EXPECTATIONS, Expectation, Term

__all__ = ["EXPECTATIONS", "Expectation", "Term"]
