"""What `pruner` may say."""

from dataclasses import replace

import pytest

from gaze.errors import ConfigError
from gaze.pruning.config import PrunerConfig

FISHER = PrunerConfig("greedy", None, "fisher", 1.0, "table", None, [], 1, None, None)


@pytest.mark.parametrize(("granularity", "method"), [("map", "greedy"), ("parameter", "weights")])
def test_the_older_word_for_a_method_is_understood(granularity: str, method: str):
    config = replace(FISHER, granularity=granularity)
    config.check()
    assert (config.method, config.granularity) == (method, None)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method", "hunch", "pruner.method: expected one of greedy, grow, l0, weights, got 'hunch'"),
        ("signal", "hunch", "pruner.signal: expected one of fisher, magnitude, random, taylor, got 'hunch'"),
        ("cost", "hunch", "pruner.cost: expected one of linear, macs, none, quadratic, table, got 'hunch'"),
        ("granularity", "atom", "pruner.granularity: expected map, parameter or null, got 'atom'"),
    ],
)
def test_a_name_that_nothing_registered_is_refused_with_those_that_are(field: str, value: str, message: str):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        replace(FISHER, **{field: value}).check()
