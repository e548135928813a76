"""Maps join a network, which goes on as it was, and so does its training."""

import copy

import pytest
import torch
from torch import nn

from gaze.errors import ModelError
from gaze.models.widths import set_widths, widths
from gaze.pruning import Joining, OptimizerFollower, find_groups, grow, remove
from gaze.pruning.structure import growth as module
from tests.pruning.structure.test_graphs import FREE, Graph
from tests.pruning.structure.test_surgery import loss, some


def dense(network, member) -> bool:
    return isinstance(layer := network.get_submodule(member.layer), nn.Conv2d) and layer.groups == 1


def drawn(network, side: str, seed=0) -> dict[str, Joining]:
    """One to three maps for every group, with random weights on one side."""
    generator = torch.Generator().manual_seed(seed)
    joining = {}
    for number, group in enumerate(find_groups(network, least=1)):
        count, weights = 1 + number % 3, {}
        for member in group.producers if side == "fan_in" else group.consumers:
            if dense(network, member):
                weight = network.get_submodule(member.layer).weight
                writes, reads, *kernel = weight.shape
                shape = [count, reads, *kernel] if side == "fan_in" else [writes, count, *kernel]
                weights[member] = torch.randn(shape, generator=generator).to(weight)
        joining[group.name] = Joining(count, **{side: weights})
    return joining


def output(network, images) -> torch.Tensor:
    """Of backbone and readout, in whatever precision the network has."""
    return network.readout(network.backbone(images)).detach()


def counts(network) -> dict[str, int]:
    return {group.name: group.maps for group in find_groups(network, least=1)}


def test_the_output_is_the_same_with_fan_out_zero(small, images):
    small = small.double()
    before, had, joining = output(small, images), counts(small), drawn(small, "fan_in")
    grow(small, joining)
    assert counts(small) == {name: maps + joining[name].count for name, maps in had.items()}
    torch.testing.assert_close(output(small, images), before, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", FREE)
def test_the_output_is_the_same_in_whatever_graph(name):
    compute, reads, groups = FREE[name]
    network, images = Graph(compute, reads), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    before = network(images)
    joining = drawn(network, "fan_in")
    grow(network, joining)
    assert list(joining) == groups
    torch.testing.assert_close(network(images), before, rtol=0, atol=1e-9)


def test_the_output_is_the_same_with_fan_in_zero_where_zero_stays_zero(small_kind, images):
    network = small_kind("vgg").double()
    before, joining = output(network, images), drawn(network, "fan_out")
    grow(network, joining)
    torch.testing.assert_close(output(network, images), before, rtol=0, atol=1e-9)


def test_maps_that_joined_are_written_and_read(small, images):
    """What the weights on the other side become makes a difference at once, for every third group."""
    small = small.double()
    for group in find_groups(small, least=1)[::3]:
        grown, one = copy.deepcopy(small), drawn(small, "fan_in")[group.name]
        rows = {member: torch.cat([rows, -rows]) for member, rows in one.fan_in.items()}  # a ReLU lets one through
        grow(grown, {group.name: Joining(2 * one.count, rows)})
        before = output(grown, images)
        new = next(found for found in find_groups(grown) if found.name == group.name)
        rising = torch.arange(1.0, 2 * one.count + 1)[:, None, None]
        for member in new.consumers:
            weight, first = grown.get_submodule(member.layer).weight, member.offset + group.maps
            with torch.no_grad():
                weight[:, first : first + 2 * one.count] += rising
        assert (output(grown, images) - before).abs().max() > 1e-9, group.name


def test_a_group_that_is_down_to_one_map_grows_again(small, images):
    remove(small, {group.name: range(1, group.maps) for group in find_groups(small)})
    before, joining = small(images), drawn(small, "fan_in")
    assert find_groups(small) == []
    grow(small, joining)
    torch.testing.assert_close(small(images), before)
    assert {group.name for group in find_groups(small)} == set(joining)


def test_removal_and_growth_undo_each_other(small, images):
    start = copy.deepcopy(small)
    optimizer = torch.optim.AdamW(small.parameters(), lr=1e-3)
    loss(small, images).backward()
    optimizer.step()
    trained = copy.deepcopy(small)
    moments = {n: optimizer.state[p]["exp_avg"].clone() for n, p in small.named_parameters() if p in optimizer.state}
    growth = grow(small, drawn(small, "fan_in"))
    OptimizerFollower(optimizer).follow(growth)
    cut = growth.undo(small)
    OptimizerFollower(optimizer).follow(cut)
    assert widths(small) == widths(start)
    for name, value in trained.state_dict().items():
        assert torch.equal(small.state_dict()[name], value)
    for name, value in moments.items():
        assert torch.equal(optimizer.state[small.get_parameter(name)]["exp_avg"], value)
    assert {p for g in optimizer.param_groups for p in g["params"]} == set(small.parameters())


def test_the_optimiser_knows_nothing_of_what_joined_and_all_of_the_rest(small_kind, images):
    network = small_kind("vgg_bn")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss(network, images).backward()
    optimizer.step()
    before = {
        n: (optimizer.state[p]["exp_avg"].clone(), p) for n, p in network.named_parameters() if p.grad is not None
    }
    growth = grow(network, drawn(network, "fan_in"))
    OptimizerFollower(optimizer).follow(growth)
    changed = 0
    for name, (old, was) in before.items():
        parameter = network.get_parameter(name)
        found = optimizer.state[parameter]["exp_avg"]
        assert found.shape == parameter.shape
        assert found.abs().sum() == pytest.approx(old.abs().sum()), "zeros joined"
        assert optimizer.state[parameter]["step"] == 1
        changed += parameter is not was
    assert changed == len(growth.replaced) > 10


def test_a_copy_grows_the_same(small, images):
    averaged = copy.deepcopy(small)
    growth = grow(small, drawn(small, "fan_in"))
    growth.apply(averaged)
    assert all(torch.equal(averaged.state_dict()[name], value) for name, value in small.state_dict().items())
    with torch.no_grad():
        next(small.parameters()).add_(1)
    assert not torch.equal(next(averaged.parameters()), next(small.parameters())), "no memory is shared"


def test_widths_rebuild_a_grown_network_from_a_narrower_or_a_wider_one(small, images):
    fresh, narrow = copy.deepcopy(small), copy.deepcopy(small)
    remove(narrow, some(narrow))
    grow(small, drawn(small, "fan_in"))
    for other in (fresh, narrow):
        set_widths(other, widths(small))
        other.load_state_dict(small.state_dict())
        assert torch.equal(other(images), small(images))


def test_requests_that_cannot_be_met_change_nothing(small_kind):
    network = small_kind("vgg")
    before = widths(network)
    group = find_groups(network)[0]
    rows = {group.producers[0]: torch.ones(1, 3, 3, 3)}
    columns = {group.consumers[0]: torch.ones(8, 1, 3, 3)}
    cases = {
        "no group readout.layers.1 can take more maps": {"readout.layers.1": Joining(1)},
        "expected fan-in or fan-out to be zero": {group.name: Joining(1, rows, columns)},
        r"features_0: expected weights of shape \(2, 3, 3, 3\) for the maps, got \(1, 3, 3, 3\)": {
            group.name: Joining(2, rows)
        },
    }
    for message, joining in cases.items():
        with pytest.raises(ModelError, match=message):
            grow(network, joining)
    assert widths(network) == before


def test_other_maps_than_were_asked_for_are_an_error(small_kind, monkeypatch):
    network = small_kind("vgg")
    real = module.find_groups
    found = iter([real(network, least=1)])
    monkeypatch.setattr(module, "find_groups", lambda n, least: next(found, None) or real(n, least)[1:])
    with pytest.raises(ModelError, match=r"other maps joined than were asked, in the groups backbone\.features"):
        grow(network, {real(network)[0].name: Joining(1)})
