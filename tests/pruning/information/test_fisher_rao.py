"""The Fisher-Rao norm of weights and of map masks against autograd, one example at a time."""

import pytest
import torch

from gaze.pruning import find_groups
from gaze.pruning.information.fisher_rao import FisherRao
from gaze.pruning.information.weight_fisher import DiagonalFisher
from tests.pruning.information.test_signal import brute_force, losses


@pytest.fixture
def network(small):
    return small.double()


def norms(network, images, batches=2):
    found = FisherRao(network, find_groups(network))
    for batch in images.chunk(batches):
        losses(network, batch).mean().backward()
        found.update(len(batch))
    found.detach()
    return found


def products(network, images) -> dict[str, torch.Tensor]:
    """theta_i dl_n/dtheta_i by layer: examples x parameters."""
    named = {name: p for name, p in network.named_parameters() if not name.startswith("finalizer")}
    rows = [torch.autograd.grad(losses(network, image[None])[0], list(named.values())) for image in images]
    layers: dict[str, list[torch.Tensor]] = {}
    for (name, parameter), column in zip(named.items(), zip(*rows, strict=True), strict=True):
        layers.setdefault(name.rpartition(".")[0], []).append((torch.stack(column) * parameter.detach()).flatten(1))
    return {name: torch.cat(columns, 1) for name, columns in layers.items()}


def check(found, expected) -> None:
    assert found.parts.keys() == expected.keys()
    together = torch.cat(list(expected.values()), 1)
    for norm, values in [(found.total, together), *((found.parts[name], v) for name, v in expected.items())]:
        assert norm.full == pytest.approx(float(values.sum(1).square().mean() / 2), rel=1e-5, abs=1e-12)
        assert norm.diagonal == pytest.approx(float(values.square().sum(1).mean() / 2), rel=1e-5, abs=1e-12)


def test_norm_of_weights_equals_brute_force(network, images):
    check(norms(network, images).weights(), products(network, images))


def test_norm_of_map_masks_equals_brute_force(network, images):
    groups = find_groups(network)
    check(norms(network, images).maps(), brute_force(network, groups, images))


def test_diagonal_is_what_fisher_information_and_squared_weights_give(network, images):
    fisher = DiagonalFisher(network)
    losses(network, images).sum().backward()
    fisher.update(1)
    weights = {name: value.detach() for name, value in network.named_parameters()}
    expected = sum(float((f * weights[name].square()).sum()) for name, f in fisher.information().items()) / 2
    assert norms(network, images).weights().total.diagonal == pytest.approx(expected, rel=1e-9)


def test_nothing_seen_has_no_norm(network):
    found = FisherRao(network)
    with pytest.raises(ValueError, match="expected examples"):
        found.weights()
    with pytest.raises(ValueError, match="expected examples"):
        found.maps()


def test_leaves_the_network_as_it_was(network, images):
    norms(network, images)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())
