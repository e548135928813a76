"""Scores a model and its baselines on prepared stores.

What may live here: `sources` of predictions, whatever made them; `bench`, a set with its baselines fitted; `scores` of
an image by `gaze.metrics` and `run` over all of a split; `report` and `picture`, what is told; `log_densities`, what is
predicted, for others to score. Nothing here opens a file to write: `gaze.evaluate` reads the settings and does.
"""
