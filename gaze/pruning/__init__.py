"""Pruning: which feature maps can leave a gaze network, what each is worth to it, and their removal.

What a user of the package needs is named here; the methods are Lightning callbacks, which take seconds to import, and
stay in `gaze.pruning.methods`. Four rooms stand below, each of which imports only from those before it: `structure`
(what can only change together), `information` (what it is worth), `cost` (what it costs) and `methods` (how a network
changes while it trains). Beside them may live what spans them: the schema of `gaze/conf/pruner`, the pictures of a run,
and what widths say.
"""

from gaze.pruning.information.fisher import Fisher
from gaze.pruning.information.fisher_rao import FisherRao
from gaze.pruning.information.magnitude import Magnitude
from gaze.pruning.information.random import Random
from gaze.pruning.information.signal import Signal
from gaze.pruning.information.taylor import Taylor
from gaze.pruning.information.weight_fisher import DiagonalFisher, ParameterFisher
from gaze.pruning.structure.followers import Follower, OptimizerFollower
from gaze.pruning.structure.gates import Gates
from gaze.pruning.structure.groups import Group, Member, Pinned, find_groups, find_pinned
from gaze.pruning.structure.surgery import Cut, apply, remove

__all__ = [
    "Cut",
    "DiagonalFisher",
    "Fisher",
    "FisherRao",
    "Follower",
    "Gates",
    "Group",
    "Magnitude",
    "Member",
    "OptimizerFollower",
    "ParameterFisher",
    "Pinned",
    "Random",
    "Signal",
    "Taylor",
    "apply",
    "find_groups",
    "find_pinned",
    "remove",
]
