"""What a pruning method is made from, whatever the method: a network, a budget, and names of what it is to use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from gaze.pruning.cost.engines import ENGINES, Engine
from gaze.pruning.cost.example_input import ExampleInput
from gaze.pruning.cost.fused_operators import FusedOperator, find_operators
from gaze.pruning.cost.latency_table import LatencyTable, load_or_measure
from gaze.pruning.cost.models import COSTS, Cost
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.information.signal import SIGNALS, Signal, SignalOptions
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.l0_config import L0Config
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.groups import Group, find_groups


@dataclass(frozen=True)
class Job:
    """A network that is to be pruned, and how; a method takes of it what it needs.

    Attributes:
        unpruned: the network as it is before.
        budget: share that is to be left, of the time or of whatever the method counts; None where `budget_ms` is given.
        budget_ms: milliseconds of one run that are to be left; None where `budget` is given.
        schedule: when something leaves.
        signal: name of what says what a map is worth.
        signal_options: of that signal.
        cost: name of the cost model that the signal is weighed against.
        rules: what may leave and at what price.
        engine: name of what the network will run on.
        threads: of the engine.
        example: what is timed.
        rounds: runs of which a median is taken.
        latency: file of the latency table; written where there is none.
        latency_named: the user asked for that file: one that does not fit is an error.
        removals: file of the removal log.
        progress: tell how far it is.
        l0: of gates that are learnt; None where none are.
        start: share of each group's maps that growing begins with; None: all.
    """

    unpruned: nn.Module
    budget: float | None
    budget_ms: float | None
    schedule: ScheduleConfig
    signal: str
    signal_options: SignalOptions
    cost: str
    rules: Rules
    engine: str
    threads: int
    example: ExampleInput
    rounds: int
    latency: Path
    latency_named: bool
    removals: Path
    progress: bool
    l0: L0Config | None = None
    start: float | None = None

    def make_signal(self, network: nn.Module, groups: list[Group]) -> Signal:
        """The signal of a network and its groups; it may hook into the network."""
        return SIGNALS.get(self.signal, "pruner.signal").make(network, groups, self.signal_options)

    def measure_costs(self, widest: Mapping[str, int] | None = None) -> tuple[Cost, Cost]:
        """What the choice weighs, and what predicts milliseconds: one and the same where the two are alike.

        Measures the latency table where there is none that fits.

        Args:
            widest: the most maps of each group, those of one map among them, where maps may join; None: none may.
        """
        operators, table = self.measure_table(widest)
        make_cost, make_clock = COSTS.get(self.cost, "pruner.cost"), COSTS.get("table")
        clock = make_clock(operators, table)
        return (clock if make_cost is make_clock else make_cost(operators, table)), clock

    def measure_table(self, widest: Mapping[str, int] | None = None) -> tuple[list[FusedOperator], LatencyTable]:
        """The network's operators, and their latency table, which is measured where there is none that fits.

        Args:
            widest: as in `measure_costs`.
        """
        operators = find_operators(self.unpruned, self.example, least=2 if widest is None else 1)
        maps = widest or {group.name: group.maps for group in find_groups(self.unpruned)}
        named = "latency" if self.latency_named else None
        return operators, load_or_measure(
            self.latency, operators, maps, self._engine(), self.example, self.progress, named
        )

    def make_stopwatch(self) -> tuple[Stopwatch, float]:
        """What measures networks, and the budget in its milliseconds."""
        stopwatch = Stopwatch(self.unpruned, self.example, self._engine(), self.rounds, relative=self.budget_ms is None)
        return stopwatch, self.budget_ms if self.budget_ms is not None else (self.budget or 0) * stopwatch.base

    def _engine(self) -> Engine:
        return ENGINES.get(self.engine, "engine")(self.threads)
