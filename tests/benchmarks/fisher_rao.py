"""Draws the Fisher-Rao norm of runs side by side, and checks what it is read as: the drop that a removal costs.

    python tests/benchmarks/fisher_rao.py picture OUT.png RUN...
    python tests/benchmarks/fisher_rao.py check CHECKPOINT STORE OUT [--split train] [--photographs 48]
        [--weights 150] [--maps 150] [--longer-side PIXELS]

`picture` takes the folders of trainings and prunings that ran with `norm.every=N`. `check` sets weights and maps, drawn
at random, to zero one at a time, in float64, and compares the drop of the log likelihood of the fixations on the
photographs with the one expected of it, F_i theta_i^2 / 2 with the empirical and the model's Fisher information, in
bits per fixation. It prints Spearman's rank correlation, and the mean of both: the mean over all parameters is the
diagonal norm over their number. OUT gets `removals.csv` and `removals.png`.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import Tensor, nn

from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import GazeDataset
from gaze.data.store import FixationStore
from gaze.models import STRIDE, GazeNetwork, load_network
from gaze.models.config import resized
from gaze.pruning import DiagonalFisher, Fisher, Gates, find_groups
from gaze.pruning.pictures import draw_norms
from gaze.training.fisher_rao_norm import NORMS, curves
from gaze.training.likelihood import KINDS, Photographs, estimate, photographs
from gaze.training.losses import information_gain

Row = dict[str, str | float]


class Exact(nn.Module):
    """A network in float64 from end to end."""

    def __init__(self, network: GazeNetwork) -> None:
        super().__init__()
        self.network = network.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        """See `GazeNetwork.forward`."""
        readout = self.network.readout(self.network.backbone(images))
        return self.network.finalizer(readout, (images.shape[1] // STRIDE, images.shape[2] // STRIDE))


@torch.no_grad()
def bits(network: nn.Module, sample: list[Photographs]) -> float:
    """Bits per fixation over the uniform density, mean over the photographs."""
    return float(torch.cat([information_gain(network(batch.image), batch.target.double()) for batch in sample]).mean())


def expected(network: Exact, sample: list[Photographs], kind: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The expected drop of each weight by parameter, and of each map by group."""
    weights, maps = DiagonalFisher(network.network), Fisher(network.network, find_groups(network.network))
    for estimator in (weights, maps):
        estimate(network, estimator, iter(sample), kind, 0)
        estimator.detach()
    values = dict(network.network.named_parameters())
    drops = {name: f * values[name].detach().square() / 2 for name, f in weights.information().items()}
    return drops, maps.values()


def drawn(values: dict[str, Tensor], count: int, seed: int) -> list[tuple[str, int]]:
    """Places among all of `values`, each as likely as any other."""
    names = [(name, k) for name, value in values.items() for k in range(value.numel())]
    chosen = np.random.default_rng(seed).permutation(len(names))[:count]
    return [names[i] for i in chosen]


def without_weight(network: Exact, name: str, place: int, measure: Callable[[], float]) -> float:
    """What `measure` says while a weight is zero."""
    weight = network.network.get_parameter(name).detach().reshape(-1)
    kept = float(weight[place])
    weight[place] = 0
    found = measure()
    weight[place] = kept
    return found


def without_map(network: Exact, name: str, place: int, measure: Callable[[], float]) -> float:
    """What `measure` says while a map is closed."""
    gates = Gates(network.network, find_groups(network.network))
    gates.close(name, [place])
    found = measure()
    gates.detach()
    return found


def check(arguments: argparse.Namespace) -> list[Row]:
    """The rows of `removals.csv`."""
    loaded = load_network(arguments.checkpoint)
    if arguments.longer_side:
        loaded.config = resized(loaded.config, arguments.longer_side)
    rule = InputRule(loaded.config.input.longer_side, loaded.config.input.multiple)
    store = FixationStore(arguments.store)
    dataset = GazeDataset([store], arguments.split, rule, STRIDE, AugmentConfig(0, 0, 1, 0))
    network, sample = Exact(loaded), list(photographs(dataset, arguments.photographs, 0))
    drops = {kind: expected(network, sample, kind) for kind in KINDS}
    before, rows = bits(network, sample), list[Row]()
    print(f"{before:.4f} bits per fixation over uniform on {sum(len(b.image) for b in sample)} photographs", flush=True)
    for index, (theta, count, without) in enumerate(
        (("weights", arguments.weights, without_weight), ("maps", arguments.maps, without_map))
    ):
        for name, place in drawn(drops[KINDS[0]][index], count, 1):
            after = without(network, name, place, lambda: bits(network, sample))
            foretold = {kind: float(drops[kind][index][name].reshape(-1)[place]) for kind in KINDS}
            rows.append({"theta": theta, "name": name, "place": place, "drop": before - after, **foretold})
    return rows


def told(rows: list[Row]) -> None:
    """Prints what came of it."""
    print(
        "| removed | n | Fisher | Spearman | Spearman, size of the change | mean expected | mean real | median ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for theta in ("weights", "maps"):
        chosen = [row for row in rows if row["theta"] == theta]
        real = np.array([float(row["drop"]) for row in chosen])
        for kind in KINDS:
            foretold = np.array([float(row[kind]) for row in chosen])
            rank, size = (float(spearmanr(foretold, y).statistic) for y in (real, np.abs(real)))
            ratio = float(np.median(foretold[real != 0] / np.abs(real[real != 0])))
            print(f"| {theta} | {len(chosen)} | {kind} | {rank:.2f} | {size:.2f} | {foretold.mean():.3g} | "
                  f"{real.mean():.3g} | {ratio:.3g} |")  # fmt: skip


def draw(rows: list[Row], path: Path) -> None:
    """Real over expected drop, weights beside maps."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    for axis, theta in zip(figure.subplots(1, 2), ("weights", "maps"), strict=True):
        chosen = [row for row in rows if row["theta"] == theta]
        for kind, color in zip(KINDS, ("#cdd6e0", "#24567d"), strict=True):
            for sign, marker in ((1, "o"), (-1, "x")):
                pairs = [(float(r[kind]), abs(float(r["drop"]))) for r in chosen if sign * float(r["drop"]) > 0]
                x, y = np.array(pairs).reshape(-1, 2).T
                label = f"{kind} Fisher, {'drop' if sign > 0 else 'gain'}"
                axis.scatter(x, y, s=18, color=color, marker=marker, label=label)
        ends = [float(r[kind]) for r in chosen for kind in KINDS if float(r[kind]) > 0]
        axis.plot([min(ends), max(ends)], [min(ends), max(ends)], color="#333333", linewidth=1, linestyle="dashed")
        axis.set(xscale="log", yscale="log", title=theta, xlabel="expected drop (bits/fixation)",
                 ylabel="real change (bits/fixation)")  # fmt: skip
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    picture, checks = verbs.add_parser("picture"), verbs.add_parser("check")
    picture.add_argument("out", type=Path)
    picture.add_argument("runs", type=Path, nargs="+")
    checks.add_argument("checkpoint", type=Path)
    checks.add_argument("store", type=Path)
    checks.add_argument("out", type=Path)
    checks.add_argument("--split", choices=("train", "val", "test"), default="train")
    checks.add_argument("--photographs", type=int, default=48)
    checks.add_argument("--weights", type=int, default=150)
    checks.add_argument("--maps", type=int, default=150)
    checks.add_argument("--longer-side", type=int)
    arguments = parser.parse_args()
    if arguments.verb == "picture":
        draw_norms({run.name: curves(run / NORMS) for run in arguments.runs}, arguments.out)
        return
    start = time.monotonic()
    rows = check(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "removals.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, arguments.out / "removals.png")
    told(rows)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
