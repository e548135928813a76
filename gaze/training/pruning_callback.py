"""Makes the pruning callback that a configuration describes."""

from functools import partial
from typing import Any

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.models.network import GazeNetwork
from gaze.predictor import network_size
from gaze.pruning.cost.engines import ENGINES
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.latency_table import load_or_measure
from gaze.pruning.cost.models import COSTS
from gaze.pruning.cost.models.table import TableCost
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.information.signal import Fisher, Magnitude, Random, Signal, Taylor
from gaze.pruning.methods.fisher_pruning import FisherPruning, Rules
from gaze.pruning.methods.weight_pruning import WeightPruning
from gaze.pruning.removal_log import RemovalLog
from gaze.pruning.structure.groups import Group, find_groups
from gaze.training.config import PruneConfig

REMOVALS = "removals.csv"
SHAPE = 4 / 3  # of the photograph that is timed where the configuration does not say


def make_pruning(config: PruneConfig, unpruned: GazeNetwork) -> FisherPruning | WeightPruning:
    """The callback that `config` describes; measures the latency table where there is none that fits."""
    if config.pruner.granularity == "parameter":
        return WeightPruning(config.budget or 0, config.schedule, config.pruner.decay)
    return _make_fisher_pruning(config, unpruned)


def _make_fisher_pruning(config: PruneConfig, unpruned: GazeNetwork) -> FisherPruning:
    size = timed_size(config.size, unpruned)
    engine = ENGINES.get(config.engine, "engine")(config.threads)
    operators, maps = find_operators(unpruned, size), {group.name: group.maps for group in find_groups(unpruned)}
    stored = config.latency or config.out / "latency.json"
    table = load_or_measure(
        stored, operators, maps, engine, size, config.trainer.progress, named=config.latency is not None
    )
    clock = TableCost(operators, table)
    cost = COSTS.get(config.pruner.cost, "pruner.cost")(operators, table)
    stopwatch = Stopwatch(unpruned, size, engine, config.rounds, relative=config.budget_ms is None)
    budget = config.budget_ms if config.budget_ms is not None else (config.budget or 0) * stopwatch.base
    rules = Rules(config.pruner.beta, tuple(config.pruner.exclude), config.pruner.multiple)
    log = RemovalLog(config.out / REMOVALS)
    return FisherPruning(partial(make_signal, config), cost, clock, stopwatch, budget, config.schedule, log, rules,
                         stopwatch.base)  # fmt: skip


def make_signal(config: PruneConfig, network: GazeNetwork, groups: list[Group]) -> Signal:
    """The signal that `config` names."""
    makers: dict[str, Any] = {
        "fisher": lambda: Fisher(network, groups, config.pruner.decay),
        "taylor": lambda: Taylor(network, groups, config.pruner.decay),
        "magnitude": lambda: Magnitude(network, groups),
        "random": lambda: Random(groups, config.seed),
    }
    return makers[config.pruner.signal]()


def timed_size(size: list[int] | None, network: GazeNetwork) -> Size:
    """The size that is timed: `size` as width and height, or a 4:3 photograph as the network sees it.

    Raises:
        ConfigError: `size` is not two multiples of what the network asks for.
    """
    rule = network.config.input
    if size is None:
        return network_size(Size(1000, round(1000 / SHAPE)), rule.longer_side, rule.multiple)
    if len(size) != 2 or any(side < 1 or side % rule.multiple for side in size):
        raise ConfigError(f"size: expected [width, height], multiples of {rule.multiple}, got {size}")
    return Size(*size)
