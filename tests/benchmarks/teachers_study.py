"""Trains one small student with no teacher, with one, and with the mean of several, at equal cost, and compares them.

    python tests/benchmarks/teachers_study.py STORES OUT TEACHER TEACHER TEACHER [--epochs 8] [--seeds 1,2]
        [--only none,one,several] [--split val] [--student mobileonegaze] [--set KEY=VALUE]

STORES holds `osie.h5`, `eyecrowd.h5` and `scene500.h5`, as `gaze.prepare` writes them; what the teachers say of them is
kept there. A TEACHER is a checkpoint, an `.onnx` file with its card, or a shipped model's name; the first is the single
one. The student sees 192x256 pixels. Every row has the same photographs, variations and updates, of the same seed; with
teachers, 0.9 of the target is theirs (`distill=theis2018`), else all of it is people's. The maps of the teachers are
computed before, once, and their time is told apart.

OUT/ROW-SEED holds each run, OUT/ROW-SEED.log what it printed. What is done is not done again and what was stopped goes
on: start it as often as you like. The table, in Markdown, is information gain in bits per fixation over the center
bias, by set, of the checkpoint that is best on `val`, with the mean and range over seeds. `--split test` is for the
end.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from gaze.data.store import FixationStore
from gaze.training.teacher_maps import teacher_maps
from gaze.training.teachers import open_teacher

SETS = ("osie", "eyecrowd", "scene500")
ROWS = {"none": 0, "one": 1, "several": None}
"""How many of the teachers each row learns from; None: all."""

SETTINGS = (
    "model.input.longer_side=256",
    "augment={min_scale: 0.6, color: 0.3}",
    "trainer.ema_decay=0.99",
    "trainer.threads=1",
    "trainer.progress=false",
    "loader.workers=1",
)


def stores(folder: Path) -> list[str]:
    """The sets as settings of a verb."""
    return [f"data=[{','.join(SETS)}]", *(f"sets.{name}.store={folder / name}.h5" for name in SETS)]


def call(log: Path, verb: str, *settings: str) -> None:
    """Runs a verb, and exits with the end of what it said where it fails."""
    with log.open("a") as file:
        done = subprocess.run([sys.executable, "-m", f"gaze.{verb}", *settings], stdout=file, stderr=file, check=False)
    if done.returncode:
        sys.exit(f"{log}: gaze.{verb} ended with {done.returncode}: {log.read_text().strip().splitlines()[-1:]}")


def make_maps(folder: Path, out: Path, teachers: list[str]) -> None:
    """Asks every teacher about every store; keeps the seconds of what was not there yet."""
    path = out / "maps.json"
    seconds: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    for name in teachers:
        teacher = open_teacher("TEACHER", name)
        for each in SETS:
            said: list[str] = []
            start = time.perf_counter()
            teacher_maps([teacher], FixationStore(folder / f"{each}.h5"), said.append, True)
            if said[-1].endswith("is kept there"):
                seconds[f"{name} on {each}"] = time.perf_counter() - start
            print(said[-1], file=sys.stderr)
    path.write_text(json.dumps(seconds, indent=1))


def train(options: argparse.Namespace, row: str, seed: int) -> Path:
    """Trains a row, goes on with it, or finds it done; its folder."""
    out = options.out / f"{row}-{seed}"
    if (out / "seconds.json").exists():
        return out
    teachers = options.teachers[: ROWS[row]]
    taught = ["distill=theis2018", f"distill.teacher=[{','.join(teachers)}]"] if teachers else []
    resumed = (out / "last.ckpt").exists()
    start = time.perf_counter()
    call(
        out.with_suffix(".log"), "train", f"model={options.student}", *stores(options.stores), *SETTINGS, *taught,
        f"trainer.max_epochs={options.epochs}", f"trainer.patience={options.epochs}", f"seed={seed}", f"out={out}",
        f"resume={str(resumed).lower()}", *options.set,
    )  # fmt: skip
    (out / "seconds.json").write_text(json.dumps(None if resumed else time.perf_counter() - start))
    return out


def gains(options: argparse.Namespace, out: Path, network: str) -> list[float]:
    """Information gain of a network on each set."""
    report = out.with_name(f"{out.name}.{options.split}")
    if not (report / "evaluation.json").exists():
        settings = [f"network={network}", f"split={options.split}", "resamples=100", f"out={report}", "overwrite=true"]
        call(out.with_suffix(".log"), "evaluate", *stores(options.stores), *settings)
    sets = json.loads((report / "evaluation.json").read_text())["sets"]
    return [sets[name]["scores"]["model"]["information_gain"]["mean"] for name in SETS]


def line(title: str, scores: list[list[float]], updates: set[int], seconds: list[float]) -> str:
    """A row of the table: the mean of the sets with its range over seeds, and each set's."""
    means = [statistics.mean(each) for each in scores]
    spread = f" ({min(means):.3f} to {max(means):.3f})" if len(means) > 1 else ""
    cells = [f"{statistics.mean(column):.3f}" for column in zip(*scores, strict=True)]
    number = ", ".join(map(str, sorted(updates))) or "–"
    minutes = f"{statistics.mean(seconds) / 60:.1f}" if seconds else "–"
    return f"| {title} | {number} | {minutes} | {statistics.mean(means):.3f}{spread} | {' | '.join(cells)} |"


def table(options: argparse.Namespace) -> list[str]:
    """Trains and scores all that is asked for, in Markdown."""
    head = f"|  | updates | min a run | mean IG, {options.split} | {' | '.join(SETS)} |"
    lines = [head, f"|{' --- |'}{' ---: |' * (head.count('|') - 2)}"]
    names = {"none": "no teacher", "one": "one teacher", "several": f"mean of {len(options.teachers)}"}
    for row in options.only:
        runs = [train(options, row, seed) for seed in options.seeds]
        scores = [gains(options, run, str(run / "best.ckpt")) for run in runs]
        updates = {int(torch.load(run / "last.ckpt", weights_only=True)["global_step"]) for run in runs}
        times = [json.loads((run / "seconds.json").read_text()) for run in runs]
        lines.append(line(names[row], scores, updates, [each for each in times if each is not None]))
    for row in [row for row in options.only if ROWS[row] != 0]:
        network = f"[{','.join(options.teachers[: ROWS[row]])}]"
        scores = [gains(options, options.out / f"teacher-{row}", network)]
        lines.append(line(f"{names[row]}, itself", scores, set(), []))
    seconds = json.loads((options.out / "maps.json").read_text())
    told = "; ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    return [*lines, "", f"Beside it, once for all runs, the teachers' maps: {told or 'they were there before'}."]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stores", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("teachers", nargs="+")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2])
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ROWS))
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--student", default="mobileonegaze")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    if strange := sorted(set(options.only) - set(ROWS)):
        parser.error(f"--only: expected some of {', '.join(ROWS)}, got {strange[0]}")
    options.out.mkdir(parents=True, exist_ok=True)
    make_maps(
        options.stores, options.out, options.teachers if set(options.only) & {"several"} else options.teachers[:1]
    )
    print("\n".join(table(options)))


if __name__ == "__main__":
    main()
