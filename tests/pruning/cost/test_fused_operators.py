"""Operators of networks: their widths before and after surgery, and each of them on its own."""

import pytest
import torch
from timm.layers import Conv2dSame

from gaze.geometry import Size
from gaze.models import build_network
from gaze.pruning import find_groups, remove
from gaze.pruning.cost.fused_operators import Width, find_operators
from tests.models.conftest import small_config

SIZE = Size(48, 32)


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
    operators = {operator.name: operator for operator in find_operators(small, SIZE)}
    convolutions = {n: m for n, m in layers.items() if isinstance(m, torch.nn.Conv2d)}
    assert convolutions.keys() <= operators.keys()
    for name, layer in convolutions.items():
        assert operators[name].inputs[0].at(maps) == layer.in_channels
        assert operators[name].writes.at(maps) == layer.out_channels
        assert operators[name].dense == (layer.groups == 1)


def test_surgery_leaves_the_operators_as_they_were_but_narrower(small):
    before = find_operators(small, SIZE)
    maps = maps_of(small)
    gone = some(maps)
    remove(small, gone)
    after = find_operators(small, SIZE)
    left = maps_of(small)
    assert all(left.get(name, 1) == maps[name] - len(gone.get(name, ())) for name in maps)
    assert [(u.name, u.kind, u.rows, u.columns) for u in before] == [(u.name, u.kind, u.rows, u.columns) for u in after]
    for old, new in zip(before, after, strict=True):
        assert [w.at(left) for w in old.inputs] == [w.at(left) for w in new.inputs]
        assert old.writes.at(left) == new.writes.at(left)


def test_each_operator_can_be_built_at_other_widths(small):
    maps = maps_of(small)
    for operator in find_operators(small, SIZE):
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
    operators = find_operators(small_kind("densenet"), SIZE)
    growth = "backbone.features.features_denseblock1.denselayer1.conv2"
    assert [operator.kind.split(" @")[0] for operator in operators if growth in operator.groups] == [
        "conv 3x3/1", "cat bn ReLU", "conv 1x1/1 bn ReLU", "cat", "bn ReLU", "conv 1x1/1", "conv 1x1/1",
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "ends"), [("mobilenet", "bn add"), ("vgg_bn", "bn ReLU")])
def test_what_an_engine_fuses_is_one_operator(small_kind, kind, ends):
    assert any(operator.kind.split(" @")[0].endswith(ends) for operator in find_operators(small_kind(kind), SIZE))


def test_operators_pad_as_the_exported_network_does():
    network = build_network(small_config(name="tf_mobilenetv3_small_minimal_100"))
    kinds = [operator.kind for operator in find_operators(network, Size(64, 48))]
    assert sum("PaddedConv2d" in kind for kind in kinds) == 4
    assert sum("Conv2dSame" in kind for kind in kinds) == 1  # its stride does not divide an odd number of cells
    assert sum(isinstance(layer, Conv2dSame) for layer in network.modules()) == 5
