"""What maps that join are worth, and the weights that they start from, against brute force."""

import copy

import pytest
import torch
from torch import nn

from gaze.pruning.information.fan_in import SteepestFanIn, orthonormal
from gaze.pruning.information.gradmax import GradMax
from gaze.pruning.structure.groups import find_groups
from gaze.pruning.structure.growth import Joining, grow

IMAGES = torch.randn(6, 3, 9, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


class Block(nn.Module):
    """`first` writes what `second` reads, behind `between`; `beside` joins it by a sum or in a concatenation."""

    def __init__(self, *between: nn.Module, beside: str = "", stride: int = 1):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.between = nn.Conv2d(3, 4, 3, stride, 1), nn.Sequential(*between)
        self.beside, self.how = nn.Conv2d(3, 4, 3, stride, 1), beside
        self.second = nn.Conv2d(8 if beside == "cat" else 4, 5, (3, 2), 2, (1, 0), dilation=(1, 2))
        self.head = nn.Conv2d(5, 1, 1)
        self.double().eval()
        for norm in (module for module in between if isinstance(module, nn.BatchNorm2d)):
            for values in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                values.uniform_(0.5, 1.5)

    def forward(self, x):
        y = self.first(x)
        if self.how == "sum":
            y = y + self.beside(x)
        y = self.between(y)
        return self.head(self.second(torch.cat([self.beside(x), y], 1) if self.how == "cat" else y).tanh())


def backward(network) -> float:
    """The loss of each example and place differs; its mean over the examples is what a training sees."""
    network.zero_grad()
    found = (network(IMAGES) - 0.3).square().sum((1, 2, 3)).mean()
    found.backward()
    return found.item()


def updated(signal, network, updates: int = 1):
    for _ in range(updates):
        backward(network)
        signal.update(len(IMAGES))
    return signal


def grown_gradients(network, name: str, joining: Joining, side: str) -> torch.Tensor:
    """Squared norm of the gradient of each new map's weights, as autograd finds it in the network that has them."""
    network = copy.deepcopy(network)
    before = next(group.maps for group in find_groups(network) if group.name == name)
    grow(network, {name: joining})
    backward(network)
    group = next(group for group in find_groups(network) if group.name == name)
    total = torch.zeros(joining.count, dtype=torch.float64)
    for member in group.producers if side == "fan_in" else group.consumers:
        first = member.offset + before
        gradient = network.get_submodule(member.layer).weight.grad
        if side == "fan_out":
            gradient = gradient.transpose(0, 1)
        total += gradient[first : first + joining.count].square().flatten(1).sum(1)
    return total


CHAINS = {
    "nothing between": (Block, 1.0),
    "SiLU, and a stride": (lambda: Block(nn.SiLU(), stride=2), 0.5),
    "a concatenation": (lambda: Block(nn.Identity(), beside="cat"), 1.0),
}


@pytest.mark.parametrize("name", CHAINS)
def test_gradmax_is_the_largest_gradient_of_the_fan_in_that_there_is(name):
    network = CHAINS[name][0]()
    signal = updated(GradMax(network, find_groups(network)), network)
    assert signal.chains["first"].slope == CHAINS[name][1]
    joining = signal.joining("first", 3)
    found = grown_gradients(network, "first", joining, "fan_in")
    torch.testing.assert_close(signal.values()["first"][:3], found.float(), rtol=1e-5, atol=0)
    member, columns = next(iter(joining.fan_out.items()))
    norm = columns[:, 0].norm().item()
    old = network.second.weight[:, member.offset : member.offset + 4].detach()
    assert norm == pytest.approx(old.transpose(0, 1).flatten(1).norm(dim=1).mean().item())
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        rows = orthonormal(torch.randn(3, columns[:, 0].numel(), generator=generator, dtype=torch.float64))
        drawn = norm * rows.reshape(3, 5, *columns.shape[2:]).transpose(0, 1)
        other = grown_gradients(network, "first", Joining(3, fan_out={member: drawn}), "fan_in")
        assert other.sum() < found.sum()
        assert other.max() < found.max()


@pytest.mark.parametrize(
    "block",
    [Block(nn.ReLU()), Block(nn.BatchNorm2d(4)), Block(beside="sum"), Block(nn.SiLU(), nn.Conv2d(4, 4, 3, 1, 1, 1, 4))],
)
def test_gradmax_leaves_alone_what_the_paper_does_not_have(block):
    assert "first" not in GradMax(block, find_groups(block)).chains


def test_without_a_relu_the_steepest_fan_in_is_the_svd():
    network = Block()
    groups = find_groups(network)
    gradmax, signal = GradMax(network, groups), SteepestFanIn(network, groups, {"first": 4})
    updated(gradmax, network)
    updated(signal, network, 300)
    fan_in = network.first.weight.detach().flatten(1).norm(dim=1).mean().square()
    fan_out = network.second.weight.detach().transpose(0, 1).flatten(1).norm(dim=1).mean().square()
    expected = gradmax.values()["first"][:4] * fan_in / fan_out
    torch.testing.assert_close(signal.values()["first"], expected.float(), rtol=1e-3, atol=0)


BLOCKS = {
    "ReLU": lambda: Block(nn.ReLU()),
    "BatchNorm and ReLU": lambda: Block(nn.BatchNorm2d(4), nn.ReLU(), stride=2),
    "depthwise": lambda: Block(nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1, 1, 4), nn.BatchNorm2d(4), nn.ReLU6()),
    "residual": lambda: Block(nn.ReLU(), beside="sum"),
    "concatenation": lambda: Block(nn.Sigmoid(), beside="cat"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_steepest_fan_in_beats_random_directions(name):
    network = BLOCKS[name]()
    signal = updated(SteepestFanIn(network, find_groups(network), {"first": 2}, seed=1), network, 60)
    joining = signal.joining("first", 2)
    found = grown_gradients(network, "first", joining, "fan_out")
    torch.testing.assert_close(signal.values()["first"].sum(), found.sum().float(), rtol=0.05, atol=0)
    norms = [rows[0].norm().item() for rows in joining.fan_in.values()]
    generator, others = torch.Generator().manual_seed(0), []
    for _ in range(40):
        direction = orthonormal(torch.randn(2, 27 * len(norms), generator=generator, dtype=torch.float64))
        rows = dict(zip(joining.fan_in, signal._weights("first", direction), strict=True))
        others.append(grown_gradients(network, "first", Joining(2, rows), "fan_out"))
    drawn = torch.stack(others)
    assert (drawn.sum(1) < found.sum()).all()
    assert (drawn.amax(1) < found.max()).all()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_step_lowers_the_loss_by_its_rate_times_the_value(name):
    network, rate = BLOCKS[name](), 1e-4
    signal = updated(SteepestFanIn(network, find_groups(network), {"first": 3}), network, 60)
    before = next(group.maps for group in find_groups(network) if group.name == "first")
    grow(network, {"first": signal.joining("first", 3)})
    signal.detach()
    start = backward(network)
    group = next(group for group in find_groups(network) if group.name == "first")
    with torch.no_grad():
        for member in group.consumers:
            weight = network.get_submodule(member.layer).weight
            first = member.offset + before
            weight[:, first : first + 3] -= rate * weight.grad[:, first : first + 3]
    fall = start - backward(network)
    assert fall == pytest.approx(rate * float(signal.values()["first"].sum()), rel=0.06)


def test_every_group_of_a_network_has_values_and_it_stays_as_it_was(small, images):
    small = small.train()
    groups = find_groups(small, least=1)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    signal = SteepestFanIn(small, groups, {group.name: 3 for group in groups})
    for _ in range(3):
        (-small(images)[:, :4, :4].mean()).backward()
        signal.update(len(images))
    values = signal.values()
    assert set(values) == {group.name for group in groups}
    assert all(torch.isfinite(value).all() and (value.diff() <= 0).all() for value in values.values())
    assert sum(bool(value[0] > 0) for value in values.values()) > 0.8 * len(values)
    assert all(torch.equal(small.state_dict()[name], value) for name, value in before.items())
    output = small.readout(small.backbone(images)).detach()
    signal.detach()
    grow(small, {name: signal.joining(name, len(value)) for name, value in values.items()})
    torch.testing.assert_close(small.readout(small.backbone(images)), output)


@pytest.mark.parametrize("make", [GradMax, lambda n, g: SteepestFanIn(n, g, {"first": 2})], ids=["gradmax", "fan_in"])
def test_a_signal_goes_on_from_its_state_and_skips_what_overflowed(make):
    network = Block()
    groups = find_groups(network)
    whole, parts = updated(make(network, groups), network, 4), updated(make(network, groups), network, 2)
    state = parts.state_dict()
    parts.detach()
    resumed = make(network, groups)
    assert not resumed.ready
    resumed.load_state_dict(state)
    updated(resumed, network, 2)
    assert resumed.ready
    assert torch.equal(resumed.values()["first"], whole.values()["first"])
    network.head.weight.data[:] = float("inf")
    updated(resumed, network)
    assert torch.equal(resumed.values()["first"], whole.values()["first"])
