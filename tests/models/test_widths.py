"""Widths of layers, and layers cut down to some of their maps."""

import pytest
import torch
from torch import nn

from gaze.errors import ModelError
from gaze.models.widths import Kept, select, set_widths, widths


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


def test_set_widths_refuses_what_it_cannot_narrow(layers):
    for message, stored in {
        "no layer 7": {"7": [3, 6]},
        r"widths of 1: expected at most \[6\], got \[8\]": {"1": [8]},
        r"widths of 0: expected at most \[3, 6\], got \[3, 0\]": {"0": [3, 0]},
    }.items():
        with pytest.raises(ModelError, match=message):
            set_widths(layers, stored)
