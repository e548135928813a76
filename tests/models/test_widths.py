"""Widths of layers, and layers cut down to some of their maps."""

import pytest
import torch
from torch import nn

from gaze.errors import ModelError
from gaze.models.widths import Kept, depthwise, select, set_widths, widen, widths


@pytest.fixture
def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1))


def test_names_inputs_and_outputs(layers):
    assert widths(layers) == {"0": [3, 6], "1": [6], "2": [6, 6], "3": [6, 4]}


def test_select_slices_weights_biases_and_statistics(layers):
    kept, x = torch.tensor([0, 2, 5]), torch.randn(2, 3, 9, 9)
    layers[1].running_mean.normal_()
    layers.eval()
    expected = layers[:3](x)[:, kept]
    old = layers[0].weight
    replaced = [*select(layers[0], Kept(outputs=kept)), *select(layers[1], Kept(outputs=kept))]
    replaced += [*select(layers[2], Kept(outputs=kept)), *select(layers[3], Kept(inputs=kept))]
    torch.testing.assert_close(layers[:3](x), expected)
    assert layers(x).shape == (2, 4, 5, 5)
    assert widths(layers) == {"0": [3, 3], "1": [3], "2": [3, 3], "3": [3, 4]}
    assert replaced[0].old is old
    assert replaced[0].new is layers[0].weight
    assert layers[2].groups == 3


@pytest.mark.parametrize("stored", [[3, 9], [3, 2]])
def test_set_widths_takes_any_width_and_keeps_the_first_maps(layers, stored):
    first, n = layers[0].weight.detach().clone(), stored[1]
    set_widths(layers, {"0": stored, "1": [n], "2": [n, n], "3": [n, 7]})
    assert widths(layers) == {"0": [3, n], "1": [n], "2": [n, n], "3": [n, 7]}
    assert torch.equal(layers[0].weight[: min(6, n)], first[:n])
    assert not layers[0].weight[6:].any()
    assert layers(torch.randn(2, 3, 9, 9)).shape == (2, 7, 5, 5)


def test_widen_undoes_what_select_would_do(layers):
    before = layers[3].weight.detach().clone()
    values = {"weight": torch.full((5, 8, 1, 1), 7.0), "bias": torch.zeros(5)}
    replaced = widen(layers[3], Kept(torch.arange(1, 7), torch.tensor([0, 1, 3, 4])), values)
    assert widths(layers)["3"] == [8, 5]
    assert (layers[3].weight[2] == 7).all()
    assert (layers[3].weight[:, [0, 7]] == 7).all()
    select(layers[3], Kept(torch.arange(1, 7), torch.tensor([0, 1, 3, 4])))
    assert torch.equal(layers[3].weight, before)
    moment = replaced[0].carry(torch.ones(4, 6, 1, 1))
    assert (moment.shape, moment.sum()) == ((5, 8, 1, 1), 24)


def test_set_widths_refuses_what_no_layer_can_have(layers):
    for message, stored in {
        "no layer 7": {"7": [3, 6]},
        r"widths of 1: expected \[maps\], each at least 1, got \[8, 8\]": {"1": [8, 8]},
        r"widths of 0: expected \[maps read, maps written\], each at least 1, got \[3, 0\]": {"0": [3, 0]},
    }.items():
        with pytest.raises(ModelError, match=message):
            set_widths(layers, stored)


def test_a_depthwise_convolution_that_is_down_to_one_map_widens_to_a_depthwise_one(layers):
    narrow, wide = {"0": [3, 1], "1": [1], "2": [1, 1], "3": [1, 4]}, widths(layers)
    x = torch.randn(2, 3, 9, 9)
    shapes = {name: value.shape for name, value in layers.state_dict().items()}
    set_widths(layers, narrow)
    assert (layers[2].groups, depthwise(layers[2]), depthwise(layers[0])) == (1, True, False)
    set_widths(layers, wide)
    assert {name: value.shape for name, value in layers.state_dict().items()} == shapes
    assert (layers[2].groups, layers(x).shape) == (6, (2, 4, 5, 5))
