"""Who follows a change of the network, and what becomes of an optimiser's state."""

import torch
from torch import nn

from gaze.pruning import Follower, OptimizerFollower, find_groups, remove
from gaze.pruning.structure.followers import followers
from gaze.training.averaging import Averaging


class Told:
    def __init__(self):
        self.cuts = []

    def follow(self, cut):
        self.cuts.append(cut)


def test_callbacks_that_follow_and_every_optimiser_are_told(small_kind):
    network = small_kind("vgg")
    told, optimizer = Told(), torch.optim.SGD(network.parameters(), 0.1)
    found = list(followers([object(), told, nn.ReLU()], [optimizer]))
    assert found[0] is told
    assert [type(follower) for follower in found[1:]] == [OptimizerFollower]
    cut = remove(network, {find_groups(network)[0].name: [0]})
    for follower in found:
        follower.follow(cut)
    assert told.cuts == [cut]
    assert set(optimizer.param_groups[0]["params"]) == set(network.parameters())


def test_the_average_of_the_weights_follows():
    assert isinstance(Averaging(0.5), Follower)


def test_state_that_fits_no_longer_is_dropped_and_the_rest_sliced(small_kind):
    network = small_kind("vgg")
    name = find_groups(network)[0].name
    weight = network.get_parameter(f"{name}.weight")
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    bias = network.get_parameter(f"{name}.bias")
    optimizer.state[weight] = {"momentum": torch.arange(weight.numel()).reshape(weight.shape), "step": torch.tensor(3)}
    optimizer.state[bias] = {"sums of rows": torch.ones(77)}
    OptimizerFollower(optimizer).follow(remove(network, {name: [1]}))
    moved = optimizer.state[network.get_parameter(f"{name}.weight")]
    kept = [0, *range(2, len(weight))]
    assert torch.equal(moved["momentum"], torch.arange(weight.numel()).reshape(weight.shape)[kept])
    assert moved["step"] == 3
    assert len(optimizer.state) == 1
