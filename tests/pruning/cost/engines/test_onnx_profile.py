"""Whose steps a profile counts."""

import numpy as np
import pytest

from gaze.geometry import Size
from gaze.pruning.cost.engines.onnx_profile import _uninterrupted
from gaze.pruning.cost.engines.onnxruntime import OnnxRuntime
from gaze.pruning.cost.fused_operators import find_operators
from gaze.training.photograph import photograph


def test_what_the_processor_did_for_others_is_taken_out():
    spans = np.array([[5.0, 5.0], [9.0, 5.1], [9.0, 5.1]])  # wall and processor time: one run is free of interruption
    counted, others = np.array([3.5, 7.6, 3.6]), np.array([1.0, 1.0, 5.0])  # interrupted within the operator, beside it
    assert _uninterrupted(counted, others, spans) == pytest.approx([3.5, 5.1 - 1.0 - 0.4, 3.6])


def test_an_operator_is_timed_without_the_layers_around_it(small_kind):
    operators = {
        operator.name: operator for operator in find_operators(small_kind("densenet"), photograph(Size(320, 240)))
    }
    pool = operators["backbone.features.features_transition1.pool"]  # cheaper than the convolutions around it
    module, inputs = pool.builder.build(64, 64)
    engine = OnnxRuntime(1)
    within = engine.operator_time(module, inputs, budget=0, rounds=20)
    module.alone = True
    assert within.rounds >= 20
    assert within.low > 0
    assert engine.operator_time(module, inputs, budget=0, rounds=20).low > 0
