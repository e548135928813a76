"""Thick-thin alternation is found where it was made and nowhere else."""

from itertools import permutations

import numpy as np
import pytest

from gaze.pruning.alternation import alternation, kinds


def widths(shares: np.ndarray) -> tuple[dict[str, int], dict[str, int]]:
    before = {f"layer{i}": 10_000 for i in range(len(shares))}
    return before, {name: round(10_000 * share) for name, share in zip(before, shares, strict=True)}


@pytest.mark.parametrize("groups", [10, 47, 203])
def test_thick_and_thin_in_turn_is_found_on_top_of_a_trend(groups: int):
    place = np.arange(groups)
    shares = 0.7 - 0.4 * place / groups + 0.1 * (-1.0) ** place
    found = alternation(*widths(shares))
    assert found.statistic < -0.8
    assert found.p < 0.01
    assert found.verdict.startswith("Thick and thin layers alternate")


@pytest.mark.parametrize("shares", [np.full(30, 0.25), np.linspace(0.9, 0.1, 17), np.ones(30)])
def test_constant_or_evenly_falling_widths_do_not_alternate(shares: np.ndarray):
    found = alternation(*widths(shares))
    assert (found.statistic, found.p) == (0, 1)
    assert "do not alternate" in found.verdict


def test_slow_waves_are_the_opposite():
    found = alternation(*widths(0.5 + 0.3 * np.sin(np.arange(60) / 6)))
    assert found.statistic > 0.8
    assert found.p > 0.99
    assert found.verdict.startswith("No alternation")


def test_chance_is_called_alternation_as_often_as_the_level_says():
    rng = np.random.default_rng(3)
    called = [alternation(*widths(rng.uniform(0.1, 0.9, 24))).p < 0.05 for _ in range(200)]
    assert 1 <= sum(called) <= 22  # 10 expected; beyond that with a chance below 0.001


def in_blocks(squeezed: np.ndarray, wide: np.ndarray) -> tuple[dict[str, int], dict[str, int]]:
    """Blocks of two layers each, by turns, that kept such shares."""
    shares = {}
    for i, (narrow, broad) in enumerate(zip(squeezed, wide, strict=True)):
        shares |= {f"blocks.{i}.conv_pw": broad, f"blocks.{i}.se.conv_reduce": narrow}
    return dict.fromkeys(shares, 10_000), {name: round(10_000 * share) for name, share in shares.items()}


def test_layers_of_two_kinds_that_take_turns_by_design_are_no_finding():
    rng = np.random.default_rng(4)
    found = alternation(*in_blocks(rng.uniform(0.7, 0.9, 12), rng.uniform(0.1, 0.3, 12)))
    assert found.p > 0.05
    assert found.verdict.startswith("Thick and thin layers take turns only as layers of different kinds do")
    assert "Theis" not in found.verdict


def test_turns_among_layers_of_one_kind_are_a_finding():
    turns = 0.1 * (-1.0) ** np.arange(12)
    found = alternation(*in_blocks(np.full(12, 0.8), 0.3 + turns))
    assert found.statistic < -0.8
    assert found.verdict.startswith("Thick and thin layers of one kind alternate, as Theis et al. (2018) report")


def test_chance_is_called_alternation_as_often_as_the_level_says_in_blocks_too():
    rng = np.random.default_rng(5)
    called = [alternation(*in_blocks(*rng.uniform(0.1, 0.9, (2, 8)))).p < 0.05 for _ in range(200)]
    assert 1 <= sum(called) <= 22


def test_kinds_are_told_by_what_recurs_in_the_names():
    names = ["features_0", "features_7", "b.0.conv1", "b.0.conv2", "b.1.conv1", "b.1.conv2", "reduce.0", "reduce.1"]
    assert kinds(names) == ["features_", "features_", "conv1", "conv2", "conv1", "conv2", "reduce", "reduce"]


def test_statistic_and_p_are_those_of_all_orders():
    shares = np.array([0.5, 0.21, 0.62, 0.3, 0.55, 0.4, 0.73])
    place = np.arange(7)
    rest = shares - np.polyval(np.polyfit(place, shares, 1), place)

    def autocorrelation(values: np.ndarray) -> float:
        values = values - np.polyval(np.polyfit(place, values, 1), place)
        return float(np.dot(values[1:], values[:-1]) / np.dot(values, values))

    exact = np.mean([autocorrelation(np.array(order)) <= autocorrelation(rest) + 1e-12 for order in permutations(rest)])
    found = alternation(*widths(shares))
    assert found.statistic == pytest.approx(autocorrelation(rest), abs=1e-9)
    assert found.p == pytest.approx(exact, abs=5 * np.sqrt(exact / 9999))


def test_few_layers_tell_nothing_and_a_missing_one_kept_nothing():
    assert "too few" in alternation(*widths(np.array([0.9, 0.1, 0.9]))).verdict
    before, after = widths(np.array([0.5, 0.0] * 10))
    gone = {name: maps for name, maps in after.items() if maps}
    assert alternation(before, gone) == alternation(before, after)
