"""The pace and the rule of Theis et al. 2018, under their own name."""

from dataclasses import replace

import pytest
from hydra import compose, initialize_config_module

from gaze.config import validate
from gaze.geometry import Size
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.models import COSTS
from gaze.pruning.information.fisher import Fisher
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.removal_log import RemovalLog, read
from gaze.training.config import PruneConfig
from gaze.training.photograph import photograph
from tests.pruning.methods.test_fisher_pruning import Count, Module, measured, network, trainer  # noqa: F401


def config(*overrides: str) -> PruneConfig:
    with initialize_config_module("gaze.conf", version_base="1.3"):
        settings = ["data=folder", "sets.folder.store=a.h5", "checkpoint=a.ckpt", "budget=0.5", "out=b", *overrides]
        return validate(compose("prune", settings), PruneConfig)


def test_it_is_fisher_pruning_one_map_at_a_time_with_a_price_for_macs():
    paper, default = config("pruner=theis2018"), config()
    assert paper.schedule == replace(default.schedule, maps_per_removal=1)
    assert paper.pruner == replace(default.pruner, cost="macs", beta=1e-9)


def test_the_command_line_has_the_last_word():
    assert config("pruner=theis2018", "schedule.maps_per_removal=3", "pruner.beta=2").schedule.maps_per_removal == 3


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*eval mode")
def test_each_removal_is_of_the_map_with_the_least_loss_and_priced_cost(network, tmp_path):  # noqa: F811
    settings, expected = config("pruner=theis2018"), []

    class Watching(FisherPruning):
        def _choose(self):
            price, maps, closed = settings.pruner.beta, self.maps, self.gates.closed()
            scores = {
                (name, k): float(value) - price * self.cost.saving(name, 1, maps)
                for name, values in self.signal.values().items()
                for k, value in enumerate(values)
                if k not in closed.get(name, []) and maps[name] > 1
            }
            name, k = min(scores, key=scores.__getitem__)
            expected.append((name, self.indices[name][k]))
            return super()._choose()

    cost = COSTS.get(settings.pruner.cost)(find_operators(network, photograph(Size(64, 64))))
    schedule = replace(settings.schedule, updates_per_removal=1, removals_per_surgery=3, finetune_updates=0)
    rules, log = Rules(settings.pruner.beta), RemovalLog(tmp_path / "removals.csv")
    callback = Watching(Fisher, cost, Count(), measured, measured(network) - 16, schedule, log, rules)
    trainer(tmp_path, callback).fit(Module(network))
    rows = read(tmp_path / "removals.csv")
    assert [(row.layer, row.maps) for row in rows] == [(name, (k,)) for name, k in expected]
    assert len(rows) == 8
    assert len({row.layer for row in rows}) > 1
