"""Prunes base networks with every criterion to a chain of budgets, and compares what comes out.

    python tests/benchmarks/pruning_study.py run STORES OUT NAME=CHECKPOINT... [--jobs 2] [--only NAME]
        [--criteria A,B] [--set KEY=VALUE]
    python tests/benchmarks/pruning_study.py table STORES OUT [--split val]

STORES holds `osie.h5`, `eyecrowd.h5` and `scene500.h5`, as `gaze.prepare` writes them. `run` starts, for each base and
criterion, a chain of `python -m gaze.prune`, each going on from the network that the one before it left:
OUT/NAME/CRITERION/BUDGET holds a link, OUT/NAME/CRITERION/BUDGET.log what it printed. Budgets are shares of the
unpruned network's time; a link is told the share that is left to reach from where the last one ended. A link that
cannot meet its budget still counts, and ends its chain. What is done is not done again: start it as often as you like.
`table` times and scores all that there is by now, see `frontier.py`.

All criteria see the same images, updates and seed. The time is that of ONNX Runtime on one thread, and relative to the
base, which is timed in turn, so chains may run side by side.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

CRITERIA = ("fisher", "fisher_macs", "fisher_uncosted", "taylor", "magnitude", "random")
BUDGETS = (0.7, 0.5, 0.35, 0.25)
SETS = ("osie", "eyecrowd", "scene500")
SIZE = (320, 240)
"""Width and height of the image that is timed, pixels."""

LEAST = 0.95
"""A link whose predecessor went too far is still asked for this share of it."""

SETTINGS = (
    f"data=[{','.join(SETS)}]",
    f"size=[{SIZE[0]},{SIZE[1]}]",
    "distill.weight=0",
    "rounds=11",
    "pruner.multiple=8",
    "schedule={updates_per_removal: 3, maps_per_removal: null, removals: 12, removals_per_surgery: 3,"
    " finetune_updates: 36}",
    "loader.workers=1",
    "loader.batch_size=4",
    "trainer.threads=1",
    "trainer.progress=false",
    "seed=1",
)


@dataclass(frozen=True)
class Chain:
    """One base network and one criterion."""

    name: str
    checkpoint: Path
    criterion: str
    out: Path
    more: tuple[str, ...] = ()
    """Settings beside `SETTINGS`, which they override."""

    @property
    def latency(self) -> Path:
        """The latency table of the base."""
        return self.out / self.name / "latency.json"

    def link(self, budget: float) -> Path:
        """Folder of a link."""
        return self.out / self.name / self.criterion / f"{budget:.2f}"


class Progress:
    """One line a finished link."""

    def __init__(self, links: int) -> None:
        self.links, self.done, self.lock = links, 0, Lock()

    def tell(self, chain: Chain, budget: float, text: str) -> None:
        """Prints it."""
        with self.lock:
            self.done += 1
            count, clock = f"[{self.done}/{self.links}]", time.strftime("%H:%M")
            print(f"{count} {clock} {chain.name} {chain.criterion} {budget}: {text}", flush=True)


def run(
    stores: Path, out: Path, bases: dict[str, Path], criteria: list[str], jobs: int, more: tuple[str, ...] = ()
) -> bool:
    """Prunes all that is not pruned yet; returns whether no link crashed."""
    chains = [Chain(name, path, criterion, out, more) for name, path in bases.items() for criterion in criteria]
    for chain in chains:
        if not chain.latency.is_file():  # measured before anything runs beside it
            prune(chain, chain.checkpoint, BUDGETS[0], chain.link(BUDGETS[0]), stores)
    progress = Progress(len(chains) * len(BUDGETS))
    with ThreadPoolExecutor(jobs) as pool:
        return all(list(pool.map(lambda chain: run_chain(chain, stores, progress), chains)))


def run_chain(chain: Chain, stores: Path, progress: Progress) -> bool:
    """Runs the links of a chain, one after the other; returns whether none crashed."""
    checkpoint, reached = chain.checkpoint, 1.0
    for budget in BUDGETS:
        folder, start = chain.link(budget), time.monotonic()
        if todo := not finished(folder):
            prune(chain, checkpoint, min(LEAST, budget / reached), folder, stores)
        if not finished(folder):
            progress.tell(chain, budget, f"failed, see {folder}.log")
            return False
        outcome = json.loads((folder / "pruning.json").read_text())
        reached *= outcome["after_ms"] / outcome["before_ms"]
        met = "" if outcome["met"] else "budget not met, "
        took = f"{(time.monotonic() - start) / 60:.1f} min" if todo else "was there already"
        progress.tell(chain, budget, f"{met}{reached:.3f} of the time, validation IG {outcome['after_gain']:.3f} bits, "
                      f"{took}")  # fmt: skip
        if not outcome["met"]:
            return True
        checkpoint = folder / "pruned.ckpt"
    return True


def prune(chain: Chain, checkpoint: Path, share: float, folder: Path, stores: Path) -> None:
    """One `gaze.prune`; what an interrupted one left is thrown away. The first of a base measures the latency table."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if chain.latency.is_file():
        shutil.copy(chain.latency, folder)
    settings = [f"sets.{name}.store={stores / name}.h5" for name in SETS]
    settings += [f"checkpoint={checkpoint}", f"budget={share:.4f}", f"pruner={chain.criterion}", f"out={folder}"]
    with Path(f"{folder}.log").open("w") as log:
        subprocess.run([sys.executable, "-m", "gaze.prune", *SETTINGS, *settings, *chain.more], stdout=log, stderr=log)
    if not chain.latency.is_file() and finished(folder):
        shutil.copy(folder / "latency.json", chain.latency)


def finished(folder: Path) -> bool:
    """Whether a link is done, with its budget met or not."""
    return all((folder / name).is_file() for name in ("pruned.ckpt", "pruning.json"))


def named(pairs: list[str]) -> Iterator[tuple[str, Path]]:
    """`NAME=CHECKPOINT` taken apart."""
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not Path(path).is_file():
            sys.exit(f"{pair}: expected NAME=CHECKPOINT with a checkpoint that exists")
        yield name, Path(path).absolute()


def remember(path: Path, bases: dict[str, Path]) -> None:
    """Writes down where the bases lie, beside those of earlier runs, for `table`."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known | {name: str(checkpoint) for name, checkpoint in bases.items()}, indent=1) + "\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs, table = verbs.add_parser("run"), verbs.add_parser("table")
    for verb in (runs, table):
        verb.add_argument("stores", type=Path)
        verb.add_argument("out", type=Path)
    runs.add_argument("bases", nargs="+", metavar="NAME=CHECKPOINT")
    runs.add_argument("--jobs", type=int, default=2)
    runs.add_argument("--only", metavar="NAME")
    runs.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of gaze.prune, for every link")
    runs.add_argument("--criteria", default=",".join(CRITERIA))
    table.add_argument("--split", choices=("val", "test"), default="val")
    arguments = parser.parse_args()
    stores, out = arguments.stores.absolute(), arguments.out.absolute()
    if arguments.verb == "table":
        from frontier import write_table  # torch, which `run` needs not

        write_table(stores, out, arguments.split)
        return
    bases = {n: path for n, path in named(arguments.bases) if arguments.only in (None, n)}
    criteria = arguments.criteria.split(",")
    if unknown := set(criteria) - set(CRITERIA):
        sys.exit(f"--criteria: expected some of {', '.join(CRITERIA)}, got {', '.join(sorted(unknown))}")
    remember(out / "bases.json", bases)
    sys.exit(0 if run(stores, out, bases, criteria, arguments.jobs, tuple(arguments.set)) else 1)


if __name__ == "__main__":
    main()
