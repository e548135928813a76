"""Runs take turns, and their times are summed up by quartiles."""

import gc

import pytest

from gaze.pruning.cost.engines.timing import Timing, measure, noise_floor


def test_a_timing_holds_the_quartiles():
    assert Timing.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Timing(median=3.0, low=2.0, high=4.0, rounds=5)


def test_runs_take_turns_without_garbage_collection():
    order = []

    def named(name):
        return lambda: order.append((name, gc.isenabled()))

    timings = measure({"a": named("a"), "b": named("b")}, rounds=3, warm_up=1)
    assert order == [("a", False), ("b", False)] * 4
    assert gc.isenabled()
    assert {name: timing.rounds for name, timing in timings.items()} == {"a": 3, "b": 3}


def test_the_noise_floor_is_what_a_second_measurement_differs_by():
    first = [Timing(low, low, low, 1) for low in (0.001, 1.0, 2.0, 4.0)]
    second = [Timing(low, low, low, 1) for low in (0.002, 1.0, 2.2, 4.4)]
    relative, milliseconds = noise_floor(first, second)
    assert relative == pytest.approx(0.2 / 2.1)
    assert milliseconds == pytest.approx((0.001 + 0.2) / 2)
