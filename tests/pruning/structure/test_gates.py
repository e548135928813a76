"""A closed gate and a removed map are the same to the output, in every architecture."""

import pytest
import torch

from gaze.errors import ModelError
from gaze.pruning import Gates, find_groups, remove


def thirds(groups, seed=0) -> dict[str, list[int]]:
    """About a third of the maps of every group, at least one."""
    generator = torch.Generator().manual_seed(seed)
    return {g.name: torch.randperm(g.maps, generator=generator)[: max(1, g.maps // 3)].tolist() for g in groups}


def check(network, images) -> None:
    groups, whole = find_groups(network), network(images)
    gates = Gates(network, groups)
    torch.testing.assert_close(network(images), whole, rtol=0, atol=0)
    for name, maps in thirds(groups).items():
        gates.close(name, maps)
    zeroed = network(images)
    assert (zeroed - whole).abs().max() > 1e-2
    remove(network, gates.closed())
    gates.reset(find_groups(network))
    torch.testing.assert_close(network(images), zeroed, rtol=0, atol=1e-5)
    gates.detach()
    torch.testing.assert_close(network(images), zeroed, rtol=0, atol=1e-5)


@torch.no_grad()
def test_zeroed_and_removed_maps_give_the_same_output(architecture, images):
    check(architecture, images)


@pytest.mark.parametrize("reduce", [4, None])
@pytest.mark.parametrize("kind", ["vgg", "vgg_bn", "densenet", "lcnet", "mobilenet", "cut short"])
@torch.no_grad()
def test_also_in_small_networks_with_taps_joined_and_reduced(small_kind, kind, reduce, images):
    check(small_kind(kind, reduce), images)


@torch.no_grad()
def test_each_group_counts_by_itself(small, images):
    """One map of one group at a time: no group leans on another one's gate."""
    whole, groups = small(images), find_groups(small)
    moved = 0
    for group in groups:
        gates = Gates(small, groups)
        gates.close(group.name, [0])
        moved += not torch.equal(small(images), whole)
        gates.detach()
    assert moved > 0.8 * len(groups)
    assert torch.equal(small(images), whole)


def test_says_what_is_closed_and_keeps_one_map_open(small_kind):
    network = small_kind("vgg")
    gates = Gates(network, find_groups(network))
    assert gates.closed() == {}
    gates.close("backbone.features.features_3", [5, 1])
    gates.close("backbone.features.features_3", [2])
    assert gates.closed() == {"backbone.features.features_3": [1, 2, 5]}
    with pytest.raises(ModelError, match="expected at least one to stay open"):
        gates.close("backbone.features.features_3", range(8))
    assert gates.closed() == {"backbone.features.features_3": [1, 2, 5]}


def test_gradients_do_not_pass_a_closed_gate(small_kind, images):
    network = small_kind("vgg")
    gates = Gates(network, find_groups(network))
    gates.close("backbone.features.features_0", [4])
    network(images).square().mean().backward()
    gradient = network.get_parameter("backbone.features.features_0.weight").grad
    assert not gradient[4].any()
    assert gradient[3].any()
