"""Learning from another network."""

import pytest
import torch

from gaze.errors import ConfigError
from gaze.models import build_network
from gaze.training.distillation import DistillConfig, Teacher
from gaze.training.losses import information_gain
from tests.models.conftest import small_config

IMAGES = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(small_config()).eval()


@pytest.fixture
def target():
    return torch.rand(2, 16, 16).flatten(1).softmax(1).unflatten(1, (16, 16))


def test_the_loss_on_the_mixed_target_is_the_mixture_of_both_losses(network, target):
    student = torch.randn(2, 16, 16).flatten(1).log_softmax(1).unflatten(1, (16, 16))
    mixed = Teacher(network, 0.3).mix(IMAGES, target)
    with torch.no_grad():
        of_teacher = information_gain(student, network(IMAGES).exp())
    expected = 0.7 * information_gain(student, target) + 0.3 * of_teacher
    torch.testing.assert_close(information_gain(student, mixed), expected)
    torch.testing.assert_close(mixed.sum((1, 2)), torch.ones(2))


def test_weight_zero_asks_no_teacher(network, target):
    assert Teacher(network, 0.0).mix(IMAGES, target) is target


def test_the_teacher_is_frozen(network, target):
    teacher = Teacher(network, 0.5)
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert not teacher.mix(IMAGES, target).requires_grad


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(ConfigError, match=r"distill\.weight: expected 0 to 1"):
        DistillConfig(None, weight).check()
