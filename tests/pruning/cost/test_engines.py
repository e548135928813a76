"""Engines: that they run what they are given, and whose steps a profile counts."""

import gc

import numpy as np
import pytest
import torch

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.pruning.cost.engines import (
    ENGINES,
    ONNXRUNTIME,
    TORCH_CPU,
    Engine,
    Timing,
    measure,
    network_runner,
    noise_floor,
)
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.onnx_profile import _uninterrupted

SIZE = Size(48, 32)
HERE = [name for name in ENGINES if "cuda" not in name or torch.cuda.is_available()]


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


def test_what_the_processor_did_for_others_is_taken_out():
    spans = np.array([[5.0, 5.0], [9.0, 5.1], [9.0, 5.1]])  # wall and processor time: one run is free of interruption
    counted, others = np.array([3.5, 7.6, 3.6]), np.array([1.0, 1.0, 5.0])  # interrupted within the operator, beside it
    assert _uninterrupted(counted, others, spans) == pytest.approx([3.5, 5.1 - 1.0 - 0.4, 3.6])


@pytest.mark.parametrize(("name", "threads"), [("tensorrt", 1), (TORCH_CPU, 0)])
def test_a_wrong_engine_is_one_clear_line(name, threads):
    with pytest.raises(ConfigError, match=r"engine=tensorrt: expected one of|threads=0: expected at least 1"):
        Engine(name, threads)


@pytest.mark.parametrize("name", HERE)
def test_every_engine_runs_a_network_and_its_operators(small_kind, name):
    network, engine = small_kind("mobilenet"), Engine(name, 1)
    if name != ONNXRUNTIME:  # the export needs the network's own input rule
        network_runner(network, SIZE, engine)()
    for operator in find_operators(network, SIZE):
        reads = operator.inputs[0].fixed or 8 * len(operator.inputs)
        module, inputs = operator.builder.build(reads, (operator.writes.fixed or 8) if operator.dense else reads)
        engine.load(module, *inputs)()
        timing = engine.operator_time(module, inputs, milliseconds=0, rounds=2)
        assert 0 <= timing.low <= timing.median <= timing.high


def test_an_operator_is_timed_without_the_layers_around_it(small_kind):
    operators = {operator.name: operator for operator in find_operators(small_kind("densenet"), Size(320, 240))}
    operator = operators[
        "backbone.features.features_transition1.pool"
    ]  # cheaper than the convolutions before and beside it
    module, inputs = operator.builder.build(64, 64)
    engine = Engine(ONNXRUNTIME, 1)
    alone = engine.operator_time(module, inputs, milliseconds=0, rounds=20)
    module.alone = True
    assert alone.rounds >= 20
    assert alone.low > 0
    assert engine.operator_time(module, inputs, milliseconds=0, rounds=20).low > 0
