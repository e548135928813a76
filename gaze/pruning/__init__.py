"""Pruning: which feature maps can leave a gaze network, what each is worth to it, and their removal."""

from gaze.pruning.information.fisher import Fisher
from gaze.pruning.information.magnitude import Magnitude
from gaze.pruning.information.random import Random
from gaze.pruning.information.signal import Signal
from gaze.pruning.information.taylor import Taylor
from gaze.pruning.information.weight_fisher import ParameterFisher
from gaze.pruning.structure.gates import Gates
from gaze.pruning.structure.groups import Group, Member, find_groups
from gaze.pruning.structure.surgery import Cut, apply, follow, remove

__all__ = ["Cut", "Fisher", "Gates", "Group", "Magnitude", "Member", "ParameterFisher", "Random", "Signal", "Taylor",
           "apply", "find_groups", "follow", "remove"]  # fmt: skip
