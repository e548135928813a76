"""Where a run's figures go beside the table in its folder, one tracker a file: each registers by its `trainer.logger`.

Each is Lightning's own logger, made for a run of gaze. None imports Lightning or its package before a run is to begin.
"""

from gaze.training.trackers.base import TRACKERS, Tracker, check_tracker

__all__ = ["TRACKERS", "Tracker", "check_tracker"]
