"""The signal of single weights against autograd, example by example."""

import pytest
import torch
from timm.layers import create_conv2d
from torch import nn

from gaze.pruning.information.weight_fisher import ParameterFisher

LAYERS = {
    "strided": lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "depthwise": lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3),
    "padded as TensorFlow does": lambda: create_conv2d(3, 4, 3, stride=2, padding="same"),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))
def test_equals_brute_force(layer):
    torch.manual_seed(0)
    network = nn.Sequential(layer(), nn.BatchNorm2d(4).eval() if "3, 4" in str(layer()) else nn.Identity(), nn.ReLU())
    network = network.append(nn.LazyConv2d(2, 1)).double()
    x = torch.randn(5, 3, 9, 8, dtype=torch.float64)
    network(x)

    def losses(x):
        return network(x).tanh().square().mean((1, 2, 3))

    weights = {name: network.get_parameter(f"{name}.weight") for name in ("0", "3")}
    rows = [torch.autograd.grad(losses(example[None])[0], list(weights.values())) for example in x]
    fisher = ParameterFisher(network)
    for batch in (x[:3], x[3:]):
        losses(batch).mean().backward()
        fisher.update(len(batch))
    for i, (name, weight) in enumerate(weights.items()):
        information = torch.stack([row[i] for row in rows]).square().mean(0)
        torch.testing.assert_close(fisher.values()[name], information * weight.detach().square() / 2)


def test_forgets_what_fades_and_costs_nothing_once_detached():
    network = nn.Sequential(nn.Conv2d(3, 4, 1))
    fisher = ParameterFisher(network, decay=0.0)
    assert not fisher.values()["0"].any()
    for scale in (100, 1):
        network(torch.ones(2, 3, 4, 4) * scale).mean().backward()
        fisher.update(2)
    assert fisher.values()["0"].max() < 10
    fisher.detach()
    assert not network[0]._forward_hooks
