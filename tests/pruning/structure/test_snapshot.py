"""A pruned network goes back to what it was, and what followed it does too."""

import copy

import torch

from gaze.models.widths import widths
from gaze.pruning import OptimizerFollower, find_groups, remove
from gaze.pruning.structure.snapshot import Restoration, Snapshot


def narrowed(network):
    """Down to one map in every group, so that depthwise layers look like dense ones."""
    return remove(network, {group.name: range(1, group.maps) for group in find_groups(network)})


def test_goes_back_to_widths_weights_and_output(small, images):
    before, output = widths(small), small(images)
    groups = find_groups(small)
    snapshot = Snapshot.of(small)
    narrowed(small)
    assert widths(small) != before
    Restoration(snapshot, small)
    assert widths(small) == before
    assert find_groups(small) == groups
    assert torch.equal(small(images), output)


def test_a_copy_and_an_optimiser_follow_and_training_goes_on(small, images):
    optimizer = torch.optim.AdamW(small.parameters(), 1e-3)
    snapshot, averaged = Snapshot.of(small), copy.deepcopy(small)
    cut = narrowed(small)
    cut.apply(averaged)
    OptimizerFollower(optimizer).follow(cut)
    (-small(images)[:, :2].mean()).backward()
    optimizer.step()
    restoration = Restoration(snapshot, small)
    restoration.apply(averaged)
    OptimizerFollower(optimizer).follow(restoration)
    assert {p for group in optimizer.param_groups for p in group["params"]} == set(small.parameters())
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), averaged.parameters(), strict=True))
    optimizer.zero_grad()
    (-small(images)[:, :2].mean()).backward()
    optimizer.step()
    assert not all(torch.equal(a, b) for a, b in zip(small.parameters(), averaged.parameters(), strict=True))


def test_is_a_copy_and_goes_through_a_checkpoint(small, images, tmp_path):
    output, snapshot = small(images), Snapshot.of(small)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    torch.save(snapshot.state_dict(), tmp_path / "snapshot.pt")
    Restoration(Snapshot.load(torch.load(tmp_path / "snapshot.pt", weights_only=True)), small)
    assert torch.equal(small(images), output)
