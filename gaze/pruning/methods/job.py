"""What a pruning method is made from, whatever the method: a network, a budget, and names of what it is to use."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from torch import Tensor, nn

from gaze.errors import expect, expect_number, expect_one_of
from gaze.files import make_folder
from gaze.pruning.cost.engines import ENGINES, Engine
from gaze.pruning.cost.example_input import ExampleInput
from gaze.pruning.cost.fused_operators import FusedOperator, find_operators
from gaze.pruning.cost.latency_table import LatencyTable, load_or_measure
from gaze.pruning.cost.models import COSTS, Cost
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.information.signal import SIGNALS, Signal, SignalOptions
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.l0_config import L0Config
from gaze.pruning.methods.removal_log import REMOVALS
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure.groups import Group, find_groups

LOSSES = ("mean", "sum")
TABLE = "latency.json"


@dataclass(frozen=True)
class Job:
    """A network that is to be pruned, and how; a method takes of it what it needs.

    Attributes:
        unpruned: the network as it is before: the one that is trained, or a copy.
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
        loss: what the training's loss is of those of a batch's examples: their `mean` or their `sum`.
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
    loss: str = "mean"

    @classmethod
    def of(
        cls, network: nn.Module, example: Tensor | ExampleInput, out: Path, *, budget: float | None = None,
        budget_ms: float | None = None, pruner: str = "fisher", **changes: Any,
    ) -> "Job":  # fmt: skip
        """A job with the values of `gaze/conf/prune.yaml` and of one of the pruners in `gaze/conf/pruner`.

        Args:
            network: any that `torch.fx` traces; what is not known stays, see `find_groups`.
            example: what it is called with, a batch of one.
            out: folder for the latency table and the removal log; made where it is missing.
            budget: as in `Job`, and one of it and `budget_ms` is given.
            budget_ms: see `budget`.
            pruner: name of the file.
            changes: other values for attributes of the job; of `schedule`, some of its values.

        Raises:
            ConfigError: a value makes no sense.
            OutputError: the folder cannot be made.
        """
        given, schedule = _values(pruner), changes.pop("schedule", {})
        chosen: Any = given.pruner
        values = {
            "schedule": ScheduleConfig(**{**given.schedule, **schedule}),
            "signal": chosen.signal,
            "signal_options": SignalOptions(chosen.decay, given.seed),
            "cost": chosen.cost,
            "rules": Rules(chosen.beta, tuple(chosen.exclude), chosen.multiple),
            "example": example if isinstance(example, ExampleInput) else ExampleInput.of(example),
            "latency": out / TABLE,
            "latency_named": False,
            "removals": out / REMOVALS,
            "progress": True,
            "l0": None if chosen.l0 is None else L0Config(**chosen.l0),
            "start": chosen.start,
            **{name: given[name] for name in ("engine", "threads", "rounds")},
        }
        job = cls(network, budget, budget_ms, **{**values, **changes})
        job.check()
        make_folder(out)
        return job

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        expect((self.budget is None) != (self.budget_ms is None), "budget", "one of budget and budget_ms",
               "neither" if self.budget is None else "both")  # fmt: skip
        expect(self.budget is None or 0 < self.budget < 1, "budget", "a share between 0 and 1", self.budget)
        expect_number("budget_ms", self.budget_ms, above=0)
        expect_one_of("loss", self.loss, LOSSES)
        self.schedule.check()

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


def _values(pruner: str) -> DictConfig:
    """Of `gaze/conf/prune.yaml` with that pruner."""
    names = sorted(path.name.removesuffix(".yaml") for path in (files("gaze.conf") / "pruner").iterdir())
    expect_one_of("pruner", pruner, names)
    with initialize_config_module("gaze.conf", version_base="1.3"):
        return compose("prune", [f"pruner={pruner}"])
