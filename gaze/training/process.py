"""What a command tells its process before it trains; nothing else in gaze may call this."""

import logging
import warnings

import torch

EXPECTED = (
    ".*does not have many workers",  # the configuration decides
    "Checkpoint directory .* exists and is not empty",  # a run looks at its folder before
    "Found .* in eval mode at the start of training",  # BatchNorm: see `Backbone.train`
    ".*LeafSpec.* is deprecated",  # of torch, for Lightning
    "The number of training batches .* is smaller than the logging interval",  # epochs are logged all the same
    "Detected call of .lr_scheduler.step.* before .optimizer.step",  # the first update overflowed under 16-mixed
)
"""Warnings of Lightning that tell nothing new here."""


def prepare_process(threads: int | None = None) -> None:
    """Silences for good what Lightning says that is expected here, and sets torch's threads; None leaves them."""
    for message in EXPECTED:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)  # no tips, no device list
    if threads:
        torch.set_num_threads(threads)
