"""Fisher information of photographs against autograd, fixation by fixation, and against what it estimates."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import GazeDataset
from gaze.data.store import FixationStore
from gaze.data.taught import Taught
from gaze.models import build_network
from gaze.pruning import Fisher, ParameterFisher, find_groups
from gaze.training.fisher_rao_norm import half_norms_of
from gaze.training.likelihood import EMPIRICAL, MODEL, Photographs, draws, fisher_information, photographs
from tests.models.conftest import small_config
from tests.pruning.conftest import live


@pytest.fixture
def dataset(small_store):
    return GazeDataset([FixationStore(small_store)], "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return live(build_network(small_config()))


def test_information_is_of_the_log_likelihood_of_all_fixations_per_fixation(network, dataset):
    found = fisher_information(network, photographs(dataset, None, 0), EMPIRICAL, 0)
    names, parameters = zip(*network.named_parameters(), strict=True)
    squares = []
    for batch in photographs(dataset, None, 0):
        for image, target, count in zip(batch.image, batch.target, batch.fixations, strict=True):
            log_density = network(image[None])[0].flatten()
            times = (target.flatten() * count).round().long()
            assert int(times.sum()) == int(count) == 12
            looked_at = torch.repeat_interleave(torch.arange(len(times)), times)
            likelihood = sum(log_density[cell] for cell in looked_at.tolist())
            rows = torch.autograd.grad(likelihood, parameters)
            squares.append([row.square() / (int(count) * math.log(2)) for row in rows])
    for name, column in zip(names, zip(*squares, strict=True), strict=True):
        torch.testing.assert_close(found[name], torch.stack(column).mean(0), rtol=1e-3, atol=1e-9)


class Fixed(nn.Module):
    """The same density for every photograph: a softmax of its parameters."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0]], dtype=torch.float64))

    def forward(self, images):
        return (
            (self.logits + 0 * images.double().mean((1, 2, 3))[:, None, None])
            .flatten(1)
            .log_softmax(1)
            .unflatten(1, self.logits.shape)
        )


def test_half_the_information_of_the_model_times_a_squared_step_is_the_drop_in_bits_per_fixation():
    network, counts = Fixed(), torch.tensor([8, 40, 100]).repeat(1500)
    sample = Photographs(torch.zeros(len(counts), 4, 4, 3, dtype=torch.uint8), torch.zeros(len(counts), 2, 3), counts)
    found = fisher_information(network, iter([sample]), MODEL, 0)["logits"]
    before, step = network(sample.image[:1])[0].detach(), 0.02
    for at in np.ndindex(2, 3):
        drops = []
        for sign in (1, -1):
            with torch.no_grad():
                network.logits[at] += sign * step
                drops.append(float((before.exp() * (before - network(sample.image[:1])[0])).sum()) / math.log(2))
                network.logits[at] -= sign * step
        assert float(found[at]) * step**2 / 2 == pytest.approx(np.mean(drops), rel=0.1)


def test_draws_are_as_many_as_the_fixations_and_follow_the_density():
    log_density = torch.tensor([[[0.7, 0.2], [0.1, 0.0]], [[0.0, 0.0], [0.5, 0.5]]]).log()
    drawn = draws(log_density, torch.tensor([4, 5000]), torch.Generator().manual_seed(0))
    assert drawn.sum((1, 2)).tolist() == pytest.approx([1, 1])
    assert (4 * drawn[0]).frac().abs().max() == 0
    assert drawn[0, 1, 1] == 0
    assert drawn[1].flatten().tolist() == pytest.approx([0, 0, 0.5, 0.5], abs=0.03)
    again = draws(log_density, torch.tensor([4, 5000]), torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


@pytest.mark.parametrize("kind", [EMPIRICAL, MODEL])
def test_leaves_the_network_its_gradients_and_the_random_numbers_as_they_were(network, dataset, kind):
    network.train()
    network.readout.eval()
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    modes, state = [m.training for m in network.modules()], torch.random.get_rng_state()
    first, second = (fisher_information(network, photographs(dataset, 3, 1), kind, 7) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [m.training for m in network.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all((parameter.grad == 3).all() for parameter in network.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


class ByHand(nn.Module):
    """A density through a layer whose weights are read without a call of it."""

    def __init__(self):
        super().__init__()
        self.read, self.called = nn.Linear(3, 6), nn.Linear(6, 6)

    def forward(self, images):
        hidden = nn.functional.linear(images.float().mean((1, 2)) / 255, self.read.weight, self.read.bias)
        return self.called(hidden).log_softmax(1).reshape(-1, 2, 3)


def test_what_cannot_be_collected_is_missing_rather_than_zero():
    sample = Photographs(torch.full((2, 8, 12, 3), 9, dtype=torch.uint8), torch.full((2, 2, 3), 1 / 6), torch.ones(2))
    found = fisher_information(ByHand(), iter([sample]), EMPIRICAL, 0)
    assert found.keys() == {"called.weight", "called.bias"}
    assert all((value > 0).any() for value in found.values())


def test_what_a_pruning_reads_of_its_own_passes_it_does_not_disturb(network, dataset):
    signals, batch = (Fisher(network, find_groups(network)), ParameterFisher(network)), next(photographs(dataset, 2, 0))
    values = []
    for measure in (False, True):
        for signal in signals:
            signal.restart()
        network(batch.image)[:, :2].sum().backward()
        for signal in signals:
            signal.update(1)
        if measure:
            half_norms_of(network, dataset, None, 0)
            network(batch.image)[:, :2].sum().backward()
            for signal in signals:
                signal.update(1)
        values.append([signal.values() for signal in signals])
    for before, after in zip(*values, strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            torch.testing.assert_close(value, after[name])


def test_a_sample_is_of_what_people_saw_whatever_a_teacher_says(dataset):
    before = list(photographs(dataset, 3, 5))
    teacher = np.ones((4, 4), np.float16)
    dataset.taught = Taught([teacher] * len(dataset), 1.0)
    after = list(photographs(dataset, 3, 5))
    assert sum(len(batch.image) for batch in before) == 3
    for first, second in zip(before, after, strict=True):
        assert torch.equal(first.image, second.image)
        assert torch.equal(first.target, second.target)
    assert dataset.taught is not None


def test_a_density_counts_as_one_fixation(make_store):
    store = FixationStore(make_store(("train",), gaze=False))
    dataset = GazeDataset([store], "train", InputRule(32, 16), 4, AugmentConfig(0, 0, 1, 0))
    assert [batch.fixations.tolist() for batch in photographs(dataset, None, 0)] == [[1]]
