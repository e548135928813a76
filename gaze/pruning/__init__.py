"""Pruning: which feature maps can leave a gaze network, what each is worth to it, and their removal."""

from gaze.pruning.gates import Gates
from gaze.pruning.groups import Group, Member, find_groups
from gaze.pruning.parameters import ParameterFisher
from gaze.pruning.signal import Fisher, Magnitude, Random, Signal, Taylor
from gaze.pruning.surgery import Cut, apply, follow, remove

__all__ = ["Cut", "Fisher", "Gates", "Group", "Magnitude", "Member", "ParameterFisher", "Random", "Signal", "Taylor",
           "apply", "find_groups", "follow", "remove"]  # fmt: skip
