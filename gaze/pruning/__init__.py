"""Pruning: which feature maps can leave a gaze network, what each is worth to it, and their removal.

What a user of the package needs is named here; the methods are Lightning callbacks, which take seconds to import, and
stay in `gaze.pruning.methods`. Four rooms stand below, each of which imports only from those before it: `structure`
(what can only change together), `information` (what it is worth), `cost` (what it costs) and `methods` (how a network
changes while it trains). Beside them may live what spans them: the schema of `gaze/conf/pruner`, the pictures of a run,
and what widths say. What is named here loads on first use, as torch takes seconds and a command's `--help` needs only
the schemas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from gaze.pruning.structure.growth import Growth, Joining, grow
    from gaze.pruning.structure.surgery import Cut, apply, remove

__all__ = [
    "Cut",
    "DiagonalFisher",
    "Fisher",
    "FisherRao",
    "Follower",
    "Gates",
    "Group",
    "Growth",
    "Joining",
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
    "grow",
    "remove",
]

_LATER = {
    "Cut": "gaze.pruning.structure.surgery",
    "DiagonalFisher": "gaze.pruning.information.weight_fisher",
    "Fisher": "gaze.pruning.information.fisher",
    "FisherRao": "gaze.pruning.information.fisher_rao",
    "Follower": "gaze.pruning.structure.followers",
    "Gates": "gaze.pruning.structure.gates",
    "Group": "gaze.pruning.structure.groups",
    "Growth": "gaze.pruning.structure.growth",
    "Joining": "gaze.pruning.structure.growth",
    "Magnitude": "gaze.pruning.information.magnitude",
    "Member": "gaze.pruning.structure.groups",
    "OptimizerFollower": "gaze.pruning.structure.followers",
    "ParameterFisher": "gaze.pruning.information.weight_fisher",
    "Pinned": "gaze.pruning.structure.groups",
    "Random": "gaze.pruning.information.random",
    "Signal": "gaze.pruning.information.signal",
    "Taylor": "gaze.pruning.information.taylor",
    "apply": "gaze.pruning.structure.surgery",
    "find_groups": "gaze.pruning.structure.groups",
    "find_pinned": "gaze.pruning.structure.groups",
    "grow": "gaze.pruning.structure.growth",
    "remove": "gaze.pruning.structure.surgery",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(_LATER[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
