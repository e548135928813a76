"""Gradients of single examples, and what is made of them, against autograd one example at a time."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gaze.models.finalizer import Finalizer
from gaze.pruning.information.example_gradients import ExampleGradients
from gaze.pruning.information.weight_fisher import DiagonalFisher


class Shared(nn.Module):
    """A convolution that is called twice."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.layer(self.layer(x).relu())


class Densities(nn.Module):
    """The finalizer, whose parameters are its own, on the first map."""

    def __init__(self):
        super().__init__()
        self.finalizer = Finalizer(2.0, (3, 4))

    def forward(self, x):
        return self.finalizer(x[:, 0], (12, 16))[:, None]


def normed(layer):
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
    nn.init.uniform_(norm.weight)
    return nn.Sequential(layer, norm.eval())


NETWORKS = {
    "convolutions with biases": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 1)),
    "BatchNorm": lambda: normed(nn.Conv2d(3, 4, 3, bias=False)),
    "linear": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
    "linear over rows": lambda: nn.Sequential(nn.Linear(8, 3), nn.LayerNorm(3)),
    "called twice": Shared,
    "finalizer": lambda: nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), Densities()),
}


@pytest.fixture(params=NETWORKS.values(), ids=list(NETWORKS))
def network(request):
    torch.manual_seed(0)
    return request.param().double()


@pytest.fixture
def examples():
    return torch.randn(5, 3, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def losses(network, x):
    return network(x).tanh().square().flatten(1).sum(1)


def brute_force(network, examples) -> dict[str, torch.Tensor]:
    """Examples x shape, of every parameter."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    rows = [torch.autograd.grad(losses(network, x[None])[0], parameters) for x in examples]
    return {name: torch.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def test_gradients_of_examples_equal_brute_force(network, examples):
    found, expected = {}, brute_force(network, examples)
    gradients = ExampleGradients(network, found.__setitem__)
    losses(network, examples).sum().backward()
    gradients.read()
    assert found.keys() == expected.keys()
    assert gradients.left_out() == []
    for name, value in found.items():
        assert expected[name].any()
        torch.testing.assert_close(value, expected[name])


def test_information_is_the_mean_of_squares_over_batches_and_what_a_loss_was_divided_by(network, examples):
    fisher = DiagonalFisher(network)
    for batch in (examples[:3], examples[3:]):
        losses(network, batch).mean().backward()
        fisher.update(len(batch))
    expected = brute_force(network, examples)
    for name, value in fisher.information().items():
        torch.testing.assert_close(value, expected[name].square().mean(0))


def test_what_is_forgotten_does_not_count_and_a_detached_network_is_bare(network, examples):
    fisher = DiagonalFisher(network)
    losses(network, 3 * examples[:2]).sum().backward()
    fisher.update(1)
    fisher.restart()
    losses(network, examples).sum().backward()
    fisher.update(1)
    expected = brute_force(network, examples)
    for name, value in fisher.information().items():
        torch.testing.assert_close(value, expected[name].square().mean(0))
    fisher.detach()
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_call_that_the_loss_does_not_depend_on_holds_nothing_back(examples):
    torch.manual_seed(0)
    network, found = Shared().double(), {}
    expected = brute_force(network, examples)
    gradients = ExampleGradients(network, found.__setitem__)
    network.layer(examples)  # nothing comes of it
    losses(network, examples).sum().backward()
    gradients.read()
    torch.testing.assert_close(found["layer.weight"], expected["layer.weight"])


class Odd(nn.Module):
    """A linear layer, and before it parameters that are used in a way of their own."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return self.last(x + self.own(x))


class Gain(Odd):
    def own(self, x):
        return self.gain * x


class ByHand(Odd):
    def own(self, x):
        return F.linear(x, self.layer.weight, self.layer.bias)


class ByKeyword(Odd):
    def own(self, x):
        return self.layer(input=x)


class Positions(Odd):
    def own(self, x):
        return self.layer(torch.arange(x.shape[-2]))


class Rows(Odd):
    def own(self, x):
        return self.layer(x.flatten(0, -2)).reshape(x.shape)


class Now(Odd):
    def own(self, x):
        return self.layer(x) + self.layer(x.flatten(0, -2)).reshape(x.shape)


class Recurrent(Odd):
    def own(self, x):
        return self.layer(x.flatten(1, 2))[0].reshape(x.shape)


ODD = {
    "beside a layer": lambda: Gain(gain=nn.Parameter(torch.ones(8))),
    "without a call": lambda: ByHand(layer=nn.Linear(8, 8)),
    "by keyword": lambda: ByKeyword(layer=nn.Linear(8, 8)),
    "of positions": lambda: Positions(layer=nn.Embedding(9, 8)),
    "of rows": lambda: Rows(layer=nn.LayerNorm(8)),
    "of rows now and then": lambda: Now(layer=nn.Linear(8, 8)),
    "no tensor": lambda: Recurrent(layer=nn.LSTM(8, 8, batch_first=True)),
}


@pytest.mark.parametrize("kind", ODD.values(), ids=list(ODD))
def test_what_cannot_be_collected_is_left_out_by_name_and_all_else_is_collected(kind, examples):
    torch.manual_seed(0)
    network, found = kind().double(), {}
    expected = brute_force(network, examples)
    gradients = ExampleGradients(network, found.__setitem__)
    for _ in range(2):
        losses(network, examples).sum().backward()
        gradients.read()
    assert gradients.left_out() == [name for name in expected if not name.startswith("last.")] != []
    assert found.keys() == {"last.weight", "last.bias"}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name])


def test_an_embedding_of_what_examples_bring_is_collected():
    torch.manual_seed(0)
    network, found = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 2)).double(), {}
    examples = torch.randint(0, 6, (5, 3))
    expected = brute_force(network, examples)
    gradients = ExampleGradients(network, found.__setitem__)
    losses(network, examples).sum().backward()
    assert gradients.left_out() == []
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_what_the_loss_does_not_hang_on_is_not_left_out(examples):
    network = Gain(gain=nn.Parameter(torch.ones(8)), unused=nn.Parameter(torch.ones(2))).double()
    gradients = ExampleGradients(network, lambda *_: None)
    losses(network, examples).sum().backward()
    assert gradients.left_out() == ["gain"]


def test_a_part_that_is_called_by_itself_is_collected(network, examples):
    gradients = ExampleGradients(network, lambda *_: None)
    network(examples[:1])
    x = examples
    for part in network.children():
        x = part(x)
    x.square().sum().backward()
    gradients.read()
    assert gradients.left_out() == []


def test_a_detached_network_has_bare_parameters(network, examples):
    gradients = ExampleGradients(network, lambda *_: None)
    gradients.detach()
    losses(network, examples).sum().backward()
    assert gradients.reached == set()
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_a_gaze_network_leaves_nothing_out(architecture):
    found: dict[str, torch.Tensor] = {}
    gradients = ExampleGradients(architecture.eval(), found.__setitem__)
    losses(architecture, torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)).sum().backward()
    gradients.read()
    assert gradients.left_out() == []
    assert found.keys() == gradients.reached == dict(architecture.named_parameters()).keys()
