"""Estimators of the gradient that gates learn by, one a file: each registers by its name in `pruner.l0.estimator`."""

from gaze.pruning.methods.estimators.base import ESTIMATORS, GateEstimator

__all__ = ["ESTIMATORS", "GateEstimator"]
