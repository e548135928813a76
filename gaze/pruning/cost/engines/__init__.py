"""Engines, one a file: each registers in `ENGINES` by its name in `engine`.

Here lives what runs a network or a fused operator on one machine, and what times such runs.
"""

from gaze.pruning.cost.engines.base import ENGINES, Engine

__all__ = ["ENGINES", "Engine"]
