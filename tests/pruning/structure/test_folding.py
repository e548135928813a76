"""Gates between 0 and 1, and zeros: the gated network, the folded and cut one, and its export say the same."""

import copy

import numpy as np
import pytest
import torch

from gaze.models.onnx import export_onnx, parity
from gaze.pruning import find_groups, remove
from gaze.pruning.methods.learnt_gates import LearntGates
from gaze.pruning.structure.folding import fold
from gaze.pruning.structure.gates import Multipliers
from gaze.pruning.structure.hard_concrete import HardConcrete


def learnt(network, seed=0, spread=3.0) -> LearntGates:
    """Gates of which some are closed, some open and some between."""
    gates = LearntGates(
        HardConcrete(2 / 3, -0.1, 1.1), {group.name: group.maps for group in find_groups(network)}, set(), 0.0
    )
    gates.log_alpha.data = spread * torch.randn(gates.log_alpha.shape, generator=torch.Generator().manual_seed(seed))
    return gates


def gate(network, gates: LearntGates) -> Multipliers:
    return Multipliers(network, find_groups(network), gates.places, gates.at_test_time)


def cut(network, gates: LearntGates, multiple: int = 1) -> None:
    """Makes the gates part of the network for good."""
    fold(network, find_groups(network), gates.by_group())
    removed = remove(network, gates.leaving(multiple))
    gates.keep(removed.maps)


def features(network, images) -> torch.Tensor:
    """What backbone and readout say, in whatever precision the network has."""
    return network.readout(network.backbone(images))


def check(network, images) -> None:
    gates, precise = learnt(network), copy.deepcopy(network).double()
    values = gates.at_test_time()
    assert all(((values == 0).any(), (values == 1).any(), ((values > 0) & (values < 1)).any()))
    whole, whole_precise = network(images), features(precise, images)
    for each in (network, precise):
        gate(each, gates)
    gated, gated_precise = network(images), features(precise, images)
    assert (gated - whole).abs().max() > 1e-2
    assert (gated_precise - whole_precise).abs().max() > 1e-2
    for each in (network, precise):
        for module in each.modules():
            module._forward_pre_hooks.clear()
        cut(each, copy.deepcopy(gates) if each is network else gates)
    torch.testing.assert_close(network(images), gated, rtol=0, atol=1e-4)
    torch.testing.assert_close(features(precise, images), gated_precise, rtol=1e-9, atol=1e-9)
    assert {group.name: group.maps for group in find_groups(network)} == {k: n for k, n in gates.maps.items() if n > 1}


@torch.no_grad()
def test_the_gated_network_is_the_one_that_is_cut_and_exported(architecture, images, tmp_path):
    check(architecture, images)
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    export_onnx(architecture, tmp_path / "cut.onnx")
    assert parity(architecture, tmp_path / "cut.onnx", [photo]) < 1e-4


@pytest.mark.parametrize("reduce", [4, None])
@pytest.mark.parametrize("kind", ["vgg", "vgg_bn", "densenet", "lcnet", "mobilenet", "cut short"])
@torch.no_grad()
def test_also_in_small_networks_with_taps_joined_and_reduced(small_kind, kind, reduce, images):
    check(small_kind(kind, reduce), images)


@torch.no_grad()
def test_closed_maps_that_fill_a_multiple_stay_as_zeros(small_kind, images):
    network = small_kind("vgg")
    gates = learnt(network)
    before = gates.maps
    open_ = {name: int((values > 0).sum()) for name, values in gates.by_group().items()}
    hooks = gate(network, gates)
    gated = network(images)
    hooks.detach()
    cut(network, gates, multiple=4)
    assert gates.maps == {name: min(before[name], -(-max(1, n) // 4) * 4) for name, n in open_.items()}
    torch.testing.assert_close(network(images), gated, rtol=0, atol=1e-4)


def test_examples_have_gates_of_their_own_and_gradients_flow_into_them(small_kind, images):
    network = small_kind("vgg").eval()
    gates = learnt(network)
    rows = torch.rand(4, len(gates.log_alpha), generator=torch.Generator().manual_seed(1)).requires_grad_()
    hooks = Multipliers(network, find_groups(network), gates.places, lambda: rows)
    together = network(images)
    together.square().sum().backward()
    found, rows.grad = rows.grad, None
    hooks.detach()
    for k in range(4):
        hooks = Multipliers(network, find_groups(network), gates.places, lambda k=k: rows[k : k + 1])
        torch.testing.assert_close(network(images[k : k + 1]), together[k : k + 1], rtol=0, atol=1e-5)
        hooks.detach()
    assert found.abs().sum(1).gt(0).all()
    with torch.no_grad():
        step = torch.zeros_like(rows)
        step[2] = 1e-2 * found[2] / found[2].norm()
        totals = []
        for sign in (1, -1):
            hooks = Multipliers(network, find_groups(network), gates.places, lambda s=sign: rows + s * step)
            totals.append(float(network(images).double().square().sum()))
            hooks.detach()
    assert (totals[0] - totals[1]) / 2e-2 == pytest.approx(float(found[2].norm()), rel=2e-2)


@torch.no_grad()
def test_a_copy_takes_the_same_factors_and_groups_that_are_not_named_stay(small_kind, images):
    network = small_kind("vgg")
    averaged, first = copy.deepcopy(network), find_groups(network)[0]
    whole = copy.deepcopy(network)
    folding = fold(network, find_groups(network), {first.name: torch.linspace(0.1, 0.9, first.maps)})
    folding.apply(averaged)
    assert torch.equal(averaged(images), network(images))
    changed = {n for n, p in network.named_parameters() if not torch.equal(p, whole.get_parameter(n))}
    assert changed == {f"{member.layer}.weight" for member in first.consumers}
