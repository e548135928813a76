"""Operators of networks: their widths before and after surgery, and each of them on its own."""

from collections import Counter

import onnx
import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from gaze.geometry import Size
from gaze.models import build_network
from gaze.models.config import InputConfig
from gaze.models.onnx import export_onnx
from gaze.pruning import find_groups, remove
from gaze.pruning.cost.engines.onnx_profile import exported
from gaze.pruning.cost.fused_operators import Width, find_operators
from gaze.training.photograph import photograph
from tests.models.conftest import small_config
from tests.pruning.conftest import live

EXAMPLE = photograph(Size(48, 32))


def maps_of(network) -> dict[str, int]:
    return {group.name: group.maps for group in find_groups(network)}


def some(maps: dict[str, int]) -> dict[str, list[int]]:
    """Maps to remove: of every other group about a third, of the last all but one."""
    *others, last = maps
    return {last: range(1, maps[last])} | {name: range(0, maps[name] - 1, 3) for name in others[::2]}


def test_a_width_is_affine_in_the_maps_of_groups_and_a_group_that_is_gone_has_one():
    assert Width(3, (("a", 2), ("b", 1))).at({"a": 5}) == 3 + 2 * 5 + 1


def test_widths_are_those_that_the_layers_have(small):
    layers, maps = dict(small.named_modules()), maps_of(small)
    operators = {operator.name: operator for operator in find_operators(small, EXAMPLE)}
    convolutions = {n: m for n, m in layers.items() if isinstance(m, torch.nn.Conv2d)}
    assert convolutions.keys() <= operators.keys()
    for name, layer in convolutions.items():
        assert operators[name].inputs[0].at(maps) == layer.in_channels
        assert operators[name].writes.at(maps) == layer.out_channels
        assert operators[name].dense == (layer.groups == 1)


def test_surgery_leaves_the_operators_as_they_were_but_narrower(small):
    before = find_operators(small, EXAMPLE)
    maps = maps_of(small)
    gone = some(maps)
    remove(small, gone)
    after = find_operators(small, EXAMPLE)
    left = maps_of(small)
    assert all(left.get(name, 1) == maps[name] - len(gone.get(name, ())) for name in maps)
    assert [(u.name, u.kind, u.rows, u.columns) for u in before] == [(u.name, u.kind, u.rows, u.columns) for u in after]
    for old, new in zip(before, after, strict=True):
        assert [w.at(left) for w in old.inputs] == [w.at(left) for w in new.inputs]
        assert old.writes.at(left) == new.writes.at(left)


def test_each_operator_can_be_built_at_other_widths(small):
    maps = maps_of(small)
    for operator in find_operators(small, EXAMPLE):
        reads, writes = operator.reads.at(maps), operator.writes.at(maps)
        if operator.reads.groups:
            reads += 2
        if operator.writes.groups:
            writes = writes + 3 if operator.dense else reads
        module, inputs = operator.builder.build(reads, writes)
        leaving = module(*inputs)
        assert leaving.shape[1] == writes or leaving.ndim == 3
        assert operator.rows * operator.columns in (
            leaving[0, 0].numel(),
            leaving[0].numel(),
            inputs[0][0].numel() // 3,
        )


def test_a_growth_map_of_a_densenet_enters_many_operators(small_kind):
    operators = find_operators(small_kind("densenet"), EXAMPLE)
    growth = "backbone.features.features_denseblock1.denselayer1.conv2"
    assert [operator.kind.split(" @")[0] for operator in operators if growth in operator.groups] == [
        "conv 3x3/1",
        "cat bn ReLU",
        "conv 1x1/1 bn ReLU",
        "cat",
        "bn ReLU",
        "conv 1x1/1",
        "conv 1x1/1",
    ]


@pytest.mark.parametrize(("kind", "ends"), [("mobilenet", "bn add"), ("vgg_bn", "bn ReLU")])
def test_what_an_engine_fuses_is_one_operator(small_kind, kind, ends):
    assert any(operator.kind.split(" @")[0].endswith(ends) for operator in find_operators(small_kind(kind), EXAMPLE))


def padding(content: bytes, room: str = "") -> Counter:
    """The steps of an ONNX graph that pad, and the convolutions with how they stride and pad."""
    nodes = [node for node in onnx.load_from_string(content).graph.node if room in node.name]
    steps = [node.op_type for node in nodes if node.op_type in ("Pad", "Shape", "Mod")]
    sides = [{a.name: tuple(a.ints) for a in node.attribute} for node in nodes if node.op_type == "Conv"]
    return Counter(steps) + Counter((s["kernel_shape"], s["strides"], s["pads"]) for s in sides)


@pytest.mark.parametrize(("multiple", "sliced"), [(16, 1), (24, 2), (32, 0)])
def test_what_is_timed_is_what_is_exported(multiple, sliced, tmp_path):
    """TensorFlow's padding has three forms in an export: written into the convolution, sliced, computed from sizes."""
    config = small_config(name="tf_mobilenetv3_small_minimal_100")
    config.input = InputConfig(320, multiple)
    network = live(build_network(config))
    export_onnx(network, tmp_path / "network.onnx")
    operators = [
        operator
        for operator in find_operators(network, photograph(Size(4 * multiple, 3 * multiple)))
        if operator.name.startswith("backbone")
    ]
    timed, maps = Counter(), maps_of(network)
    for operator in operators:
        module, inputs = operator.builder.build(operator.reads.at(maps), operator.writes.at(maps))
        timed += padding(exported(module, inputs))
    assert timed == padding((tmp_path / "network.onnx").read_bytes(), "/backbone")
    assert timed["Mod"] == sliced
    assert sum("SlicedConv2d" in operator.kind for operator in operators) == sliced
    assert sum(isinstance(layer, Conv2dSame) for layer in network.modules()) == 5


def test_convolutions_that_take_different_times_are_of_different_kinds():
    forms = [{}, {"dilation": 2}, {"stride": 2}, {"kernel_size": 1}, {"groups": 2}, {"groups": 4}]
    layers = [nn.Conv2d(3, 4, 1), *(nn.Conv2d(4, 4, **{"kernel_size": 3, "padding": 8} | form) for form in forms)]
    kinds = set()
    for layer in layers[1:]:
        network = Chain(layers[0], layer)
        kinds.add(find_operators(network, EXAMPLE)[-1].kind.split(" @")[0])
    assert len(kinds) == len(forms)


class Chain(nn.Module):
    """Images through some layers."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images):
        return self.layers(images.permute(0, 3, 1, 2).float())
