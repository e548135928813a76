"""A pruned network goes through a checkpoint and an export like any other."""

import copy

import numpy as np
import torch

from gaze.models.checkpoints import PREFIX, describe, load_checkpoint
from gaze.models.onnx import export_onnx, parity
from gaze.pruning import find_groups, remove


def halved(network):
    """A copy that lost every other map of each group."""
    pruned = copy.deepcopy(network)
    remove(pruned, {group.name: range(0, group.maps, 2) for group in find_groups(network)})
    return pruned


@torch.no_grad()
def test_a_pruned_checkpoint_rebuilds_its_own_architecture(architecture, images, tmp_path):
    pruned = halved(architecture)
    state = {PREFIX + key: value for key, value in pruned.state_dict().items()}
    torch.save({"state_dict": state, **describe(pruned, ["osie"], 7)}, tmp_path / "pruned.ckpt")
    rebuilt = load_checkpoint(tmp_path / "pruned.ckpt").network
    assert torch.equal(rebuilt(images), pruned(images))
    assert find_groups(rebuilt) == find_groups(pruned)
    assert rebuilt.backbone.channels == pruned.backbone.channels


def test_a_pruned_network_exports(architecture, tmp_path):
    pruned = halved(architecture)
    export_onnx(pruned, tmp_path / "pruned.onnx")
    photo = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    assert parity(pruned, tmp_path / "pruned.onnx", [photo]) < 1e-4
