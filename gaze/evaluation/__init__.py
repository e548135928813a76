"""Scores a model and its baselines on prepared stores; `gaze.evaluate` only reads settings and writes."""
