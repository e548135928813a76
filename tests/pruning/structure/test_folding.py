"""Gates between 0 and 1, and zeros: the gated network, the folded and cut one, and its export say the same."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gaze.models.onnx import export_onnx, parity
from gaze.pruning import find_groups, grow, remove
from gaze.pruning.methods.learnt_gates import LearntGates
from gaze.pruning.structure.folding import fold
from gaze.pruning.structure.gates import Multipliers
from gaze.pruning.structure.growth import growable
from gaze.pruning.structure.hard_concrete import HardConcrete
from tests.pruning.structure.test_graphs import FREE, FREE_ROWS, Graph, image
from tests.pruning.structure.test_growth import drawn


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


def layers(*between: nn.Module) -> nn.Module:
    """A convolution of four maps, BatchNorm and ReLU, what is `between`, two maps in the end; every number matters."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), *between).double()
    for values in (v for m in network if isinstance(m, nn.BatchNorm2d) for v in (m.weight, m.bias, m.running_mean)):
        nn.init.uniform_(values, 0.2, 1.2)
    return network.eval()


GRAPHS = {
    **{name: lambda case=case: Graph(*case[:2]) for name, case in FREE.items()},
    **{f"rows: {name}": lambda case=case: Graph(*case[:2], linear=True) for name, case in FREE_ROWS.items()},
    "depthwise": lambda: layers(nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 2, 1)),
    "depthwise by depthwise": lambda: layers(*(nn.Conv2d(4, 4, 3, 2, groups=4) for _ in "12"), nn.Conv2d(4, 2, 1)),
    "depthwise, two of each": lambda: layers(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 2, 1)),
    "in groups": lambda: layers(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1, groups=2), nn.ReLU(), nn.Conv2d(8, 2, 1)),
    "flattened behind depthwise": lambda: layers(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Flatten(),
                                                 nn.Linear(4 * 36, 6), nn.ReLU(), nn.Linear(6, 2)),
    "flattened where one position is left": lambda: layers(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
}  # fmt: skip


@pytest.mark.parametrize("left", ["some", "one", "none"])
@pytest.mark.parametrize("case", GRAPHS)
@torch.no_grad()
def test_in_whatever_graph_down_to_a_single_map_and_up_again(case, left):
    """Of each group some maps, one, or none but that which a layer must have."""
    network, x = GRAPHS[case](), image()
    gates = learnt(network)
    for place in gates.places.values() if left != "some" else ():
        gates.log_alpha[place] = torch.tensor([0.3 if left == "one" else -9.0] + [-9.0] * (len(place) - 1))
    whole, hooks = network(x), gate(network, gates)
    gated = network(x)
    hooks.detach()
    assert torch.equal(gated, whole) == (not gates.places)
    cut(network, gates)
    torch.testing.assert_close(network(x), gated, rtol=0, atol=1e-9)
    assert {group.name: group.maps for group in find_groups(network)} == {k: n for k, n in gates.maps.items() if n > 1}
    assert left == "some" or find_groups(network) == []
    joining = {group.name for group in find_groups(network, least=1) if growable(network, group)}
    grow(network, {name: maps for name, maps in drawn(network, "fan_in").items() if name in joining})
    torch.testing.assert_close(network(x), gated, rtol=0, atol=1e-9)
    assert joining <= {group.name for group in find_groups(network)}


@torch.no_grad()
def test_examples_have_gates_of_their_own_along_whatever_dimension():
    for case in ("relu in place", "rows: flattened and normalised", "rows: the last of many dimensions"):
        network, x = GRAPHS[case](), image()
        rows = torch.rand(len(x), 4, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
        (group,) = find_groups(network)
        found = []
        for each, values in ((x, rows), (x[:1], rows[:1]), (x[1:], rows[1:])):
            hooks = Multipliers(network, [group], {group.name: torch.arange(4)}, lambda values=values: values)
            found.append(network(each))
            hooks.detach()
        torch.testing.assert_close(torch.cat(found[1:]), found[0], rtol=0, atol=1e-12, msg=case)
