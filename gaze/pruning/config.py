"""The schema of `gaze/conf/pruner/*.yaml`."""

from dataclasses import dataclass

from gaze.errors import expect, expect_number
from gaze.pruning.methods.l0_config import L0Config

GRANULARITIES = {"map": "greedy", "parameter": "weights"}


@dataclass
class PrunerConfig:
    """What decides which maps leave.

    Attributes:
        method: `greedy`, maps leave one after the other; `l0`, those leave whose learnt gates close; `grow`, maps join
            a narrow network; or `weights`, single weights set to zero in place of removing maps: the budget is then a
            share of the weights, and of what follows only `decay` is used.
        granularity: what earlier versions called the method: `map` or `parameter`; null leaves it to `method`.
        signal: what a map is worth: `fisher`, or for comparison `taylor`, `magnitude`, `random`.
        decay: weight that an update keeps in the signal with each later update; 1 reads afresh after every removal.
        cost: what a map's signal is weighed against: measured time by `table`, its `quadratic` fit, the
            `linear` one, `macs`, or `none`.
        beta: price of a unit of cost in units of the loss, as in Theis et al. 2018; null takes loss per cost saved.
        exclude: groups whose name begins with one of these keep all maps.
        multiple: widths are brought to multiples of this.
        l0: of `method: l0`, which learns gates on the maps; null for the others.
        start: where maps join: share of each group's maps, those that `signal` says are worth most, to begin with; null
            begins with the network as it is.
    """

    method: str
    granularity: str | None
    signal: str
    decay: float
    cost: str
    beta: float | None
    exclude: list[str]
    multiple: int
    l0: L0Config | None
    start: float | None

    def __post_init__(self) -> None:
        if self.granularity in GRANULARITIES:
            self.method, self.granularity = GRANULARITIES[self.granularity], None

    def check(self) -> None:
        """Raises ConfigError where a value is none of those that are there."""
        # what they register takes seconds to import, a mistyped key should not
        from gaze.pruning.cost.models import COSTS
        from gaze.pruning.information.signal import SIGNALS
        from gaze.pruning.methods.base import METHODS

        expect(self.granularity is None, "pruner.granularity", f"{', '.join(GRANULARITIES)} or null", self.granularity)
        METHODS.get(self.method, "pruner.method")
        expect(self.method != "l0" or self.l0 is not None, "pruner.l0", "settings for pruner.method=l0", self.l0)
        SIGNALS.get(self.signal, "pruner.signal")
        COSTS.get(self.cost, "pruner.cost")
        expect_number("pruner.decay", self.decay, above=0, most=1)
        expect_number("pruner.beta", self.beta, least=0)
        expect_number("pruner.multiple", self.multiple, least=1)
        expect_number("pruner.start", self.start, above=0, below=1)

    def idle(self) -> dict[str, str]:
        """Keys (glob patterns) of the whole configuration that method and signal do not ask for, and why."""
        from gaze.pruning.information.signal import SIGNALS
        from gaze.pruning.methods.base import METHODS

        idle = dict(METHODS[self.method].IDLE)
        if self.start is None and "pruner.start" not in idle:
            idle |= dict.fromkeys(("pruner.signal", "pruner.decay"), "pruner.start is null")
        # a method that has no use for the signal has none for what the signal says
        return idle if "pruner.signal" in idle else {**SIGNALS[self.signal].IDLE, **idle}
