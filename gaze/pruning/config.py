"""The schema of `gaze/conf/pruner/*.yaml`."""

from dataclasses import dataclass

from gaze.errors import ConfigError

GRANULARITIES = ("map", "parameter")
SIGNALS = ("fisher", "taylor", "magnitude", "random")
COSTS = ("table", "quadratic", "macs", "none")


@dataclass
class PrunerConfig:
    """What decides which maps leave.

    Attributes:
        granularity: `map`, or `parameter` to set single weights to zero in place of removing maps; the budget is then
            a share of the weights, and of what follows only `decay` is used.
        signal: `fisher`, or for comparison `taylor`, `magnitude`, `random`.
        decay: weight that an update keeps in the signal with each later update; 1 reads afresh after every removal.
        cost: what a map's signal is weighed against: measured time by `table`, its `quadratic` fit, `macs` (Theis et
            al. 2018), or `none`.
        beta: price of a unit of cost in units of the loss; null takes loss per cost saved.
        exclude: groups whose name begins with one of these keep all maps.
        multiple: widths are brought to multiples of this.
    """

    granularity: str
    signal: str
    decay: float
    cost: str
    beta: float | None
    exclude: list[str]
    multiple: int

    def check(self) -> None:
        """Raises ConfigError where a value is none of those that are there."""
        for key, allowed in (("granularity", GRANULARITIES), ("signal", SIGNALS), ("cost", COSTS)):
            if getattr(self, key) not in allowed:
                raise ConfigError(f"pruner.{key}: expected one of {', '.join(allowed)}, got {getattr(self, key)!r}")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"pruner.decay: expected above 0, at most 1, got {self.decay}")
        if self.multiple < 1:
            raise ConfigError(f"pruner.multiple: expected at least 1, got {self.multiple}")
