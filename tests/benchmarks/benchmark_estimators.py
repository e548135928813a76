"""Variance of the estimators that gates learn by, at equal cost: forward and backward passes.

    python tests/benchmarks/benchmark_estimators.py [--estimates 100] [--warm 200]

Two problems: four gates and a loss of their sixteen states, where the exact gradient is known; and a gaze network of a
few hundred maps on random photographs, its head drawn towards a spot. On each, every estimator first learns what it
learns, at log alpha that stays; then single estimates are taken. `variance` is summed over gates, of one estimate;
`at equal cost` is that times the passes of an update, weights' gradient included, over those of REINFORCE; `off` is
how far the mean is from the exact gradient, over its length (on the network from REBAR's mean: its own noise included).

The last tables set one sample a mini-batch beside one sample an example, on the network: `ms` is the median processor
time of an update's forward and backward passes, weights' gradient included, the two taken in turns; `at equal cost` is
the variance times that, over the time of one sample a mini-batch. `--samples` prints them alone.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import torch

from gaze.models import GazeNetwork, build_network
from gaze.models.config import BackboneConfig, FinalizerConfig, InputConfig, ModelConfig, ReadoutConfig
from gaze.pruning import find_groups
from gaze.pruning.methods.estimators import ESTIMATORS
from gaze.pruning.methods.estimators.base import GateEstimator, Losses
from gaze.pruning.methods.learnt_gates import LearntGates
from gaze.pruning.structure.gates import Multipliers
from gaze.pruning.structure.hard_concrete import HardConcrete

GATE = HardConcrete(2 / 3, -0.1, 1.1)
PASSES = {"concrete": 2, "reinforce": 2, "relax": 2, "rebar": 6}
"""Forward and backward; the small network of RELAX is not counted."""


def toy() -> tuple[torch.Tensor, Losses]:
    """log alpha and the loss of four gates."""
    mix = torch.tensor([[1.0, -0.6, 0.3, 0.5], [0.2, 0.9, -0.7, 0.4]])

    def loss(gates: torch.Tensor) -> torch.Tensor:
        return (gates @ mix.T - 0.45).square().sum(1) + gates.prod(1) + 3

    return torch.tensor([-1.5, 0.0, 0.8, 2.0]), loss


@dataclass(frozen=True)
class Tiny:
    """A small random network on a few photographs.

    Attributes:
        network: without gradients of its weights.
        log_alpha: of the gates on its maps.
        losses: gates, 1 or examples x maps, to the loss of each example in bits.
        examples: how many photographs.
    """

    network: GazeNetwork
    log_alpha: torch.Tensor
    losses: Losses
    examples: int

    def loss(self, gates: torch.Tensor) -> torch.Tensor:
        """The mean loss of each sample of gates."""
        return torch.stack([self.losses(row[None]).mean() for row in gates])


def tiny(center: float) -> Tiny:
    """With log alpha around `center`, on four photographs."""
    torch.manual_seed(0)
    backbone = BackboneConfig("lcnet_035", [2, 3, 4], "none", False, None, [])
    config = ModelConfig("tiny", InputConfig(64, 16), backbone, ReadoutConfig(8, [4, 1]), FinalizerConfig(1.0, [3, 4]))
    network: GazeNetwork = build_network(config).eval().requires_grad_(False)
    images = torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)
    fit_corner(network, images)
    maps = {group.name: group.maps for group in find_groups(network)}
    learnt, values = LearntGates(GATE, maps, set(), 0.0), [torch.ones(1, sum(maps.values()))]
    Multipliers(network, find_groups(network), learnt.places, lambda: values[0])

    def losses(gates: torch.Tensor) -> torch.Tensor:
        values[0] = gates
        return corner(network, images)

    return Tiny(network, center + torch.randn(sum(maps.values())), losses, len(images))


def corner(network: GazeNetwork, images: torch.Tensor) -> torch.Tensor:
    """Bits by which a spot in each photograph is missed, one number a photograph."""
    log_density = network(images)
    return -torch.logsumexp(log_density[:, 2:6, 2:6], (1, 2)) / torch.log(torch.tensor(2.0))


def fit_corner(network: GazeNetwork, images: torch.Tensor) -> None:
    """A few steps towards the spot, so that maps are worth something."""
    network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        corner(network, images).mean().backward()
        optimizer.step()
    network.requires_grad_(False)


def estimates(name: str, log_alpha: torch.Tensor, loss: Losses, warm: int, count: int) -> torch.Tensor:
    """count x gates."""
    estimator, generator = ESTIMATORS[name](GATE, len(log_alpha)), torch.Generator().manual_seed(0)
    found = []
    for _ in range(warm + count):
        leaf = log_alpha.clone().requires_grad_()
        losses = loss(estimator.draw(leaf, 1, generator))
        brought = torch.autograd.grad(losses.mean(), leaf)[0] if losses.requires_grad else torch.zeros_like(leaf)
        more = estimator.gradient(losses.detach(), loss)
        found.append(brought if more is None else brought + more)
    return torch.stack(found[warm:])


def update(small: Tiny, name: str, estimator: GateEstimator, samples: int, generator: torch.Generator) -> torch.Tensor:
    """The gradient of log alpha from the passes of an update, as `L0Pruning` makes them."""
    leaf, weights = small.log_alpha.clone().requires_grad_(), list(small.network.parameters())
    gates = estimator.draw(leaf, samples, generator)
    losses = small.losses(gates)
    found = torch.autograd.grad(losses.mean(), [leaf, *weights], allow_unused=True)[0]
    evaluate = small.losses if samples > 1 else small.loss
    seen = losses.detach() if samples > 1 else losses.detach().mean()[None]
    if samples > 1 and name != "concrete":
        with torch.no_grad():
            seen = evaluate(gates)  # a training tells the mean alone
    more = estimator.gradient(seen, evaluate)
    return sum((each for each in (found, more) if each is not None), torch.zeros_like(leaf))


def compare_samples(title: str, small: Tiny, args: argparse.Namespace) -> None:
    """Prints one sample a mini-batch beside one sample an example."""
    small.network.requires_grad_(True)
    print(f"\n{title}: one sample of the gates a mini-batch of {small.examples}, and one an example\n")
    print("| estimator | sample | variance | ms | at equal cost |\n|---|---|---:|---:|---:|")
    for name in args.samples or PASSES:
        found = in_turns(small, name, args.warm + args.estimates)
        base = statistics.median(taken for _, taken in found["mini-batch"][args.warm :])
        for kind, rows in found.items():
            variance = float(torch.stack([estimate for estimate, _ in rows[args.warm :]]).var(0).sum())
            ms = statistics.median(taken for _, taken in rows[args.warm :])
            print(f"| {name} | {kind} | {variance:.3g} | {ms:.1f} | {variance * ms / base:.3g} |")


def in_turns(small: Tiny, name: str, count: int) -> dict[str, list[tuple[torch.Tensor, float]]]:
    """Estimates and the milliseconds of each, with one sample a mini-batch and with one an example."""
    samples = {"mini-batch": 1, "example": small.examples}
    estimators = {kind: ESTIMATORS[name](GATE, len(small.log_alpha)) for kind in samples}
    generators = {kind: torch.Generator().manual_seed(0) for kind in samples}
    found: dict[str, list[tuple[torch.Tensor, float]]] = {kind: [] for kind in samples}
    for _ in range(count):
        for kind in samples:
            start = time.process_time()
            estimate = update(small, name, estimators[kind], samples[kind], generators[kind])
            found[kind].append((estimate, 1e3 * (time.process_time() - start)))
    return found


def exact(log_alpha: torch.Tensor, loss: Losses) -> torch.Tensor:
    """The gradient over all states."""
    leaf = log_alpha.clone().requires_grad_()
    opened = GATE.open_probability(leaf)
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * len(leaf))
    chances = (opened * states + (1 - opened) * (1 - states)).prod(1)
    return torch.autograd.grad((chances * loss(states)).sum(), leaf)[0]


def table(title: str, log_alpha: torch.Tensor, loss: Losses, truth: torch.Tensor | None, args) -> None:
    """Prints the rows of a problem."""
    found = {name: estimates(name, log_alpha, loss, args.warm, args.estimates) for name in PASSES}
    truth = found["rebar"].mean(0) if truth is None else truth
    print(f"\n{title}: {len(log_alpha)} gates\n\n| estimator | passes | variance | at equal cost | off |")
    print("|---|---:|---:|---:|---:|")
    for name, each in found.items():
        variance = float(each.var(0).sum())
        off = float((each.mean(0) - truth).norm() / truth.norm())
        cost = variance * PASSES[name] / PASSES["reinforce"]
        print(f"| {name} | {PASSES[name]} | {variance:.3g} | {cost:.3g} | {off:.2f} |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimates", type=int, default=100)
    parser.add_argument("--warm", type=int, default=200)
    parser.add_argument("--samples", nargs="*", choices=PASSES, help="only the last tables, of these or of all")
    args = parser.parse_args()
    if args.samples is None:
        log_alpha, loss = toy()
        table("four gates", log_alpha, loss, exact(log_alpha, loss), args)
        for center in (0.0, 3.0):
            small = tiny(center)
            table(f"tiny network, log alpha around {center:g}", small.log_alpha, small.loss, None, args)
    for center in (0.0, 3.0):
        compare_samples(f"tiny network, log alpha around {center:g}", tiny(center), args)


if __name__ == "__main__":
    main()
