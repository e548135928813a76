"""Removal takes what was asked and nothing else, and training goes on as if nothing had happened."""

import copy

import pytest
import torch
from torch import nn

from gaze.errors import ModelError
from gaze.models.widths import set_widths, widths
from gaze.pruning import Gates, OptimizerFollower, apply, find_groups, remove
from gaze.pruning.structure import surgery as module
from gaze.pruning.structure.surgery import keep_random


def some(network, seed=0) -> dict[str, list[int]]:
    """About a third of the maps of every group, at least one."""
    generator = torch.Generator().manual_seed(seed)
    return {
        group.name: torch.randperm(group.maps, generator=generator)[: max(1, group.maps // 3)].tolist()
        for group in find_groups(network)
    }


def loss(network, images) -> torch.Tensor:
    """Of backbone and readout, in whatever precision the network has."""
    return network.readout(network.backbone(images)).tanh().square().mean()


def test_takes_exactly_the_maps_that_were_asked(small):
    before = {group.name: group.maps for group in find_groups(small)}
    gone = some(small)
    weights = {n: p.clone() for n, p in small.named_parameters()}
    cut = remove(small, gone)
    after = {group.name: group.maps for group in find_groups(small)}
    assert after == {name: count - len(gone[name]) for name, count in before.items() if count - len(gone[name]) > 1}
    assert {name: len(maps) for name, maps in cut.maps.items()} == {n: before[n] - len(gone[n]) for n in before}
    first = find_groups(small)[0].name
    stayed = [k for k in range(before[first]) if k not in gone[first]]
    assert torch.equal(small.get_submodule(first).weight, weights[f"{first}.weight"][stayed])


def test_one_group_leaves_the_others_alone(small):
    shapes = {n: p.shape for n, p in small.named_parameters()}
    group = find_groups(small)[1]
    remove(small, {group.name: [0]})
    touched = {member.layer for member in group.producers + group.norms + group.consumers}
    changed = {n.rpartition(".")[0] for n, p in small.named_parameters() if p.shape != shapes[n]}
    assert changed == touched


def test_random_maps_stay_by_the_seed_as_many_as_are_asked_for(small):
    counts = {group.name: 1 + group.maps // 2 for group in find_groups(small)}
    cuts = [keep_random(copy.deepcopy(small), counts, seed).maps for seed in (1, 1, 2)]
    assert {name: len(maps) for name, maps in cuts[0].items()} == counts
    same, other = [[torch.equal(cuts[0][name], cut[name]) for name in counts] for cut in cuts[1:]]
    assert all(same)
    assert not all(other)
    name = next(iter(counts))
    with pytest.raises(ModelError, match=f"group {name}: expected 1 to .* maps to stay, got 999"):
        keep_random(small, {name: 999}, 0)


def test_down_to_one_map_and_no_further(small, images):
    remove(small, {group.name: range(1, group.maps) for group in find_groups(small)})
    assert find_groups(small) == []
    assert small(images).exp().sum((1, 2)).allclose(torch.ones(4))


def test_requests_that_cannot_be_met_change_nothing(small_kind):
    network = small_kind("vgg")
    before = widths(network)
    cases = {
        r"all 6 maps were to be removed": {"backbone.features.features_0": range(6)},
        r"has the maps 0 to 5, got \[6\]": {"backbone.features.features_0": [1, 6]},
        r"no group readout.layers.1": {"readout.layers.1": [0]},
    }
    for message, maps in cases.items():
        with pytest.raises(ModelError, match=message):
            remove(network, maps)
    assert widths(network) == before


def test_other_maps_than_were_asked_for_are_an_error(small_kind, monkeypatch):
    real = module._layers
    monkeypatch.setattr(module, "_layers", lambda n, g, stay: real(n, g, {k: v[1:] for k, v in stay.items()}))
    with pytest.raises(ModelError, match=r"removed other maps .*features_3"):
        remove(small_kind("vgg"), {"backbone.features.features_3": [2]})


def test_widths_rebuild_a_pruned_network(small, images, small_kind):
    fresh = copy.deepcopy(small)
    remove(small, some(small))
    remove(small, {find_groups(small)[0].name: [0]})
    set_widths(fresh, widths(small))
    fresh.load_state_dict(small.state_dict())
    assert torch.equal(fresh(images), small(images))
    assert fresh.backbone.channels == small.backbone.channels


def test_a_copy_takes_the_same_cut(small, images):
    averaged = copy.deepcopy(small)
    cut = remove(small, some(small))
    cut.apply(averaged)
    assert torch.equal(averaged(images), small(images))


def test_training_goes_on_as_if_the_maps_had_been_closed(small, images):
    """In float64, so that the order of sums does not matter: AdamW divides tiny gradients by their own size."""
    small = small.double()
    pruned = copy.deepcopy(small)
    networks = {"closed": small, "pruned": pruned}
    optimizers = {k: torch.optim.AdamW(n.parameters(), lr=1e-3, weight_decay=0.1) for k, n in networks.items()}
    gone = some(small)
    gates = {key: Gates(network, find_groups(network)) for key, network in networks.items()}
    for of_network in gates.values():
        for name, maps in gone.items():
            of_network.close(name, maps)

    def step(key: str) -> None:
        optimizers[key].zero_grad()
        loss(networks[key], images).backward()
        optimizers[key].step()

    for key in ("closed", "pruned", "closed", "pruned"):
        step(key)
    gates["pruned"].detach()
    cut = remove(pruned, gone)
    OptimizerFollower(optimizers["pruned"]).follow(cut)
    assert {p for g in optimizers["pruned"].param_groups for p in g["params"]} == set(pruned.parameters())
    before = [p.clone() for p in pruned.parameters()]
    for key in ("closed", "pruned", "closed", "pruned"):
        step(key)
    gates["closed"].detach()
    apply(small, cut.layers)
    for name, parameter in pruned.named_parameters():
        torch.testing.assert_close(parameter, small.get_parameter(name), rtol=1e-9, atol=1e-9, msg=name)
    moved = [not torch.equal(p, old) for p, old in zip(pruned.parameters(), before, strict=True)]
    assert sum(moved) > 0.8 * len(moved)


def test_an_optimiser_without_state_follows_too(small_kind, images):
    network = small_kind("vgg")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    OptimizerFollower(optimizer).follow(remove(network, some(network)))
    old = network.readout.layers[-1].weight.clone()
    loss(network, images).backward()
    optimizer.step()
    assert not torch.equal(network.readout.layers[-1].weight, old)
    assert not any(isinstance(m, nn.Conv2d) and len(m.weight) != m.out_channels for m in network.modules())
