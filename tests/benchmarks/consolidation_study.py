"""Trains networks on one data set, then on another: free, or held at the first by elastic weight consolidation or L2.

    python tests/benchmarks/consolidation_study.py run STORES OUT WEIGHTS.safetensors [--jobs 2] [--only PART]
        [--set KEY=VALUE]
    python tests/benchmarks/consolidation_study.py table STORES OUT
    python tests/benchmarks/consolidation_study.py disk STORES OUT

STORES holds `osie.h5`, `eyecrowd.h5` and `scene500.h5`, as `gaze.prepare` writes them; WEIGHTS are ImageNet's of
MobileOne-S0, reparameterized. `run` trains OUT/osie/seed-N for each seed, and from it OUT/SECOND/HELD/seed-N; `--only`
leaves out what has not PART in its name. `table` scores all that there is on the test splits of both sets: information
gain over the center bias in bits per fixation, and NSS. What is trained or scored is not done again. `disk` draws the
Fisher information that each layer holds before the second set and after it, and prunes the first network to half of its
time, to say how much of the information the maps that leave take with them.
"""

import argparse
import copy
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

FIRST, SECONDS, SEEDS = "osie", ("eyecrowd", "scene500"), (1, 2)
FREE = "free"
HELD = {
    FREE: (),
    **{f"l2-{weight}": (f"ewc.weight={weight}", "ewc.fisher=uniform") for weight in ("0.1", "1", "10", "100")},
    **{f"ewc-{weight}": (f"ewc.weight={weight}",) for weight in ("0.1", "1", "10", "100", "1000")},
}
"""What holds the network at the first set, by the name of the run."""

SETTINGS = (
    "model=mobileonegaze",
    "model.input.longer_side=160",
    "loader.workers=0",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "trainer.patience=20",
    "trainer.ema_decay=0.98",
)
EPOCHS = {FIRST: 6, **dict.fromkeys(SECONDS, 4)}
PRUNING = (
    "budget=0.5",
    "distill.weight=0",
    "rounds=5",
    "pruner.multiple=8",
    "schedule={updates_per_removal: 3, maps_per_removal: null, removals: 12, removals_per_surgery: 3,"
    " finetune_updates: 12}",
    "loader.workers=0",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
)


@dataclass(frozen=True)
class Run:
    """One `gaze.train`."""

    out: Path
    store: str
    held: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.out / self.store / (self.held if self.store != FIRST else "") / f"seed-{self.seed}"

    @property
    def name(self) -> str:
        """What its scores are kept under."""
        return f"{self.store}/{self.held}/{self.seed}"

    @property
    def first(self) -> Path:
        """The checkpoint that it goes on from."""
        return Run(self.out, FIRST, "", self.seed).folder / "best.ckpt"

    @property
    def done(self) -> bool:
        """Whether it is finished."""
        return (self.folder / "done.json").is_file()


def first_runs(out: Path) -> list[Run]:
    """The trainings on the first set."""
    return [Run(out, FIRST, "", seed) for seed in SEEDS]


def second_runs(out: Path) -> list[Run]:
    """The trainings that go on from them; every way of holding comes once before any comes again."""
    return [Run(out, store, held, seed) for seed in SEEDS for store in SECONDS for held in HELD]


def train(run: Run, stores: Path, weights: Path, more: tuple[str, ...]) -> bool:
    """Trains; what an interrupted training left is thrown away. Returns whether it went well."""
    if run.done:
        return True
    start = time.monotonic()
    shutil.rmtree(run.folder, ignore_errors=True)
    run.folder.mkdir(parents=True)
    settings = [f"data={run.store}", f"sets.{run.store}.store={stores / run.store}.h5", f"seed={run.seed}",
                f"trainer.max_epochs={EPOCHS[run.store]}", f"out={run.folder}"]  # fmt: skip
    if run.store == FIRST:
        settings.append(f"model.backbone.weights={weights}")
    else:
        settings += [f"checkpoint={run.first}", *HELD[run.held]]
        settings += [f"ewc.sets=[{stores / FIRST}.h5]"] * run.held.startswith("ewc-")
    with (run.folder / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "gaze.train", *SETTINGS, *settings, *more]
        good = subprocess.run(command, stdout=log, stderr=log).returncode == 0
    seconds = round(time.monotonic() - start)
    if good:
        (run.folder / "done.json").write_text(json.dumps({"seconds": seconds}) + "\n")
    print(f"{run.folder.relative_to(run.out)}: {f'{seconds} s' if good else 'failed, see log.txt'}", flush=True)
    return good


def run_all(arguments: argparse.Namespace) -> bool:
    """Trains all that is not trained yet."""
    stores, out, weights = (path.absolute() for path in (arguments.stores, arguments.out, arguments.weights))
    chosen = [run for run in second_runs(out) if arguments.only in str(run.folder.relative_to(out))]
    starts = [run for run in first_runs(out) if run.seed in {second.seed for second in chosen}]
    for runs in (starts, chosen):
        with ThreadPoolExecutor(arguments.jobs) as pool:
            if not all(list(pool.map(lambda run: train(run, stores, weights, tuple(arguments.set)), runs))):
                return False
    return True


def table(stores: Path, out: Path) -> None:
    """Prints and writes `consolidation.md`: means over the seeds; each seed's are kept in `consolidation.json`."""
    path = out / "consolidation.json"
    scores: dict[str, dict[str, dict[str, float]]] = json.loads(path.read_text()) if path.is_file() else {}
    for store in (FIRST, *SECONDS):
        runs = [run for run in (*first_runs(out), *second_runs(out)) if run.done and store in (FIRST, run.store)]
        starts = [run for run in first_runs(out) if run.done and store != FIRST]
        todo = [run for run in [*runs, *starts] if store not in scores.get(run.name, {})]
        for run, values in scored(todo, stores / f"{store}.h5") if todo else ():
            scores.setdefault(run.name, {})[store] = values
    path.write_text(json.dumps(scores, indent=1) + "\n")
    lines = list(rows(scores))
    (out / "consolidation.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def scored(runs: list[Run], store: Path) -> Iterator[tuple[Run, dict[str, float]]]:
    """Information gain and NSS of each run's best checkpoint on the test split of a store."""
    import cv2
    import torch
    from frontier import Judge

    from gaze.geometry import Size
    from gaze.models import load_network
    from gaze.predictor import network_size

    judge = Judge(store, "test")
    for run in runs:
        network = load_network(run.folder / "best.ckpt")
        rule = network.config.input

        @torch.inference_mode()
        def predict(image, network=network, rule=rule):
            size = network_size(Size(image.shape[1], image.shape[0]), rule.longer_side, rule.multiple)
            seen = cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_AREA)
            return network(torch.from_numpy(seen)[None])[0].numpy()

        yield run, judge(predict)


def rows(scores: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Markdown; a number is the mean over the seeds, ± half their range."""

    def shown(keys: list[str], store: str, metric: str) -> str:
        values = [scores[key][store][metric] for key in keys if store in scores.get(key, {})]
        return f"{sum(values) / len(values):.3f} ± {(max(values) - min(values)) / 2:.3f}" if values else ""

    for second in SECONDS:
        yield f"| {FIRST}, then {second} | IG {FIRST} | NSS {FIRST} | IG {second} | NSS {second} |"
        yield "|---|---|---|---|---|"
        for held in ("", *HELD):
            keys = [f"{second if held else FIRST}/{held}/{seed}" for seed in SEEDS]
            cells = [shown(keys, s, m) for s in (FIRST, second) for m in ("information_gain", "nss")]
            if any(cells):
                yield f"| {held or 'before'} | {' | '.join(cells)} |"
        yield ""


def disk(stores: Path, out: Path, seed: int = 1) -> None:
    """Draws `disk.png` and writes `disk.json`."""
    from gaze.models import load_network

    first = Run(out, FIRST, "", seed)
    before = layers(information(load_network(first.first), first.first, [FIRST], stores))
    found: dict[str, dict[str, float]] = {f"{FIRST}, before": before}
    for second in SECONDS:
        run = Run(out, second, "ewc-1", seed)
        if run.done:
            after = run.folder / "best.ckpt"
            found[f"{FIRST} and {second}, after"] = layers(
                information(load_network(after), after, [FIRST], stores),
                information(load_network(after), after, [second], stores),
            )
    draw_disk(found, out / "disk.png")
    share = thrown_away(first, stores)
    content = {"layers": found, "thrown away by pruning to half of the time": share}
    (out / "disk.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(f"{name}: {sum(values.values()):.4g} bits per fixation" for name, values in found.items()))
    print(f"pruning to half of the time throws away {share['fisher']:.1%} of the Fisher information, "
          f"{share['parameters']:.1%} of the parameters and {share['norm']:.1%} of the norm's diagonal")  # fmt: skip


def information(network, checkpoint: Path, names: list[str], stores: Path):
    """Of each parameter, on the train splits of sets; kept beside the checkpoint as a run keeps it."""
    from gaze.data.store import FixationStore
    from gaze.training.config import EwcConfig
    from gaze.training.consolidation import information_of

    opened = [FixationStore(stores / f"{name}.h5") for name in names]
    return information_of(network, checkpoint, opened, EwcConfig(1.0, None, "model", None))


def layers(*found) -> dict[str, float]:
    """The sum over each layer's parameters, and over sets."""
    sums: dict[str, float] = {}
    for values in found:
        for name, f in values.items():
            layer = name.rpartition(".")[0]
            sums[layer] = sums.get(layer, 0.0) + float(f.sum())
    return sums


def draw_disk(found: dict[str, dict[str, float]], path: Path) -> None:
    """A line a network over the layers, in their order."""
    from matplotlib.figure import Figure

    from gaze.pruning.pictures import short_names

    names = list(next(iter(found.values())))
    figure = Figure(figsize=(max(9.0, 0.2 * len(names)), 5.5), layout="constrained")
    axis = figure.subplots()
    for (label, values), color in zip(found.items(), ("#24567d", "#d1602b", "#8a97a5"), strict=False):
        axis.plot([values[name] for name in names], color=color, marker=".", linewidth=1.3, label=label)
    axis.set(yscale="log", ylabel="sum of Fisher information (bits/fixation)")
    axis.set_xticks(range(len(names)), short_names(names), rotation=90, fontsize=6)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=110)


def thrown_away(first: Run, stores: Path) -> dict[str, float]:
    """Shares of Fisher information, parameters and F theta^2 that leave with the maps of a pruning to half the time."""
    import torch

    from gaze.models import load_network
    from gaze.pruning import remove
    from gaze.pruning.methods.removal_log import read

    folder = first.out / FIRST / f"half-{first.seed}"
    if not (folder / "pruning.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        settings = [f"checkpoint={first.first}", f"data={FIRST}", f"sets.{FIRST}.store={stores / FIRST}.h5"]
        subprocess.run([sys.executable, "-m", "gaze.prune", *settings, *PRUNING, f"out={folder}"], check=False)
    gone: dict[str, list[int]] = {}
    for removal in read(folder / "removals.csv"):
        gone.setdefault(removal.layer, []).extend(removal.maps)
    network = load_network(first.first)
    f = information(network, first.first, [FIRST], stores)
    weights = {name: value.detach() for name, value in network.named_parameters()}
    measured = {
        "fisher": f,
        "parameters": {name: torch.ones_like(value) for name, value in f.items()},
        "norm": {name: value * weights[name].square() for name, value in f.items()},
    }
    shares = {}
    for what, values in measured.items():
        holder = copy.deepcopy(network)  # its parameters are the values, and surgery takes its part of them
        holder.load_state_dict(values, strict=False)
        remove(holder, gone)
        left = sum(float(value.detach().double().sum()) for value in holder.parameters())
        shares[what] = 1 - left / sum(float(value.double().sum()) for value in values.values())
    return shares


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("run", "table", "disk"):
        verb = verbs.add_parser(name)
        verb.add_argument("stores", type=Path)
        verb.add_argument("out", type=Path)
        if name == "run":
            verb.add_argument("weights", type=Path)
            verb.add_argument("--jobs", type=int, default=2)
            verb.add_argument("--only", default="", metavar="PART")
            verb.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of gaze.train")
    arguments = parser.parse_args()
    if arguments.verb == "run":
        sys.exit(0 if run_all(arguments) else 1)
    {"table": table, "disk": disk}[arguments.verb](arguments.stores.absolute(), arguments.out.absolute())


if __name__ == "__main__":
    main()
