"""Knowledge distillation: the network also learns from the density that another one predicts."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gaze.errors import ConfigError
from gaze.models.network import GazeNetwork


@dataclass
class DistillConfig:
    """What is learnt from a teacher.

    Attributes:
        teacher: checkpoint of the network to learn from; null learns from people alone.
        weight: 0 to 1, share of the teacher's density in the target.
    """

    teacher: Path | None
    weight: float

    def check(self) -> None:
        """Raises ConfigError where the weight is none."""
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"distill.weight: expected 0 to 1, got {self.weight}")


class Teacher:
    """A frozen network whose density is mixed into the targets: Hinton et al. 2015 (arXiv 1503.02531), section 2.

    The loss is linear in its target, so the weighted sum of the loss on people's gaze and the cross-entropy with the
    teacher's density is the loss on the weighted sum of the two.

    Args:
        network: the teacher; it must see the images at the size that the student does.
        weight: 0 to 1, share of the teacher's density.
    """

    def __init__(self, network: GazeNetwork, weight: float) -> None:
        self.network, self.weight = network.eval().requires_grad_(False), weight

    @torch.no_grad()
    def mix(self, images: Tensor, target: Tensor) -> Tensor:
        """Targets with the teacher's share in them.

        Args:
            images: uint8, B x H x W x 3.
            target: B x H/4 x W/4, sums to 1 over each map.
        """
        if self.weight == 0:
            return target
        density = self.network.to(images.device)(images).exp()
        return torch.lerp(target, density.to(target), self.weight)
