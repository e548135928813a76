"""Networks that know nothing of gaze: of torchvision, and a small U-Net; random weights."""

import copy
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from gaze.pruning.cost.example_input import ExampleInput
from gaze.pruning.cost.models.macs import MacCost
from tests.pruning.conftest import standardize


class UNet(nn.Module):
    """Two levels down and up again, joined at each: images to a map of the same size."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.down, self.deep = block(3, width), block(width, 2 * width)
        self.bottom, self.pool, self.up = block(2 * width, 4 * width), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.rise, self.last = block(6 * width, 2 * width), block(3 * width, width)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B x 3 x H x W to B x 1 x H x W."""
        fine = self.down(x)
        middle = self.deep(self.pool(fine))
        coarse = self.rise(torch.cat([self.up(self.bottom(self.pool(middle))), middle], 1))
        return self.head(self.last(torch.cat([self.up(coarse), fine], 1)))


def block(reads: int, writes: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(reads, writes, 3, padding=1, bias=False), nn.BatchNorm2d(writes), nn.ReLU())


STRANGERS: dict[str, Callable[[], nn.Module]] = {
    "unet": UNet,
    "resnet18": lambda: torchvision.models.resnet18(num_classes=5),
    "mobilenet_v2": lambda: torchvision.models.mobilenet_v2(num_classes=5),
    "densenet121": lambda: torchvision.models.densenet121(num_classes=5),
}


def stranger(name: str) -> nn.Module:
    """One of `STRANGERS`, in which every map matters, ready to predict."""
    torch.manual_seed(0)
    network = STRANGERS[name]()
    hooks = [m.register_forward_hook(standardize) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
            for values in (norm.weight, norm.bias, norm.running_mean):
                values.copy_(torch.rand(values.shape) + 0.2)
        network.eval()(images())
    for hook in hooks:
        hook.remove()
    return network


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def counted(network: nn.Module, x: Tensor) -> int:
    """Multiply-adds of convolutions and linear layers, as they run."""
    counts = []

    def count(layer, _, leaving):
        counts.append(leaving.numel() * layer.weight[0].numel())

    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network.eval()(x)
    for hook in hooks:
        hook.remove()
    return sum(counts)


class Counted:
    """In place of a stopwatch: the multiply-adds of a network, in millions."""

    relative = False

    def __init__(self, network: nn.Module, example: ExampleInput, *_: object, **__: object) -> None:
        self.example = example
        self.base = self(network)

    def __call__(self, network: nn.Module) -> float:
        return counted(copy.deepcopy(network), *self.example.inputs) / 1e6


class Macs:
    """In place of the cost models: each is this one."""

    @staticmethod
    def get(*_: object) -> type[MacCost]:
        return MacCost


def count_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock: what a job would measure is counted."""
    monkeypatch.setattr("gaze.pruning.methods.job.Stopwatch", Counted)
    monkeypatch.setattr("gaze.pruning.methods.job.load_or_measure", lambda *_: None)
    monkeypatch.setattr("gaze.pruning.methods.job.COSTS", Macs)
