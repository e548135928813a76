"""The log likelihood of the fixations on a photograph, and the Fisher information of a network that is had from it."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from gaze.data.dataset import Draw, GazeDataset
from gaze.pruning.information.weight_fisher import DiagonalFisher

EMPIRICAL, MODEL = "empirical", "model"
KINDS = (EMPIRICAL, MODEL)
"""The Fisher information of the fixations as they are, and of as many draws from the predicted density."""
BATCH = 8  # photographs a backward pass


@dataclass(frozen=True)
class Photographs:
    """Whole photographs of one size, as they are, with where people looked.

    Attributes:
        image: B x H x W x 3 uint8 RGB, at the size that the network sees.
        target: B x h x w, the share of the fixations in each cell, sum 1.
        fixations: B, how many there are; 1 where a set has a density alone.
    """

    image: Tensor
    target: Tensor
    fixations: Tensor


class Estimator(Protocol):
    """What takes in backward passes: `DiagonalFisher`, `FisherRao`."""

    def update(self, divisor: float) -> None:
        """See `Signal.update`."""


def photographs(dataset: GazeDataset, count: int | None, seed: int) -> Iterator[Photographs]:
    """A sample of a dataset's photographs, without what a teacher says of them; the same for the same seed.

    Args:
        dataset: to take from.
        count: how many at most; None takes all.
        seed: of the sample.
    """
    people = copy.copy(dataset)
    people.taught = None
    sizes: dict[object, list[int]] = {}
    for index in np.random.default_rng(seed).permutation(len(people))[:count].tolist():
        sizes.setdefault(people.sizes[index], []).append(index)
    for members in sizes.values():
        for chosen in (members[i : i + BATCH] for i in range(0, len(members), BATCH)):
            examples = default_collate([people[Draw(index)] for index in chosen])
            counts = torch.tensor([people.fixations(index) for index in chosen])
            yield Photographs(examples["image"], examples["target"], counts)


def score(log_density: Tensor, target: Tensor, fixations: Tensor) -> Tensor:
    """l_n / sqrt(K_n ln 2) of each photograph: the square of its gradient is information in bits per fixation.

    A photograph with K_n fixations has the log likelihood l_n = K_n sum target * log_density, in nats. Where F_n is
    the Fisher information of l_n, a small step d lowers l_n by d'F_n d / 2 nats, which is d'F_n d / (2 K_n ln 2) bits
    per fixation; the loss of a `GazeModule` is the mean of the bits per fixation over the photographs, and rises by
    the mean of this. (The gradient of that loss itself, squared, is smaller by the factor K_n ln 2.)

    Args:
        log_density: B x h x w, natural log, exp sums to 1 over each map.
        target: B x h x w, share of the fixations in each cell.
        fixations: B, how many there are.
    """
    return (target * log_density).sum((1, 2)) * (fixations / math.log(2)).sqrt()


def draws(log_density: Tensor, fixations: Tensor, generator: torch.Generator) -> Tensor:
    """Fixations that the network expects: the share in each cell of as many draws from its density, B x h x w.

    Args:
        log_density: B x h x w, natural log, exp sums to 1 over each map.
        fixations: B, how many to draw of each.
        generator: of the CPU.
    """
    density = log_density.detach().double().exp().flatten(1).cpu()
    drawn = [torch.multinomial(p, int(n), True, generator=generator) for p, n in zip(density, fixations, strict=True)]
    counts = torch.stack([torch.bincount(cells, minlength=density.shape[1]) / len(cells) for cells in drawn])
    return counts.reshape(log_density.shape).to(log_density)


def estimate(network: nn.Module, estimator: Estimator, sample: Iterator[Photographs], kind: str, seed: int) -> None:
    """Shows an estimator the backward passes of photographs' scores; network and gradients stay as they are.

    Args:
        network: photographs in, log densities out; it has the estimator's hooks.
        estimator: takes each pass in, with a divisor of 1.
        sample: what it is shown.
        kind: `empirical` or `model`.
        seed: of the model's draws.
    """
    generator = torch.Generator().manual_seed(seed)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    device = trained[0].device
    with evaluating(network), torch.enable_grad():
        for batch in sample:
            log_density, counts = network(batch.image.to(device)), batch.fixations.to(device)
            target = batch.target.to(device) if kind == EMPIRICAL else draws(log_density, counts, generator)
            torch.autograd.grad(score(log_density, target, counts).sum(), trained, allow_unused=True)
            estimator.update(1)


def fisher_information(network: nn.Module, sample: Iterator[Photographs], kind: str, seed: int) -> dict[str, Tensor]:
    """The diagonal Fisher information of each parameter, in bits per fixation for a step of one: see `score`.

    Returns:
        One tensor a parameter, by its name and in its shape, >= 0; none of what `ExampleGradients.left_out` names.
    """
    fisher = DiagonalFisher(network)
    try:
        estimate(network, fisher, sample, kind, seed)
    finally:
        fisher.detach()
    left_out = set(fisher.gradients.left_out())
    return {name: value for name, value in fisher.information().items() if name not in left_out}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module goes back to its own."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
