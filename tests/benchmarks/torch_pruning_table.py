"""Compares Fisher pruning with Torch-Pruning: the same network, photographs, updates and measured time.

    python tests/benchmarks/torch_pruning_table.py run OUT PHOTOS... [--methods fisher,taylor] [--budgets 0.5]
    python tests/benchmarks/torch_pruning_table.py table OUT

torchvision's ResNet-18 learns by how many quarter turns a photograph was turned; every fifth of those in the folders
PHOTOS is kept for the test. `run` fills OUT a cell at a time: the trained network, then from it one for each method,
budget and seed. What is there is not done again, so it may be stopped, and started twice to share the work. `table`
times all networks in one run and writes `torch_pruning.md`, `.json` and `.png`.

Every cell has `UPDATES` updates of the same examples, the same optimiser and rates, and widths in multiples of 8. Maps
leave every `EVERY` updates until the measured time fits the budget, along a geometric path that ends at the budget
after `REMOVALS` of them: of predicted milliseconds for gaze, which weighs its signal against them or against MACs, and
of MACs for Torch-Pruning (Fang et al. 2023, arXiv 2301.12900), which takes small steps, as its own benchmarks do, until
its MACs are those of the path. One stopwatch measures both after each removal, and both end on the median of fresh
measurements. What is left of the updates trains on.

Torch-Pruning replaces parameters, for which its examples make a new optimiser. Here the momentum of what stays is
carried over, as it is for gaze. Its Taylor importance reads the gradients of the same examples that Fisher reads.

The stopwatch runs a network and the unpruned one in turn, so each finds the caches full of the other; `table` has each
run twice and counts the second. Where weights are what takes time, as here, the shares of `table` are smaller.
"""

import argparse
import copy
import fcntl
import json
import logging
import math
import os
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import torch_pruning as tp
import torchvision
from frontier import take_turns
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gaze.files import write_atomic
from gaze.models.widths import widths
from gaze.pruning.cost.engines import ENGINES
from gaze.pruning.cost.engines.onnx_profile import cpu_session
from gaze.pruning.cost.example_input import ExampleInput, exported_whole
from gaze.pruning.cost.stopwatch import Stopwatch
from gaze.pruning.methods.budget import CONFIRMATIONS
from gaze.pruning.methods.candidates import Rules
from gaze.pruning.methods.fisher_pruning import FisherPruning
from gaze.pruning.methods.job import Job

SIDE, STORED = 48, 60
"""Pixels of what the network sees, and of the photograph that it is cut from."""

BATCH, TEST_EVERY, CLASSES = 16, 5, 4
BASE_UPDATES, BASE_RATE = 1500, 0.03
UPDATES, RATE = 150, 0.01
EVERY, REMOVALS = 5, 12
MULTIPLE, ROUNDS = 8, 11
BUDGETS, SEEDS = (0.7, 0.5, 0.35), (1, 2)
ROUNDS_AT_LAST = 31
STEPS = 100
"""Of Torch-Pruning, from all channels to none; finer ones than its rounding would change nothing."""

EXAMPLE = torch.zeros(1, 3, SIDE, SIDE)


@dataclass(frozen=True)
class Cell:
    """One network of the table."""

    method: str
    budget: float
    seed: int

    @property
    def key(self) -> str:
        """The stem of its files."""
        return f"{self.method}-{self.budget:.2f}-{self.seed}"


BASE = Cell("unpruned", 1.0, 0)


@dataclass(frozen=True)
class Peer:
    """How Torch-Pruning chooses: an importance, and among which channels it ranks."""

    importance: Callable[[], Callable[..., Tensor]]
    scope: Mapping[str, bool]


TAYLOR, MAGNITUDE = tp.importance.GroupTaylorImportance, tp.importance.GroupMagnitudeImportance
GLOBAL = {"global_pruning": True}
OURS = {"fisher": "Fisher, measured time", "fisher_macs": "Fisher, MACs"}
PEERS = {
    "taylor": Peer(TAYLOR, {}),
    "taylor_global": Peer(TAYLOR, GLOBAL),
    "taylor_isomorphic": Peer(TAYLOR, GLOBAL | {"isomorphic": True}),
    "magnitude": Peer(MAGNITUDE, {}),
    "magnitude_global": Peer(MAGNITUDE, GLOBAL),
}
NAMES = OURS | {
    "taylor": "Torch-Pruning, Taylor, each layer alike",
    "taylor_global": "Torch-Pruning, Taylor, global",
    "taylor_isomorphic": "Torch-Pruning, Taylor, isomorphic",
    "magnitude": "Torch-Pruning, magnitude, each layer alike",
    "magnitude_global": "Torch-Pruning, magnitude, global",
}
STYLES = {
    "fisher": ("#D55E00", "o", "-"),
    "fisher_macs": ("#0072B2", "s", "-"),
    "taylor": ("#009E73", "^", "--"),
    "taylor_global": ("#009E73", "v", ":"),
    "taylor_isomorphic": ("#56B4E9", "D", "--"),
    "magnitude": ("#CC79A7", "P", "--"),
    "magnitude_global": ("#CC79A7", "X", ":"),
}

SHOWN = {"loss": "cross-entropy of the test, nats", "accuracy": "accuracy of the test"}
MEANT = ("ms", "ratio", "loss", "accuracy", "macs")
"""Of a row, what is averaged over seeds."""


class Turned(Dataset[tuple[Tensor, int]]):
    """Crops of photographs, turned by 0 to 3 quarters; each draw depends on the seed and its place alone."""

    def __init__(self, photos: NDArray[np.uint8], length: int, seed: int) -> None:
        self.photos, self.length, self.seed = photos, length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        draw = np.random.default_rng((self.seed, index))
        photo = self.photos[draw.integers(len(self.photos))]
        top, left = draw.integers(0, STORED - SIDE + 1, 2)
        crop = photo[top : top + SIDE, left : left + SIDE]
        turns = int(draw.integers(CLASSES))
        return pixels(np.rot90(crop[:, ::-1] if draw.integers(2) else crop, turns)), turns


def pixels(crop: NDArray[np.uint8]) -> Tensor:
    """Rows x columns x 3 of 0 to 255 to 3 x rows x columns around 0."""
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))).float().div(64).sub(2)


def load_photos(folders: list[Path], out: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Small squares from the middle of the photographs, for training and for the test; kept in `out`."""
    kept = out / "photos.npz"
    if not kept.is_file():
        paths = [path for folder in folders for path in sorted(folder.rglob("*.jpg"))]
        if len(paths) < 100:
            sys.exit(f"PHOTOS: expected at least 100 photographs (.jpg), got {len(paths)}")
        squares = np.stack([square(path) for path in paths])
        test = np.arange(len(squares)) % TEST_EVERY == 0
        buffer = BytesIO()
        np.savez(buffer, train=squares[~test], test=squares[test])
        write_atomic(kept, buffer.getvalue(), overwrite=True)
    with np.load(kept) as found:
        return found["train"], found["test"]


def square(path: Path) -> NDArray[np.uint8]:
    """The largest square in the middle of a photograph, `STORED` pixels wide."""
    image = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return cv2.resize(image[top : top + side, left : left + side], (STORED, STORED), interpolation=cv2.INTER_AREA)


@torch.no_grad()
def tested(network: nn.Module, photos: NDArray[np.uint8]) -> dict[str, float]:
    """Cross-entropy (nats) and accuracy over the middles of photographs, each turned in all four ways."""
    edge = (STORED - SIDE) // 2
    upright = torch.stack([pixels(photo[edge : edge + SIDE, edge : edge + SIDE]) for photo in photos])
    loss, right = 0.0, 0
    network.eval()
    for turns in range(CLASSES):
        for part in torch.rot90(upright, turns, (2, 3)).split(64):
            said, wanted = network(part), torch.full((len(part),), turns)
            loss += float(F.cross_entropy(said, wanted, reduction="sum"))
            right += int((said.argmax(1) == wanted).sum())
    count = CLASSES * len(photos)
    return {"loss": loss / count, "accuracy": right / count}


class Learner(pl.LightningModule):
    """Stochastic gradient descent with momentum, whose rate rises shortly and falls to zero."""

    def __init__(self, network: nn.Module, rate: float, updates: int) -> None:
        super().__init__()
        self.network, self.peak, self.updates = network, rate, updates

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Cross-entropy, the mean over the batch."""
        x, turns = batch
        return F.cross_entropy(self.network(x), turns)

    def configure_optimizers(self) -> Any:
        """Of all parameters in one group."""
        optimizer = torch.optim.SGD(self.parameters(), self.peak, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate(self, step: int) -> float:
        """Factor of the rate at a step."""
        return min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * step / self.updates))


class TorchPruning(pl.Callback):
    """Torch-Pruning on the schedule of `FisherPruning`.

    Attributes:
        finished: the update of the last removal; None while pruning goes on.
        removals: how many there were.
        met: whether the measured time fits the budget.
    """

    def __init__(self, peer: Peer, stopwatch: Stopwatch, budget: float) -> None:
        self.peer, self.stopwatch, self.budget = peer, stopwatch, budget
        self.finished: int | None = None
        self.removals, self.met = 0, False

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Finds what can leave together."""
        self.network: Any = module.network
        self.pruner = tp.pruner.BasePruner(
            self.network, EXAMPLE, importance=self.peer.importance(), pruning_ratio=1.0, iterative_steps=STEPS,
            ignored_layers=[self.network.fc], round_to=MULTIPLE, **self.peer.scope,
        )  # fmt: skip
        self.network.train()  # building the graph leaves it in eval()
        self.macs = self.base = macs(self.network)
        self.forget()

    def forget(self) -> None:
        """Begins the sum of gradients anew."""
        self.gradients = {name: torch.zeros_like(p) for name, p in self.network.named_parameters()}

    def on_after_backward(self, trainer: pl.Trainer, module: Any) -> None:
        """Sums the gradients up, as Torch-Pruning's examples do over some batches."""
        for name, parameter in self.network.named_parameters():
            self.gradients[name] += parameter.grad

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Removes when it is time to, and measures."""
        if self.finished is not None or trainer.global_step % EVERY:
            return
        self.removals += 1
        more = self.remove(trainer.optimizers[0], self.base * self.budget ** (self.removals / REMOVALS))
        measured = self.stopwatch(self.network)
        if measured <= self.budget * self.stopwatch.base:
            measured = statistics.median(self.stopwatch(self.network) for _ in range(CONFIRMATIONS))
        self.met = measured <= self.budget * self.stopwatch.base
        if self.met or not more:
            self.finished = trainer.global_step
        self.forget()

    def remove(self, optimizer: torch.optim.Optimizer, goal: float) -> bool:
        """Takes steps until so many MACs are left; returns whether there are more steps."""
        state = optimizer.state
        momentum = {name: state[p]["momentum_buffer"] for name, p in self.network.named_parameters()}
        while self.macs > goal and self.pruner.current_step < STEPS:
            self.step(momentum)
        optimizer.param_groups[0]["params"] = list(self.network.parameters())
        optimizer.state = defaultdict(
            dict, {p: {"momentum_buffer": momentum[name]} for name, p in self.network.named_parameters()}
        )
        return self.pruner.current_step < STEPS

    def step(self, momentum: dict[str, Tensor]) -> None:
        """One step. Torch-Pruning cuts gradients as it cuts parameters: what they hold tells which places stay."""
        before = dict(self.network.named_parameters())
        for name, parameter in before.items():
            parameter.grad = self.gradients[name]
        count = 0
        for count, group in enumerate(self.pruner.step(interactive=True), 1):
            if count == 1:  # all importances are known by now
                for parameter in before.values():
                    parameter.grad = torch.arange(float(parameter.numel())).view(parameter.shape)
            group.prune()
        for name, parameter in self.network.named_parameters():
            if parameter is not before[name]:
                for kept in (self.gradients, momentum):
                    kept[name] = kept[name].flatten()[parameter.grad.long()]
        self.network.zero_grad()
        if count:
            self.macs = macs(self.network)
            self.network.train()


def macs(network: nn.Module) -> float:
    """Multiply-adds of one image, as Torch-Pruning counts them."""
    return float(tp.utils.count_ops_and_params(network, EXAMPLE)[0])


def trained(network: nn.Module, photos: NDArray[np.uint8], rate: float, updates: int, seed: int,
            *callbacks: pl.Callback) -> None:  # fmt: skip
    """Trains a network for so many updates."""
    pl.seed_everything(seed, verbose=False)
    data = DataLoader(Turned(photos, updates * BATCH, seed), batch_size=BATCH)
    pl.Trainer(
        accelerator="cpu", devices=1, max_steps=updates, max_epochs=1, callbacks=list(callbacks), logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    ).fit(Learner(network, rate, updates), data)  # fmt: skip


def make_base(train: NDArray[np.uint8], out: Path) -> nn.Module:
    """The unpruned network, trained where it is not there yet."""
    torch.manual_seed(0)
    network, path = torchvision.models.resnet18(num_classes=CLASSES), out / "base.pt"
    if not path.is_file():
        trained(network, train, BASE_RATE, BASE_UPDATES, 0)
        buffer = BytesIO()
        torch.save(network.state_dict(), buffer)
        write_atomic(path, buffer.getvalue(), overwrite=True)
    network.load_state_dict(torch.load(path))
    return network


def make_job(base: nn.Module, out: Path, method: str, budget: float) -> Job:
    """Of gaze; all cells share a latency table."""
    schedule = {"updates_per_removal": EVERY, "maps_per_removal": None, "removals": REMOVALS,
                "removals_per_surgery": 1, "finetune_updates": UPDATES}  # fmt: skip
    return Job.of(
        base, EXAMPLE, out / "jobs" / f"{method}-{budget}-{os.getpid()}", budget=budget, pruner=method,
        schedule=schedule, rules=Rules(multiple=MULTIPLE), rounds=ROUNDS, latency=out / "latency.json", progress=False,
    )  # fmt: skip


def pruned(base: nn.Module, train: NDArray[np.uint8], out: Path, cell: Cell) -> tuple[nn.Module, dict[str, Any]]:
    """A copy of the base after the updates of a cell, and how its pruning went."""
    network = copy.deepcopy(base)
    if cell.method in OURS:
        ours = FisherPruning.of(make_job(base, out, cell.method, cell.budget))
        trained(network, train, RATE, UPDATES, cell.seed, ours)
        return network, {"met": ours.met, "finished": ours.finished, "removals": ours.removals}
    stopwatch = Stopwatch(base, ExampleInput.of(EXAMPLE), ENGINES.get("onnxruntime")(1), ROUNDS, relative=True)
    theirs = TorchPruning(PEERS[cell.method], stopwatch, cell.budget)
    trained(network, train, RATE, UPDATES, cell.seed, theirs)
    return network, {"met": theirs.met, "finished": theirs.finished, "removals": theirs.removals}


def keep(network: nn.Module, test: NDArray[np.uint8], cell: Cell, out: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Scores a network and writes it and what is known of it down, the facts last."""
    scored = vars(cell) | facts | tested(network, test) | {"macs": macs(network), "widths": widths(network)}
    write_atomic(out / f"{cell.key}.onnx", exported_whole(network, [EXAMPLE]), overwrite=True)
    write_atomic(out / f"{cell.key}.json", (json.dumps(scored) + "\n").encode(), overwrite=True)
    return scored


@contextmanager
def alone(path: Path, wait: bool) -> Iterator[bool]:
    """Whether no other process does this; it may begin again if the process dies."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield True
        except BlockingIOError:
            yield False


def run(out: Path, photos: list[Path], cells: list[Cell]) -> None:
    """Makes the cells that are not there."""
    out.mkdir(parents=True, exist_ok=True)
    with alone(out / "base.lock", wait=True):
        train, test = load_photos(photos, out)
        base = make_base(train, out)
        if not (out / f"{BASE.key}.json").is_file():
            make_job(base, out, "fisher", 0.5).measure_costs()
            found = keep(base, test, BASE, out, {"met": True, "finished": 0, "removals": 0})
            print(f"base: loss {found['loss']:.3f}, accuracy {found['accuracy']:.3f}", flush=True)
    for cell in cells:
        with alone(out / f"{cell.key}.lock", wait=False) as mine:
            if mine and not (out / f"{cell.key}.json").is_file():
                start = time.process_time()
                network, facts = pruned(base, train, out, cell)
                found = keep(network, test, cell, out, facts)
                print(f"{cell.key}: loss {found['loss']:.3f}, accuracy {found['accuracy']:.3f}, met {found['met']}, "
                      f"{time.process_time() - start:.0f} s of a core", flush=True)  # fmt: skip


def collect(out: Path) -> list[dict[str, Any]]:
    """What is known of every network, and its time: all take turns in one run."""
    rows = [json.loads(path.read_text()) for path in sorted(out.glob("*-*-*.json"))]
    sessions = [cpu_session((out / f"{key(row)}.onnx").read_bytes(), threads=1) for row in rows]
    runs = {key(row): partial(s.run, None, {"x0": EXAMPLE.numpy()}) for row, s in zip(rows, sessions, strict=True)}
    times = take_turns(runs, ROUNDS_AT_LAST, clock=time.thread_time)  # a session of one thread runs in this one
    for row in rows:
        low, ms, high = np.percentile(times[key(row)], (25, 50, 75))
        ratio = float(np.median(times[key(row)] / times[BASE.key]))
        row |= {"ms": ms, "low": low, "high": high, "ratio": ratio}
    return rows


def key(row: Mapping[str, Any]) -> str:
    """Of the cell that a row is about."""
    return Cell(row["method"], row["budget"], row["seed"]).key


def over_seeds(rows: list[dict[str, Any]]) -> dict[tuple[str, float], dict[str, Any]]:
    """The means over seeds by method and budget, with half the range of the loss as `spread`."""
    found = defaultdict(list)
    for row in rows:
        found[row["method"], row["budget"]].append(row)
    means = {}
    for name, seeds in found.items():
        losses = [row["loss"] for row in seeds]
        mean = {what: float(np.mean([row[what] for row in seeds])) for what in MEANT}
        more = {"spread": (max(losses) - min(losses)) / 2, "met": all(row["met"] for row in seeds), "seeds": len(seeds)}
        means[name] = mean | more
    return means


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table: a row a method, a column a budget."""
    means = over_seeds(rows)
    whole, budgets = means[BASE.method, BASE.budget], sorted({row["budget"] for row in rows} - {BASE.budget})[::-1]
    base = next(row for row in rows if row["method"] == BASE.method)
    lines = [["", *(f"budget {budget:g}" for budget in budgets)], ["---", *["---:"] * len(budgets)]]
    for method, name in NAMES.items():
        if cells := [means.get((method, budget)) for budget in budgets]:
            lines.append([name, *map(told, cells)])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    spread = f"quartiles {base['low']:.2f} to {base['high']:.2f}"
    return f"**ResNet-18**, unpruned: {told(whole)}, {spread}, {whole['macs'] / 1e6:.0f} million MACs\n\n{table}\n"


def told(mean: Mapping[str, Any] | None) -> str:
    """A network, or its seeds, in the table."""
    if mean is None:
        return "–"
    star, spread = "" if mean["met"] else " \\*", f" ± {mean['spread']:.3f}" if mean["seeds"] > 1 else ""
    return f"{mean['ms']:.2f} ms ({mean['ratio']:.2f}), {mean['loss']:.3f}{spread}, {100 * mean['accuracy']:.1f}%{star}"


def draw(rows: list[dict[str, Any]]) -> bytes:
    """Milliseconds against the loss and the accuracy: a line a method through the means, a dot a seed."""
    means, figure = over_seeds(rows), Figure(figsize=(11, 5.2), layout="constrained")
    whole = means[BASE.method, BASE.budget]
    for axes, (what, title) in zip(figure.subplots(1, 2), SHOWN.items(), strict=True):
        for method, (color, marker, dashes) in reversed(STYLES.items()):  # gaze's lie on top
            own = [whole, *(means[place] for place in sorted(means, reverse=True) if place[0] == method)]
            width = 2.4 if method == "fisher" else 1.4
            axes.plot([m["ms"] for m in own], [m[what] for m in own], dashes, color=color, lw=width, marker=marker,
                      markevery=slice(1, None), label=NAMES[method])  # fmt: skip
            seeds = [row for row in rows if row["method"] == method]
            axes.plot([r["ms"] for r in seeds], [r[what] for r in seeds], ".", color=color, ms=4, alpha=0.6)
        axes.plot(whole["ms"], whole[what], "*", color="black", ms=14, label="unpruned")
        axes.set(xlabel="ms an image, ONNX Runtime, one thread", ylabel=title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper center", ncols=3, frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def write_table(out: Path) -> None:
    """Times all and writes table, numbers and picture."""
    rows = collect(out)
    print(text := markdown(rows))
    for suffix, content in (("md", text.encode()), ("json", json.dumps(rows).encode()), ("png", draw(rows))):
        write_atomic(out / f"torch_pruning.{suffix}", content, overwrite=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs, table = verbs.add_parser("run"), verbs.add_parser("table")
    for verb in (runs, table):
        verb.add_argument("out", type=Path)
    runs.add_argument("photos", type=Path, nargs="+")
    for name, default in (("methods", NAMES), ("budgets", BUDGETS), ("seeds", SEEDS)):
        runs.add_argument(f"--{name}", default=",".join(map(str, default)))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    if given.verb == "table":
        write_table(given.out)
        return
    budgets, seeds = (given.budgets.split(","), given.seeds.split(","))
    order = [(float(budget), int(seed), method) for budget in budgets for seed in seeds
             for method in given.methods.split(",")]  # fmt: skip
    run(given.out, given.photos, [Cell(method, budget, seed) for budget, seed, method in order])


if __name__ == "__main__":
    main()
