"""The Lightning callback that learns which feature maps a network does without: L0 regularisation."""

import copy
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from gaze.errors import ConfigError, GazeError, expect
from gaze.pruning.cost.expectations import EXPECTATIONS, Expectation
from gaze.pruning.cost.models import COSTS, Cost
from gaze.pruning.cost.prediction_error import disagreement
from gaze.pruning.methods.base import METHODS
from gaze.pruning.methods.budget import TimedPruning
from gaze.pruning.methods.candidates import check_exclude
from gaze.pruning.methods.estimators import ESTIMATORS
from gaze.pruning.methods.job import Job
from gaze.pruning.methods.l0_config import L0Config
from gaze.pruning.methods.learnt_gates import LearntGates
from gaze.pruning.methods.multiplier import LagrangeMultiplier
from gaze.pruning.methods.outcome import FasterOutcome
from gaze.pruning.methods.removal_log import Removal, RemovalLog
from gaze.pruning.methods.schedule import ScheduleConfig
from gaze.pruning.structure import surgery
from gaze.pruning.structure.folding import fold
from gaze.pruning.structure.gates import Multipliers
from gaze.pruning.structure.groups import Group, find_groups, find_pinned, told
from gaze.pruning.structure.hard_concrete import HardConcrete

POOR, HOPELESS = 0.25, 1.0
"""Median errors of a quadratic fit against the latency table: what is told, and what is refused."""

AIM = 0.98
"""Share of the budget that the price aims at: the budget itself would be come near to, and not be met."""


@METHODS.register("l0")
class L0Pruning(TimedPruning):
    """Learns gates on the feature maps of `module.network` and removes those that close, until a budget is met.

    L0 regularisation of groups of weights, Louizos et al. 2018 (arXiv 1712.01312), section 2.3: a gate multiplies a map
    where it is read, and what is penalised is an expectation over the gates. Here its price is raised until the
    expected time keeps pace with the schedule, and then fits the budget. Every few removals, and when it fits, maps
    whose gate at test time is 0 are cut out and the network is measured; the expectation is scaled to that. Only
    confirmed measurements end the pruning. Then gates between 0 and 1 become part of the weights.

    The module's `training_step` adds the penalties of its callbacks (`gaze.training.penalty`). Its optimiser is Adam or
    its like: the rate of log alpha is made for steps that do not shrink with the gradient. Estimators other than
    `concrete` ask the module for `losses(batch)`, one an example. Where the weights are averaged, `attach` is called
    before the averaging copies the module: list this callback first, or call it.

    Args:
        config: of gates, estimator and penalty.
        time: the expected milliseconds, in the order of the groups.
        penalised: the expectation that is penalised.
        clock: predicts milliseconds of a network.
        stopwatch, budget, schedule, base: as in `TimedPruning`.
        log: where each removal is written down; its signal is the sum of P(z != 0).
        exclude: groups whose name begins with one of these keep all maps.
        multiple: of which widths stay one: closed maps stay, as zeros.
        seed: of the draws.
    """

    IDLE = dict.fromkeys(
        ("pruner.signal", "pruner.decay", "pruner.cost", "pruner.beta", "pruner.start"),
        "pruner.method=l0 learns which maps leave",
    )

    def __init__(
        self, config: L0Config, time: Expectation, penalised: Expectation, clock: Cost,
        stopwatch: Callable[[Any], float], budget: float, schedule: ScheduleConfig, log: RemovalLog,
        exclude: Collection[str] = (), multiple: int = 1, seed: int = 0, base: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(stopwatch, budget, schedule, base)
        config.check()
        self.config, self.time, self.penalised, self.clock = config, time, penalised, clock
        self.removal_log, self.exclude, self.multiple, self.seed = log, tuple(exclude), multiple, seed
        self.multiplier = LagrangeMultiplier(config.rho)
        self.scale, self.batches, self.ready, self.folded = 1.0, 0, False, False
        self.gates: LearntGates | None = None
        self.drawn: Tensor | None = None
        self.brought: Tensor | None = None
        self.asked: Tensor | None = None
        self.restored: dict[str, Any] = {}

    @classmethod
    def check(cls, job: Job) -> None:
        """Refuses a number of maps a removal, and names to be left alone that no group's name begins with."""
        expected = "null, as pruner.method=l0 removes the maps that have closed"
        expect(
            job.schedule.maps_per_removal is None, "schedule.maps_per_removal", expected, job.schedule.maps_per_removal
        )
        check_exclude(job.rules.exclude, [group.name for group in find_groups(job.unpruned)])

    @classmethod
    def make(cls, job: Job) -> "L0Pruning":
        """See `PacedPruning.make`: measures the latency table where there is none that fits, and the network.

        Raises:
            ConfigError: the budget is less than what a single map a group takes.
            GazeError: the expected time is penalised, and says nothing of the measured ones.
        """
        config = job.l0
        assert config is not None, "PrunerConfig.check asks for it"
        operators, table = job.measure_table()
        maps = {group.name: group.maps for group in find_groups(job.unpruned)}
        clock = COSTS["table"](operators, table)
        if config.penalty == "time":
            judge_fit(COSTS["quadratic"](operators, table), clock, maps, job.rules.multiple)
        stopwatch, budget = job.make_stopwatch()
        clock.calibrate(maps, stopwatch.base)
        least = least_maps(maps, job.rules.exclude, job.rules.multiple)
        refuse_small_budget(clock, least, budget, stopwatch.base if job.budget_ms is None else None)
        time, penalised = (
            Expectation(EXPECTATIONS[name](operators, table, list(maps)), list(maps))
            for name in ("time", config.penalty)
        )
        return cls(config, time, penalised, clock, stopwatch, budget, job.schedule, RemovalLog(job.removals),
                   job.rules.exclude, job.rules.multiple, job.signal_options.seed, stopwatch.base)  # fmt: skip

    @property
    def learnt(self) -> LearntGates:
        """The gates, once the callback is attached to a module."""
        assert self.gates is not None, "attach() comes first"
        return self.gates

    def attach(self, module: pl.LightningModule) -> None:
        """Gives the module the parameter `log_alpha`; what copies the module or makes its optimiser comes later.

        Raises:
            ConfigError: the module has no network, see `find`, or the network no group.
        """
        if self.gates is not None:
            return
        config, network = self.config, self.find(module)
        if not (maps := {group.name: group.maps for group in find_groups(network)}):
            raise ConfigError(f"pruning: no feature map of {type(network).__name__} can leave: it has no group")
        gate = HardConcrete(config.beta, config.gamma, config.zeta)
        ungated = {name for name in maps if name.startswith(self.exclude)} if self.exclude else set()
        self.gates = LearntGates(gate, maps, ungated, config.start)
        self.estimator = ESTIMATORS[config.estimator](gate, sum(maps.values()))
        self.full = self.penalised(*self.gates.moments()).detach()
        module.register_parameter("log_alpha", self.gates.log_alpha)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `PacedPruning.parameter_groups`: log alpha, at its own rate and not decayed."""
        return [{"params": [self.learnt.log_alpha], "lr": self.config.rate, "weight_decay": 0.0}]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the module its gates, where they are not there yet; see `PacedPruning.setup`.

        Raises:
            ConfigError: the module was copied already, or the estimator asks for `losses` that it does not have.
        """
        super().setup(trainer, pl_module, stage)
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if self.gates is None and any(isinstance(c, WeightAveraging) for c in callbacks[: callbacks.index(self)]):
            raise ConfigError("pruning: expected L0Pruning before the averaging among the callbacks, got it behind")
        self.attach(pl_module)
        if self.config.estimator != "concrete" and not hasattr(pl_module, "losses"):
            raise ConfigError(
                f"pruner.l0.estimator={self.config.estimator}: expected a module with losses(batch), one an example, "
                f"got {type(pl_module).__name__} without"
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives log alpha a group of its own in the optimiser, where the module took it for a weight or left it out.

        Raises:
            ConfigError: a scheduler counts the groups that there are.
        """
        log_alpha = self.learnt.log_alpha
        groups = [(o, g) for o in trainer.optimizers for g in o.param_groups if _holds(g, log_alpha)]
        if any(self._is_own(group) for _, group in groups):
            return
        if trainer.lr_scheduler_configs:
            scheduler = type(trainer.lr_scheduler_configs[0].scheduler).__name__
            raise ConfigError(
                "pruning: expected a configure_optimizers that gives the optimiser the groups of "
                f"L0Pruning.parameter_groups() as well, as it has the scheduler {scheduler}; got none of them"
            )
        for _, group in groups:
            group["params"] = [parameter for parameter in group["params"] if parameter is not log_alpha]
        (groups[0][0] if groups else trainer.optimizers[0]).add_param_group(self.parameter_groups()[0])

    def _is_own(self, group: Mapping[str, Any]) -> bool:
        """Whether a group of an optimiser that holds log alpha is that of `parameter_groups`."""
        rate = group.get("initial_lr", group["lr"])
        return len(group["params"]) == 1 and rate == self.config.rate and not group.get("weight_decay")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the gates into the network and measures it, or goes on where a checkpoint left off."""
        rank_zero_info(told(find_groups(self.network), find_pinned(self.network)))
        self.multipliers = Multipliers(self.network, self._gated(), self.learnt.places, self._values)
        self.estimator.to(self.learnt.log_alpha.device)
        if self.restored:
            self.estimator.load_state_dict(self.restored["estimator"])
        else:
            self.before = self.learnt.maps
            self.measure_base()
            self._calibrate()
        self.end_where_done(trainer, more=True)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Draws the gates of a batch; draws depend on the seed and the number of the batch alone."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if self.finished is not None:
            return
        generator = torch.Generator().manual_seed(self.seed + (self.batches << 32))
        self.batches += 1
        samples = self.examples if self.config.per_example else 1
        self.drawn = self.estimator.draw(self.learnt.log_alpha, samples, generator)
        self.batch, self.brought, self.asked = batch, None, None

    def penalty(self, module: pl.LightningModule) -> Tensor:
        """The price times what is penalised, as a share of what it was or, for time, of what it is to be now."""
        if self.finished is not None:
            return self.learnt.log_alpha.new_zeros(())
        moments = self.learnt.moments()
        time = self.scale * self.time(*moments)
        excess = float(time.detach()) / self._goal() - 1
        share = time / self._goal() if self.config.penalty == "time" else self.penalised(*moments) / self.full
        term = (self._summands() * self.multiplier.weight(excess, self._haste()) * share).to(self.learnt.log_alpha)
        self.asked = term.detach()
        return term

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Has the estimator look at the loss.

        Raises:
            ConfigError: the loss holds no penalty.
        """
        if self.finished is not None:
            return
        if self.asked is None:
            raise ConfigError(
                "pruning: expected a training_step that adds its callbacks' penalties to the loss, got none"
            )
        scale = trainer.accumulate_grad_batches / self.loss_scale(trainer)
        losses = (loss.detach().float() * scale - self.asked)[None] / self._summands()
        if self.config.per_example and self.config.estimator != "concrete":
            with torch.no_grad():
                losses = self._evaluate(trainer, pl_module, self.drawn)
        found = self.estimator.gradient(losses, lambda gates: self._evaluate(trainer, pl_module, gates))
        self.brought = None if found is None else self._summands() * found / scale

    def read(self, divisor: float) -> None:
        """Adds what the estimator found to what the backward pass brought."""
        log_alpha = self.learnt.log_alpha
        if self.brought is not None:
            log_alpha.grad = self.brought if log_alpha.grad is None else log_alpha.grad + self.brought
        self.ready = self.ready or (log_alpha.grad is not None and bool(torch.isfinite(log_alpha.grad).all()))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See `PacedPruning.on_train_batch_end`; until the next batch gates are those of test time."""
        self.drawn = None
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def remove(self, trainer: pl.Trainer) -> None:
        """Raises or lowers the price; where it is time, what is closed is cut out and the network is measured.

        Raises:
            GazeError: no gradient since the last removal was finite.
        """
        self.expect(self.ready)
        self.ready = False
        self.multiplier.update(self.expected / self._goal() - 1, self._haste())
        fits = self.expected <= self.budget
        leaving = self.learnt.leaving(self.multiple)
        if not fits and not (leaving and self.removals % self.schedule.removals_per_surgery == 0):
            return
        self.remember()
        rows = [self._row(name, maps) for name, maps in leaving.items()]
        self._operate(leaving, trainer)
        more = self.learnt.maps != least_maps(self.before, self.exclude, self.multiple)
        self._measure(rows, last=not more)
        self.end_where_done(trainer, more)

    @property
    def expected(self) -> float:
        """Milliseconds over the gates' draws."""
        return self.scale * float(self.time(*self.learnt.moments()).detach())

    def _goal(self) -> float:
        """Milliseconds that are aimed at now: a little under what the schedule expects."""
        return AIM * self.schedule.goal(self._progress() * self.schedule.removals, self.base, self.budget)

    def _haste(self) -> float:
        """1 while the schedule runs; then prices rise the faster the later it is."""
        return max(1.0, self._progress()) ** 2

    def _progress(self) -> float:
        """Share of the schedule that has gone by; above 1 where the budget should have been met."""
        return self.step / (self.schedule.updates_per_removal * self.schedule.removals)

    def _summands(self) -> int:
        """By how much the training's loss is larger than the mean over the examples."""
        return self.examples if self.summed else 1

    def _values(self) -> Tensor:
        return self.learnt.at_test_time() if self.drawn is None else self.drawn

    def _evaluate(self, trainer: pl.Trainer, module: Any, gates: Tensor | None) -> Tensor:
        """Losses of the batch under other gates: of each example, or their mean."""
        drawn, self.drawn = self.drawn, gates
        with trainer.precision_plugin.train_step_context():
            losses = module.losses(self.batch).float()
        self.drawn = drawn
        return losses if self.config.per_example else losses.mean()[None]  # type: ignore[no-any-return]

    def _gated(self) -> list[Group]:
        return [group for group in find_groups(self.network) if group.name in self.learnt.places]

    def _row(self, name: str, maps: list[int]) -> Removal:
        indices = self.learnt.indices[name]
        return Removal(
            step=self.step,
            layer=name,
            maps=tuple(indices[k] for k in maps),
            signal=self.learnt.chance(name, maps),
            predicted_ms=0.0,  # until all rows have left
            measured_ms=None,
            maps_left=len(indices) - len(maps),
            loss=self.loss,
            information_gain=self.gain,
        )

    def _operate(self, leaving: dict[str, list[int]], trainer: pl.Trainer) -> None:
        """Cuts maps out of the network and all that follows it; a group's last map has its gate in the weights."""
        last = {name for name, maps in leaving.items() if len(self.learnt.indices[name]) - len(maps) == 1}
        self._fold(trainer, last)
        cut = surgery.remove(self.network, leaving)
        self.tell(trainer, cut)
        self.learnt.keep(cut.maps)
        self.multipliers.reset(self._gated(), self.learnt.places)

    def _fold(self, trainer: pl.Trainer, names: Collection[str]) -> None:
        if names:
            self.tell(trainer, fold(self.network, find_groups(self.network), self.learnt.by_group(names)))

    def _measure(self, rows: list[Removal], last: bool) -> None:
        predicted = self.clock.total(self.learnt.maps)
        self.measure(last)
        self._calibrate()
        for row in rows:
            measured = self.measured if row is rows[-1] else None
            self.removal_log.append(Removal(**{**vars(row), "predicted_ms": predicted, "measured_ms": measured}))

    def _calibrate(self) -> None:
        """Corrects the predictions by the last measurement: the network that was timed has every map that is left."""
        self.clock.calibrate(self.learnt.maps, self.measured)
        self.scale *= self.measured / self.expected

    def end_where_done(self, trainer: pl.Trainer, more: bool) -> None:
        """See `TimedPruning.end_where_done`; gates between 0 and 1 become part of the weights."""
        before = self.finished
        super().end_where_done(trainer, more)
        if self.finished is None:
            return
        if before is None and not self.folded:
            self._fold(trainer, self.learnt.places)
            self.folded = True
        self.multipliers.detach()

    def go_back(self, noted: dict[str, Any]) -> None:
        """See `TimedPruning.go_back`; what was kept has its gates in the weights."""
        self.learnt.indices, self.folded = noted["indices"], True
        self.removal_log.truncate_after(noted["step"])

    def kept(self) -> Any:
        """See `TimedPruning.kept`: a copy with its gates in the weights."""
        network = copy.deepcopy(self.network)
        fold(network, find_groups(network), self.learnt.by_group())
        return network

    def notes(self) -> dict[str, Any]:
        """See `TimedPruning.notes`."""
        return super().notes() | {"indices": {name: list(indices) for name, indices in self.learnt.indices.items()}}

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs beside `log_alpha`, in tensors and plain values."""
        state = {name: getattr(self, name) for name in ("before", "batches", "ready")}
        return super().state_dict() | state | {"indices": self.learnt.indices, "estimator": self.estimator.state_dict(),
                        "scales": [self.scale, self.clock.scale], "multiplier": self.multiplier.value}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `state_dict`."""
        state = dict(state_dict)
        self.restored = {"estimator": state.pop("estimator")}
        self.learnt.indices = state.pop("indices")
        self.scale, self.clock.scale = state.pop("scales")
        self.multiplier.value = state.pop("multiplier")
        super().load_state_dict(state)
        self.removal_log.truncate_after(self.step)

    def shown(self) -> dict[str, float]:
        """Maps left, expected and measured milliseconds against the budget, and the price in bits."""
        return {"maps": float(sum(self.learnt.maps.values())), "expected": self.expected,
                "measured": self.measured, "budget": self.budget, "price": self.multiplier.value}  # fmt: skip

    def outcome(self, checkpoint: str, before_gain: float, after_gain: float) -> FasterOutcome:
        """See `PacedPruning.outcome`."""
        gains = (before_gain, after_gain)
        return self.faster(checkpoint, gains, self.removal_log.path, self.before, self.learnt.maps)


def _holds(group: Mapping[str, Any], parameter: Tensor) -> bool:
    """Whether a group of an optimiser steps a parameter."""
    return any(each is parameter for each in group["params"])


def least_maps(maps: Mapping[str, int], exclude: Collection[str], multiple: int) -> dict[str, int]:
    """What is left of each group where all of its gates are closed."""
    excluded = tuple(exclude)
    return {
        name: count if excluded and name.startswith(excluded) else min(multiple, count) for name, count in maps.items()
    }


def refuse_small_budget(clock: Cost, least: Mapping[str, int], budget: float, base: float | None = None) -> None:
    """Refuses what no pruning can reach.

    Args:
        clock: predicts milliseconds.
        least: maps of each group at its narrowest.
        budget: milliseconds.
        base: milliseconds of the unpruned network where the budget was given as a share of it.

    Raises:
        ConfigError: naming the least budget.
    """
    if (time := clock.total(least)) <= budget:
        return
    key, unit, whole = ("budget_ms", " ms", 1.0) if base is None else ("budget", " of the unpruned time", base)
    least_budget = f"{time / whole:.3g}{unit}, which the fewest maps a group cost"
    raise ConfigError(f"{key}: expected at least {least_budget}, got {budget / whole:.3g}")


def judge_fit(quadratic: Cost, clock: Cost, maps: Mapping[str, int], multiple: int) -> None:
    """Says on standard error where expected times are poor, and how poor; refuses what says nothing of the time.

    Raises:
        GazeError: the quadratic fit is wrong by more than the time itself.
    """
    error = disagreement(quadratic, clock, maps, multiple)
    found = f"{error:.0%} from the latency table, the median over randomly pruned networks"
    if error > HOPELESS:
        raise GazeError(
            f"pruner.l0.penalty=time: expected a quadratic fit within {HOPELESS:.0%}, got one {found}; "
            "take pruner.l0.penalty=maps or parameters, a pruner.multiple that fills blocks, or another engine"
        )
    if error > POOR:
        print(
            f"gaze.prune: pruner.l0.penalty=time: a poor quadratic fit, {found}; measurements correct it, "
            "a pruner.multiple that fills blocks (8) may fit better",
            file=sys.stderr,
        )
