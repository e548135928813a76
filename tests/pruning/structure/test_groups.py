"""Which maps go together, in every architecture."""

import pytest
import torch
from torch import nn

from gaze.models.backbone import set_activation
from gaze.pruning import Group, Member, find_groups


def by_name(network) -> dict[str, Group]:
    """Groups by their names, without what all backbone layers' names begin with."""
    return {g.name.removeprefix("backbone.features."): g for g in find_groups(network)}


def layers(members: tuple[Member, ...]) -> list[tuple[str, int]]:
    return [(m.layer.removeprefix("backbone.features."), m.offset) for m in members]


def test_a_map_of_a_vgg_is_written_once_and_read_by_the_next_layer_and_its_tap(small_kind):
    groups = by_name(small_kind("vgg_bn"))
    assert [(name, g.maps) for name, g in groups.items()] == [
        ("features_0", 6), ("features_4", 8), ("features_7", 8), ("features_11", 10),
        ("readout.reduce.0", 4), ("readout.reduce.1", 4), ("readout.layers.0", 4),
    ]  # fmt: skip
    group = groups["features_7"]
    assert layers(group.producers) == [("features_7", 0)]
    assert layers(group.norms) == [("features_8", 0)]
    assert layers(group.consumers) == [("features_11", 0), ("readout.reduce.0", 0)]
    assert layers(groups["readout.reduce.1"].consumers) == [("readout.layers.0", 4)]


def test_a_growth_map_of_a_densenet_is_read_by_every_later_layer_each_with_its_own_batch_norm(small_kind):
    groups = by_name(small_kind("densenet"))
    growth = groups["features_denseblock1.denselayer1.conv2"]
    assert growth.maps == 4
    assert layers(growth.norms) == [("features_denseblock1.denselayer2.norm1", 8), ("features_transition1.norm", 8)]
    assert layers(growth.consumers) == [
        ("features_denseblock1.denselayer2.conv1", 8), ("features_transition1.conv", 8), ("readout.reduce.0", 8),
    ]  # fmt: skip
    bottleneck = groups["features_denseblock1.denselayer1.conv1"]
    assert bottleneck.maps == 16
    assert layers(bottleneck.consumers) == [("features_denseblock1.denselayer1.conv2", 0)]


def test_residual_adds_depthwise_layers_and_squeeze_excite_tie_maps(small_kind):
    groups = by_name(small_kind("mobilenet"))
    added = groups["blocks.1.0.conv_pwl"]
    assert layers(added.producers) == [("blocks.1.0.conv_pwl", 0), ("blocks.1.1.conv_pwl", 0)]
    assert layers(added.consumers) == [("blocks.1.1.conv_pw", 0), ("blocks.2.0.conv_pw", 0), ("readout.reduce.0", 0)]
    expanded = groups["blocks.2.0.conv_pw"]
    assert layers(expanded.producers) == [
        ("blocks.2.0.conv_pw", 0), ("blocks.2.0.conv_dw", 0), ("blocks.2.0.se.conv_expand", 0),
    ]  # fmt: skip
    assert layers(expanded.consumers) == [("blocks.2.0.se.conv_reduce", 0), ("blocks.2.0.conv_pwl", 0)]
    assert layers(groups["blocks.2.0.se.conv_reduce"].consumers) == [("blocks.2.0.se.conv_expand", 0)]


def test_relu_in_place_of_smooth_activations_changes_no_group(small):
    before = find_groups(small)
    set_activation(small.backbone, "relu")
    assert find_groups(small) == before


def test_a_map_tapped_before_and_behind_its_activation_is_one_map_read_twice(small_kind):
    network = small_kind("vgg", reduce=None)
    network.backbone.features.return_layers = {"features_5": "a", "features_6": "b", "features_8": "c"}
    network.readout.layers[0] = nn.Conv2d(26, 4, 1)
    group = by_name(network)["features_5"]
    assert layers(group.consumers) == [("features_8", 0), ("readout.layers.0", 0), ("readout.layers.0", 8)]


def test_every_channel_is_in_one_group_but_the_last_map(small):
    written = {}
    for group in find_groups(small):
        for member in group.producers:
            written.setdefault(member.layer, []).extend(range(member.offset, member.offset + group.maps))
    convolutions = {n: m for n, m in small.named_modules() if isinstance(m, nn.Conv2d)}
    assert convolutions.keys() - written.keys() == {"readout.layers.1"}
    assert all(sorted(channels) == list(range(convolutions[n].out_channels)) for n, channels in written.items())


def test_what_the_tracer_does_not_know_pins_its_maps(small_kind):
    network = small_kind("vgg")
    network.backbone.features.features_4 = nn.Softmax(1)  # mixes the maps of features_3
    network.backbone.features.features_6 = nn.PixelShuffle(1)  # would move those of features_5
    assert not {"features_3", "features_5"} & by_name(network).keys()
    grouped = small_kind("vgg")
    grouped.backbone.features.features_5 = nn.Conv2d(8, 8, 3, padding=1, groups=2)
    assert not {"features_3", "features_5"} & by_name(grouped).keys()


class OfPixels(nn.Module):
    """Backbone and readout without the preparation of the image, which DepGraph does not follow."""

    def __init__(self, network):
        super().__init__()
        self.backbone, self.readout = network.backbone.features, network.readout

    def forward(self, pixels):
        return self.readout(self.backbone(pixels))


def in_depgraph(graph, layer, channel, names) -> set[tuple[str, str, int]]:
    """What DepGraph would remove with an output channel of a layer: (layer, side, channel)."""
    depgraph = pytest.importorskip("torch_pruning")
    found = set()
    linear = isinstance(layer, nn.Linear)
    way = depgraph.prune_linear_out_channels if linear else depgraph.prune_conv_out_channels
    for dependency, channels in graph.get_pruning_group(layer, way, idxs=[channel]):
        module = dependency.target.module
        if name := names.get(module):
            mixes = isinstance(module, nn.Linear) or getattr(module, "groups", 2) == 1
            reads = "in_channels" in dependency.handler.__name__ and mixes
            found |= {(name, "in" if reads else "out", int(k)) for k in channels}
    return found


def test_agrees_with_depgraph(architecture):
    assert_agrees_with_depgraph(architecture, OfPixels(architecture), torch.randn(1, 3, 64, 64))


def assert_agrees_with_depgraph(network: nn.Module, run: nn.Module, x: torch.Tensor) -> None:
    """Of each group; `run` is the network as DepGraph can follow it on `x`."""
    depgraph = pytest.importorskip("torch_pruning", reason="torch-pruning, an independent reference, is not installed")
    graph = depgraph.DependencyGraph().build_dependency(run, example_inputs=(x,))
    names = {module: name for name, module in network.named_modules()}
    for group in find_groups(network):
        layer = network.get_submodule(group.name)
        sides = {"out": group.producers + group.norms, "in": group.consumers}
        expected = {
            (m.layer, side, m.offset + m.span + k) for side, ms in sides.items() for m in ms for k in range(m.span)
        }
        assert in_depgraph(graph, layer, 1, names) == expected


GROUPS = {
    "vgg11": 8, "vgg13": 10, "vgg16": 13, "vgg19": 16,
    "vgg11_bn": 8, "vgg13_bn": 10, "vgg16_bn": 13, "vgg19_bn": 16,
    # the stem, two a layer (6, 12, ... of them), one a transition
    "densenet121": 1 + 2 * (6 + 12 + 24) + 2,
    "densenet169": 1 + 2 * (6 + 12 + 32) + 2,
    "densenet201": 1 + 2 * (6 + 12 + 48 + 32) + 3,
    # the stem and one for each of the 13 blocks, depthwise and pointwise; squeeze-excite in the last two
    "lcnet_035": 1 + 13 + 2,
    # MobileOne: the stem and one for each of the 2, 8 and 10 blocks, depthwise and pointwise, of three stages
    "mobileone_s0": 1 + 2 + 8 + 10,
    # EfficientNetV2: the stem, one for each of six stages, and for blocks that expand one, with squeeze-excite two
    "tf_efficientnetv2_b0": 1 + 6 + (2 + 2) + 2 * (3 + 5 + 8),
}  # fmt: skip


def test_full_size_networks_have_the_groups_that_their_papers_say(architecture):
    inside = [group for group in find_groups(architecture) if group.name.startswith("backbone.")]
    assert len(inside) == GROUPS[architecture.config.name]
