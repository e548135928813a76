"""Makes base networks small in several ways, to several budgets of time, and compares what comes out.

    python tests/benchmarks/pruning_study.py run STORES OUT NAME=CHECKPOINT... [--study criteria] [--rows A,B]
        [--budgets 0.5,0.25] [--seeds 1,2] [--jobs 2] [--only NAME] [--set KEY=VALUE]
    python tests/benchmarks/pruning_study.py table STORES OUT [--split val]

STORES holds `osie.h5`, `eyecrowd.h5` and `scene500.h5`, as `gaze.prepare` writes them. `run` fills OUT: a link for each
base, row, seed and budget, a folder OUT/NAME/ROW/SEED/BUDGET that one `python -m gaze.prune` leaves, and beside it
BUDGET.log with what it printed. What is done is not done again and what was stopped goes on: start it as often as you
like. `table` times and scores all that there is by now, see `frontier.py`. There are two studies:

`criteria` asks what a map is worth. Its links form chains: each goes on from the network that the one before it left,
and is told the share that is left to reach from there; one that cannot meet its budget still counts, and ends its
chain. The training in between is short.

`roads` asks how to get to a small network: by Fisher information, in runs of maps or one by one, by L0, by growing, or
by training one that is narrow from the start. There each link begins with the base itself and sees about 12,000
examples, 1,500 updates of 8, those that signals and gates learn from among them: `pruning.json` says how many, where
`grow` has 300 less, as each of its first 300 passes its examples through the maps that could join as well. `narrow` is
`python -m gaze.train` as the base was trained (its folder must hold the run), with the widths that `fisher` found
and maps of the backbone drawn at random; it has the updates of the base's training and of the link of `fisher`. The
rows named `linear` weigh time without the product of the widths of neighbours; `table` says which widths alternate.

All rows see the same images and seeds. The time is that of ONNX Runtime on one thread, and relative to the base, which
is timed in turn, so links may run side by side. Budgets are shares of the base's time.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

from omegaconf import OmegaConf

BUDGETS = (0.7, 0.5, 0.35, 0.25)
SETS = ("osie", "eyecrowd", "scene500")
SIZE = (320, 240)
"""Width and height of the image that is timed, pixels."""

LEAST = 0.95
"""A link whose predecessor went too far is still asked for this share of it."""

NARROW = "narrow"
"""The row that is trained as narrow as what `WIDTHS_OF` found."""
WIDTHS_OF = "fisher"

TRAINED_AS = ("model", "augment", "optim", "trainer", "loader")
"""The parts of a base's configuration that it is trained by."""

SETTINGS = (
    f"data=[{','.join(SETS)}]",
    f"size=[{SIZE[0]},{SIZE[1]}]",
    "distill.weight=0",
    "rounds=11",
    "pruner.multiple=8",
    "loader.workers=1",
    "trainer.threads=1",
    "trainer.progress=false",
)


def schedule(updates: int, removals: int, finetune: int, per_surgery: int | None = None) -> str:
    """When maps leave, or, without `per_surgery`, join, as a setting."""
    surgery = "" if per_surgery is None else f" removals_per_surgery: {per_surgery},"
    return (
        f"schedule={{updates_per_removal: {updates}, maps_per_removal: null, removals: {removals},{surgery}"
        f" finetune_updates: {finetune}}}"
    )


@dataclass(frozen=True)
class Study:
    """Rows that are compared.

    Attributes:
        rows: settings of each.
        settings: of all of them, beside `SETTINGS`.
        chained: a link goes on from the one before it, not from the base.
    """

    rows: Mapping[str, tuple[str, ...]]
    settings: tuple[str, ...]
    chained: bool


CRITERIA = ("fisher", "fisher_macs", "fisher_uncosted", "taylor", "magnitude", "random")
SHORT, LONG = schedule(3, 12, 36, 3), schedule(20, 30, 900, 5)
GATES = schedule(5, 120, 900, 20)  # their price learns at every removal, the networks are measured as often
GROWTH = schedule(10, 30, 900)  # while maps join, each example passes twice: once through the candidates
STUDIES = {
    "criteria": Study({name: (f"pruner={name}", SHORT) for name in CRITERIA}, ("loader.batch_size=4",), chained=True),
    "roads": Study(
        {
            "fisher": ("pruner=fisher", LONG),
            "l0_time": ("pruner=l0", GATES),
            "grow": ("pruner=grow", GROWTH),
            NARROW: (),
            # a cost that is smooth in the widths: in that of the table single maps save nothing
            "fisher_single": ("pruner=fisher", "pruner.cost=quadratic", "pruner.multiple=1", LONG),
            "fisher_macs": ("pruner=fisher_macs", LONG),
            "l0_maps": ("pruner=l0", "pruner.l0.penalty=maps", GATES),
            # is it the product of the widths of neighbours that makes thick and thin layers alternate?
            "fisher_linear": ("pruner=fisher", "pruner.cost=linear", "pruner.multiple=1", LONG),
            "l0_linear": ("pruner=l0", "pruner.l0.penalty=linear_time", GATES),
            "grow_quadratic": ("pruner=grow", "pruner.cost=quadratic", GROWTH),
            "grow_linear": ("pruner=grow", "pruner.cost=linear", GROWTH),
        },
        ("loader.batch_size=8",),
        chained=False,
    ),
}


@dataclass(frozen=True)
class Chain:
    """One base network, one row, one seed."""

    name: str
    checkpoint: Path
    row: str
    seed: int
    study: Study
    out: Path
    more: tuple[str, ...] = field(default=())
    """Settings beside those of the study, which they override."""

    @property
    def latency(self) -> Path:
        """The latency table of the base."""
        return self.out / self.name / "latency.json"

    def link(self, budget: float, row: str | None = None) -> Path:
        """Folder of a link, of this row or of another."""
        return self.out / self.name / (row or self.row) / str(self.seed) / f"{budget:.2f}"


class Progress:
    """One line a finished link."""

    def __init__(self, links: int) -> None:
        self.links, self.done, self.lock = links, 0, Lock()

    def tell(self, chain: Chain, budget: float, text: str) -> None:
        """Prints it."""
        with self.lock:
            self.done += 1
            count, clock = f"[{self.done}/{self.links}]", time.strftime("%H:%M")
            print(f"{count} {clock} {chain.name} {chain.row} {budget}, seed {chain.seed}: {text}", flush=True)


def run(chains: list[Chain], budgets: list[float], stores: Path, jobs: int) -> bool:
    """Makes all that is not there yet; returns whether no link crashed."""
    for chain in chains:
        if not chain.latency.is_file() and chain.row != NARROW:  # measured before anything runs beside it
            make(chain, chain.checkpoint, budgets[0], budgets[0], stores)
    progress = Progress(len(chains) * len(budgets))
    with ThreadPoolExecutor(jobs) as pool:
        return all(list(pool.map(lambda chain: run_chain(chain, budgets, stores, progress), chains)))


def run_chain(chain: Chain, budgets: list[float], stores: Path, progress: Progress) -> bool:
    """Makes the links of a chain, one after the other; returns whether none crashed."""
    checkpoint, reached = chain.checkpoint, 1.0
    for budget in budgets:
        folder, start = chain.link(budget), time.monotonic()
        if todo := not finished(folder):
            make(chain, checkpoint, budget, min(LEAST, budget / reached), stores)
        if not finished(folder):
            progress.tell(chain, budget, f"failed, see {folder}.log")
            return False
        outcome = json.loads((folder / "pruning.json").read_text())
        share = reached * outcome["after_ms"] / outcome["before_ms"]
        met = "" if outcome["met"] else "budget not met, "
        took = f"{(time.monotonic() - start) / 60:.1f} min" if todo else "was there already"
        progress.tell(chain, budget, f"{met}{share:.3f} of the time, validation IG {outcome['after_gain']:.3f} bits, "
                      f"{took}")  # fmt: skip
        if chain.study.chained:
            if not outcome["met"]:
                return True
            checkpoint, reached = folder / "pruned.ckpt", share
    return True


def make(chain: Chain, checkpoint: Path, budget: float, share: float, stores: Path) -> None:
    """One link, afresh or from where it was stopped; `share` of the time of `checkpoint` is what it may take."""
    folder = chain.link(budget)
    (train if chain.row == NARROW else prune)(chain, checkpoint, budget, share, stores_of(stores))
    if not chain.latency.is_file() and finished(folder) and chain.row != NARROW:
        shutil.copy(folder / "latency.json", chain.latency)


def prune(chain: Chain, checkpoint: Path, budget: float, share: float, stores: list[str]) -> None:
    """One `gaze.prune`. The first of a base measures the latency table."""
    folder = chain.link(budget)
    settings = [*SETTINGS, *chain.study.settings, *chain.study.rows[chain.row], *stores, f"checkpoint={checkpoint}"]
    settings += [f"budget={share:.4f}", f"seed={chain.seed}"]
    if chain.row.startswith("grow"):
        settings.append(f"pruner.start={share / 2:.4f}")  # takes a good deal less than that share of the time
    if not (folder / "last.ckpt").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if chain.latency.is_file():
            shutil.copy(chain.latency, folder)
    call("prune", folder, [*settings, *chain.more])


def train(chain: Chain, checkpoint: Path, budget: float, share: float, stores: list[str]) -> None:
    """One `gaze.train` with the settings of the base, as narrow as what another row found, and as costly in all."""
    folder, other = chain.link(budget), chain.link(budget, WIDTHS_OF)
    if not finished(other):
        folder.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{folder}.log").write_text(f"the widths of {other} are needed\n")
        return
    found = json.loads((other / "pruning.json").read_text())
    updates, epochs = length(checkpoint.parent)
    config: Any = OmegaConf.to_container(OmegaConf.load(checkpoint.parent / "config.yaml"))
    config["trainer"] |= {"max_epochs": epochs + round(found["updates"] * epochs / updates), "patience": 10**6}
    settings = [f"data=[{','.join(SETS)}]", f"model={config['model']['name']}", *stores, f"seed={chain.seed}",
                f"widths={other / 'pruned.ckpt'}"]  # fmt: skip
    settings += [leaf for group in TRAINED_AS for leaf in leaves(group, config[group])]
    settings += [setting for setting in chain.more if setting.startswith(("loader.", "trainer."))]
    if call("train", folder, settings):
        updates, _ = length(folder)
        facts = found | {"removals": 0, "updates": updates, "checkpoint": str(folder / "pruned.ckpt")}
        shutil.copy(folder / "best.ckpt", folder / "pruned.ckpt")
        (folder / "pruning.json").write_text(json.dumps(facts | {"after_gain": best_gain(folder)}, indent=1) + "\n")


def call(verb: str, folder: Path, settings: list[str]) -> bool:
    """Runs a verb, on from where it was stopped if there is something to go on from; returns whether it ended well."""
    resume = (folder / "last.ckpt").is_file()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"gaze.{verb}", *settings, f"out={folder}", f"resume={str(resume).lower()}"]
    with Path(f"{folder}.log").open("a") as log:
        return subprocess.run(command, stdout=log, stderr=log).returncode == 0


def stores_of(folder: Path) -> list[str]:
    """The sets as settings of a verb."""
    return [f"sets.{name}.store={folder / name}.h5" for name in SETS]


def leaves(name: str, value: Any) -> Iterator[str]:
    """A part of a configuration as settings, one a value."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(f"{name}.{key}", part)
    else:
        yield f"{name}={json.dumps(value).replace(' ', '')}"


def metrics(folder: Path) -> Iterator[dict[str, str]]:
    """What a training logged, those that were resumed in parts."""
    for path in sorted(folder.glob("metrics/version_*/metrics.csv")):
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def length(folder: Path) -> tuple[int, int]:
    """Updates and epochs of a training."""
    rows = list(metrics(folder))
    return 1 + max(int(row["step"]) for row in rows), 1 + max(int(row["epoch"]) for row in rows if row["epoch"])


def best_gain(folder: Path) -> float:
    """The highest validation information gain of a training, bits per fixation."""
    return max(float(gain) for row in metrics(folder) if (gain := row.get("val/information_gain")))


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


def split(text: str, known: Collection[str], option: str) -> list[str]:
    """A list of names from the command line."""
    names = text.split(",")
    if unknown := set(names) - set(known):
        sys.exit(f"{option}: expected some of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    return names


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs, table = verbs.add_parser("run"), verbs.add_parser("table")
    for verb in (runs, table):
        verb.add_argument("stores", type=Path)
        verb.add_argument("out", type=Path)
    runs.add_argument("bases", nargs="+", metavar="NAME=CHECKPOINT")
    runs.add_argument("--study", choices=STUDIES, default="criteria")
    runs.add_argument("--rows", help="some of the study's (default: all)")
    runs.add_argument("--budgets", default=",".join(map(str, BUDGETS)), help="of a study that is not chained")
    runs.add_argument("--seeds", default="1")
    runs.add_argument("--jobs", type=int, default=2)
    runs.add_argument("--only", metavar="NAME")
    runs.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of gaze.prune, for every link")
    table.add_argument("--split", choices=("val", "test"), default="val")
    arguments = parser.parse_args()
    stores, out = arguments.stores.absolute(), arguments.out.absolute()
    if arguments.verb == "table":
        from frontier import write_table  # torch, which `run` needs not

        write_table(stores, out, arguments.split)
        return
    bases = {n: path for n, path in named(arguments.bases) if arguments.only in (None, n)}
    study = STUDIES[arguments.study]
    rows = split(arguments.rows or ",".join(study.rows), study.rows, "--rows")
    budgets = sorted(map(float, split(arguments.budgets, tuple(map(str, BUDGETS)), "--budgets")), reverse=True)
    remember(out / "bases.json", bases)
    every = product(map(int, arguments.seeds.split(",")), bases.items(), rows)
    chains = [Chain(n, path, row, seed, study, out, tuple(arguments.set)) for seed, (n, path), row in every]
    sys.exit(0 if run(chains, budgets, stores, arguments.jobs) else 1)


if __name__ == "__main__":
    main()
