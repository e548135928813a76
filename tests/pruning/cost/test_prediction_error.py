"""Random networks, their errors and their picture."""

import numpy as np
import pytest
from PIL import Image

from gaze.geometry import Size
from gaze.pruning import find_groups
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.models.macs import MacCost
from gaze.pruning.cost.prediction_error import (
    PredictionErrors,
    draw_errors,
    measure_errors,
    narrowed,
    random_widths,
)
from gaze.training.photograph import photograph

FULL = {"a": 64, "b": 20, "c": 3}


@pytest.mark.parametrize("multiple", [1, 8])
def test_random_widths_are_multiples_or_whole(multiple):
    drawn = [random_widths(FULL, multiple, np.random.default_rng(seed)) for seed in range(50)]
    assert all(1 <= maps[name] <= full for maps in drawn for name, full in FULL.items())
    assert all(maps[name] % multiple == 0 or maps[name] == full for maps in drawn for name, full in FULL.items())
    assert len({tuple(maps.values()) for maps in drawn}) >= 10


def test_a_network_is_narrowed_to_what_was_asked_and_itself_stays(small):
    full = {group.name: group.maps for group in find_groups(small)}
    wanted = {name: max(2, count // 2) for name, count in full.items()}
    assert {group.name: group.maps for group in find_groups(narrowed(small, wanted))} == wanted
    assert {group.name: group.maps for group in find_groups(small)} == full


def test_errors_are_relative_to_what_was_measured(tmp_path):
    result = PredictionErrors(10.0, 0.01, [4.0, 8.0, 5.0], {"one": [5.0, 8.0, 4.5], "two": [4.0, 4.0, 5.0]}, [])
    assert result.errors("one") == pytest.approx([0.25, 0.0, 0.1])
    assert "| one | 10.0% | 5.0% to 17.5% | 25.0% | +5.0% |" in result.table()
    draw_errors(result, "title", tmp_path / "predicted.png")
    with Image.open(tmp_path / "predicted.png") as picture:
        assert picture.width > 500


def test_predictions_are_scaled_to_the_unpruned_network_alone(small_kind):
    network, example = small_kind("vgg_bn"), photograph(Size(48, 32))
    cost = MacCost(find_operators(network, example))
    result = measure_errors(network, {"macs": cost}, TorchCpu(1), example, 2, 1, rounds=2, seed=0, progress=False)
    full = {group.name: group.maps for group in find_groups(network)}
    assert cost.total(full) == pytest.approx(result.whole)
    assert result.predicted["macs"] == pytest.approx([cost.total(maps) for maps in result.maps])
    assert len(result.measured) == 2
