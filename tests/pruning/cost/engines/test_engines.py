"""Engines run copies where they compute; what the caller handed over stays as and where it was."""

import copy
import warnings

import pytest
import torch
from torch import nn

from gaze.errors import ConfigError
from gaze.geometry import Size
from gaze.models.onnx import export_onnx, parity
from gaze.pruning.cost.engines import ENGINES, Engine
from gaze.pruning.cost.engines.onnxruntime import OnnxRuntime
from gaze.pruning.cost.engines.torch_cpu import TorchCpu
from gaze.pruning.cost.engines.torch_cuda import TorchCuda
from gaze.pruning.cost.fused_operators import find_operators
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.training.photograph import photograph
from tests.models.conftest import small_config

EXAMPLE = photograph(Size(48, 32))
HERE = [name for name in ENGINES if "cuda" not in name or torch.cuda.is_available()]
IMAGE = torch.zeros(1, 32, 48, 3, dtype=torch.uint8)


def live_network(small_kind):
    """A small network that knows its input rule, as an export asks."""
    network = small_kind("mobilenet")
    network.config = small_config()
    return network


def devices(*things) -> set[str]:
    """Of tensors, and of all that modules hold."""
    held = [list(x.state_dict().values()) if isinstance(x, nn.Module) else [x] for x in things]
    return {tensor.device.type for tensors in held for tensor in tensors}


def test_an_engine_is_a_name_and_a_wrong_name_lists_them():
    assert {name: ENGINES[name] for name in ENGINES} == {
        "onnxruntime": OnnxRuntime,
        "torch-cpu": TorchCpu,
        "torch-cuda": TorchCuda,
    }
    assert all(ENGINES[name].name == name for name in ENGINES)
    with pytest.raises(ConfigError, match="engine: expected one of onnxruntime, torch-cpu, torch-cuda, got 'tensorrt'"):
        ENGINES.get("tensorrt", "engine")


@pytest.mark.parametrize("name", HERE)
def test_an_engine_without_threads_is_one_clear_line(name):
    with pytest.raises(ConfigError, match="threads: expected at least 1, got 0"):
        ENGINES[name](0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_missing_graphics_card_is_one_clear_line():
    with pytest.raises(ConfigError, match="engine=torch-cuda: torch finds no CUDA device here"):
        TorchCuda(1)


@pytest.mark.parametrize("name", HERE)
def test_every_engine_runs_a_network_and_its_operators(small_kind, name):
    network, engine = live_network(small_kind), ENGINES[name](1)
    engine.load_network(network, EXAMPLE)()
    for operator in find_operators(network, EXAMPLE):
        reads = operator.inputs[0].fixed or 8 * len(operator.inputs)
        module, inputs = operator.builder.build(reads, (operator.writes.fixed or 8) if operator.dense else reads)
        engine.load(module, *inputs)()
        timing = engine.operator_time(module, inputs, budget=0, rounds=2)
        assert 0 <= timing.low <= timing.median <= timing.high


@pytest.fixture(params=[TorchCpu, TorchCuda], ids=lambda engine: engine.name)
def elsewhere(request, monkeypatch) -> Engine:
    """An engine that computes on `meta`: torch tells shapes there, and no GPU is asked for."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", lambda: None)
    monkeypatch.setattr(request.param, "device", "meta")
    return request.param(1)


def test_the_copy_goes_to_the_engine_and_the_caller_s_network_stays(small_kind, elsewhere):
    network, seen = small_kind("mobilenet").train(), []
    network.backbone.register_forward_pre_hook(lambda layer, inputs: seen.append(devices(layer, *inputs)))
    before = copy.deepcopy(network.state_dict())
    elsewhere.load_network(network, EXAMPLE)()
    assert seen == [{"meta"}]
    assert devices(network) == {"cpu"}
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_so_does_that_of_a_fused_operator(small_kind, elsewhere):
    for operator in find_operators(small_kind("mobilenet"), EXAMPLE):
        module, inputs = operator.builder.build(operator.inputs[0].fixed or 8, operator.writes.fixed or 8)
        elsewhere.operator_time(module, inputs, budget=0, rounds=1)
        assert devices(module, *inputs) == {"cpu"}


class Exported(Exception):
    """In place of an export."""


@pytest.fixture
def export(monkeypatch):
    """Keeps the devices of the copy and of its example, where torch would export them."""
    seen = []

    def export(module, inputs, *args, **kwargs):
        seen.append(devices(module, *inputs))
        raise Exported

    monkeypatch.setattr("torch.onnx.export", export)
    monkeypatch.setattr("gaze.models.onnx.DEVICE", "meta")
    monkeypatch.setattr("gaze.models.onnx.needed_reach", lambda kernel: 3)  # a number, which meta has none of
    monkeypatch.setattr(OnnxRuntime, "device", "meta")
    return seen


def test_an_exported_copy_and_its_example_share_the_exporter_s_device(small_kind, export, tmp_path):
    network, engine = live_network(small_kind), OnnxRuntime(1)
    pool = next(operator for operator in find_operators(network, EXAMPLE) if not operator.dense)
    module, inputs = pool.builder.build(8, 8)
    for way in (
        lambda: export_onnx(network, tmp_path / "network.onnx"),
        lambda: engine.load_network(network, EXAMPLE),
        lambda: Stopwatch(network, EXAMPLE, engine, rounds=1, relative=False),
        lambda: engine.load(module, *inputs),
        lambda: engine.operator_time(module, inputs, budget=0, rounds=1),
    ):
        with pytest.raises(Exported):
            way()
        assert export.pop() == {"meta"}
        assert devices(network, module, *inputs) == {"cpu"}


def test_operators_are_built_on_one_device_wherever_the_network_is(small_kind, monkeypatch):
    network = small_kind("mobilenet")
    monkeypatch.setattr("gaze.pruning.cost.fused_operators.DEVICE", "meta")
    assert devices(*(operator.builder.root for operator in find_operators(network, EXAMPLE))) == {"meta"}
    assert devices(network) == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", list(ENGINES))
def test_a_network_on_a_graphics_card_is_measured_and_exported_from_there(small_kind, name, tmp_path):
    network, engine = live_network(small_kind).cuda(), ENGINES[name](1)
    stopwatch = Stopwatch(network, EXAMPLE, engine, rounds=3, relative=True)
    assert stopwatch(network) > 0
    for operator in find_operators(network, EXAMPLE):
        module, inputs = operator.builder.build(operator.inputs[0].fixed or 8, operator.writes.fixed or 8)
        assert engine.operator_time(module, inputs, budget=0, rounds=2).low >= 0
    export_onnx(network, tmp_path / "network.onnx")
    assert parity(network.eval(), tmp_path / "network.onnx", [IMAGE[0].numpy()]) < 1e-4
    assert devices(network) == {"cuda"}


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("broken")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_torch_runs_with_the_engine_s_threads_and_the_caller_s_come_back():
    seen = []

    class Watches(nn.Module):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return x

    TorchCpu(2).load(Watches(), IMAGE)()
    assert seen == [2]
    assert torch.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="broken"):
        TorchCpu(2).load(Fails(), IMAGE)()
    assert torch.get_num_threads() == 3


def test_exports_leave_the_warning_filters_alone(small_kind, monkeypatch, tmp_path):
    filters, seen, network = warnings.filters, [], live_network(small_kind)

    def export(*args, **kwargs):
        seen.append(warnings.filters is filters)
        raise Exported

    monkeypatch.setattr("torch.onnx.export", export)
    for way in (lambda: export_onnx(network, tmp_path / "network.onnx"), lambda: OnnxRuntime(1).load(network, IMAGE)):
        with pytest.raises(Exported):
            way()
    assert seen == [True, True]
