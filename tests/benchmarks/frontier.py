"""Times and scores the networks of `pruning_study.py`: tables and pictures of milliseconds against quality.

Time: of the processor, ONNX Runtime on one thread, one image of 320x240, all networks in turn in one run; the ratio to
the base is the median over the rounds. Quality: OSIE, at the size that each network was trained for. What is known of a
network is kept in OUT/cache, so only new ones are exported and scored; when there are new ones, all are timed again.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from frontier_picture import NAMES, UNPRUNED, draw, title_of
from numpy.typing import NDArray

from gaze import metrics
from gaze.baselines import fit_center_bias, relative_histogram
from gaze.data.store import FixationStore
from gaze.files import write_atomic
from gaze.geometry import Size
from gaze.images import decode
from gaze.models import load_network
from gaze.models.onnx import export_onnx
from gaze.predictor import fit_log_density, network_size, open_session
from gaze.pruning.alternation import alternation

ROUNDS, WARM_UP = 21, 3
SIZE = (240, 320)
"""Height and width of the image that is timed."""

MEANT = ("ms", "low", "high", "ratio", "auc", "nss", "information_gain", "updates")
"""Of a row, what is averaged over seeds."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""RGB photograph -> log map of any size; the exponential is what is scored."""


@dataclass(frozen=True)
class Point:
    """One network: a base or what a link of `pruning_study.py` left."""

    base: str
    row: str
    seed: int
    budget: float
    checkpoint: Path
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        """Its name."""
        return f"{self.base}/{self.row}/{self.seed}/{self.budget:.2f}"


def find_points(out: Path) -> Iterator[Point]:
    """Every base of a study and every finished link."""
    for name, checkpoint in json.loads((out / "bases.json").read_text()).items():
        yield Point(name, UNPRUNED, 0, 1.0, Path(checkpoint), {"met": True, "updates": 0})
        for path in sorted((out / name).glob("*/*/*/pruning.json")):
            facts, (row, seed, budget) = json.loads(path.read_text()), path.parts[-4:-1]
            yield Point(name, row, int(seed), float(budget), path.with_name("pruned.ckpt"), facts)


class Judge:
    """Scores networks on one split of a store; the photographs are decoded once."""

    def __init__(self, store: Path, split: str) -> None:
        self.store = FixationStore(store)
        self.center_bias = fit_center_bias(*(self._histogram(part) for part in ("train", "val")))
        self.images = [(int(i), decode(self.store[i].image)) for i in self.store.indices(split)]

    def __call__(self, predict: Predict, is_density: bool = True) -> dict[str, float]:
        """Means over images of AUC, NSS and, of a density, information gain over the center bias in bits."""
        rows = [self._scores(index, image, predict(image), is_density) for index, image in self.images]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    def _histogram(self, split: str) -> NDArray[np.float64]:
        """Where people looked on the images of a split, as in `gaze.evaluation`."""
        indices = self.store.indices(split)
        return sum(relative_histogram(self.store.fixations(i), Size(*map(int, self.store.sizes[i]))) for i in indices)

    def _scores(self, index: int, image: NDArray, coarse: NDArray, is_density: bool) -> dict[str, float]:
        size, gaze = Size(image.shape[1], image.shape[0]), self.store.fixations(index)
        log_density = fit_log_density(coarse, size)
        density, center_bias = np.exp(log_density), self.center_bias.log_density(size)
        scores = {"auc": metrics.auc(density, gaze.x, gaze.y), "nss": metrics.nss(density, gaze.x, gaze.y)}
        if is_density:
            scores["information_gain"] = metrics.information_gain(log_density, center_bias, gaze.x, gaze.y)
        return scores


def predictor(session: onnxruntime.InferenceSession, longer_side: int, multiple: int) -> Predict:
    """An exported network as `Judge` calls it."""

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = network_size(Size(image.shape[1], image.shape[0]), longer_side, multiple)
        seen = cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_AREA)
        return session.run(["log_density"], {"image": seen[None]})[0][0]

    return predict


def take_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = WARM_UP,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Milliseconds of each run in each round. A turn is two runs: the first warms the caches, the second counts."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(warm_up + rounds):
        for name, run in runs.items():
            run()
            start = clock()
            run()
            if number >= warm_up:
                times[name].append(1000 * (clock() - start))
    return {name: np.array(values) for name, values in times.items()}


def export(point: Point, path: Path) -> Path:
    """The network as ONNX, at `path`; written where that is missing or older than the checkpoint."""
    if not path.is_file() or path.stat().st_mtime < point.checkpoint.stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        export_onnx(load_network(point.checkpoint), path)
    return path


def cached(path: Path, newer_than: list[Path], make: Callable[[], Any]) -> Any:
    """What `path` holds as JSON, made where it is missing or older than one of the other files."""
    if not path.is_file() or any(path.stat().st_mtime < other.stat().st_mtime for other in newer_than):
        write_atomic(path, (json.dumps(make(), indent=1) + "\n").encode(), overwrite=True)
    return json.loads(path.read_text())


def time_all(points: list[Point], files: list[Path]) -> dict[str, dict[str, float]]:
    """Median, quartiles and ratio to the base of every network, in one run."""
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    sessions = [open_session(path.read_bytes(), path, threads=1) for path in files]
    runs = {p.key: partial(s.run, None, {"image": image}) for p, s in zip(points, sessions, strict=True)}
    times, found = take_turns(runs, ROUNDS, clock=time.thread_time), {}  # a session of one thread runs in this one
    for point in points:
        low, ms, high = np.percentile(times[point.key], (25, 50, 75))
        ratio = np.median(times[point.key] / times[f"{point.base}/{UNPRUNED}/0/1.00"])
        found[point.key] = {"ms": ms, "low": low, "high": high, "ratio": float(ratio)}
    return found


def collect(stores: Path, out: Path, split: str) -> list[dict[str, Any]]:
    """One row a network; only what is new is computed."""
    points = list(find_points(out))
    files = [export(point, out / "cache" / f"{point.key.replace('/', '_')}.onnx") for point in points]
    times = cached(out / "cache" / f"times_{len(points)}.json", files, lambda: time_all(points, files))
    judge: Judge | None = None
    rows = []
    for point, path in zip(points, files, strict=True):

        def scored(point: Point = point, path: Path = path) -> dict[str, float]:
            nonlocal judge
            judge = judge or Judge(stores / "osie.h5", split)
            rule = load_network(point.checkpoint).config.input
            session = open_session(path.read_bytes(), path, threads=2)
            return judge(predictor(session, rule.longer_side, rule.multiple))

        scores = cached(path.with_suffix(f".{split}.json"), [path], scored)
        network = load_network(point.checkpoint).config.name
        facts = {key: point.facts[key] for key in ("met", "updates")}
        rows.append({"base": point.base, "network": network, "row": point.row, "seed": point.seed,
                     "budget": point.budget, **facts, **times[point.key], **scores})  # fmt: skip
        print(f"{point.key}: {rows[-1]['ms']:.1f} ms, NSS {rows[-1]['nss']:.3f}", flush=True)
    return rows


def averaged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The means over seeds, with half the range of the information gain as `spread`."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["base"], row["row"], row["budget"]), []).append(row)
    return [_mean(seeds) for seeds in found.values()]


def _mean(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    means = {key: float(np.mean([row[key] for row in seeds])) for key in MEANT}
    gains = [row["information_gain"] for row in seeds]
    met, spread = all(row["met"] for row in seeds), (max(gains) - min(gains)) / 2
    return seeds[0] | means | {"seeds": len(seeds), "met": met, "spread": spread}


def markdown(rows: list[dict[str, Any]], split: str) -> str:
    """A table a base: a row a way to a small network, a column a budget, and the updates at last."""
    parts, rows = [], averaged(rows)
    budgets = sorted({row["budget"] for row in rows if row["row"] != UNPRUNED}, reverse=True)
    for base in dict.fromkeys(row["base"] for row in rows):
        of_base = [row for row in rows if row["base"] == base]
        own = {(row["row"], row["budget"]): row for row in of_base}
        whole = own.pop((UNPRUNED, 1.0))
        lines = [["", *(f"budget {budget:g}" for budget in budgets), "updates"],
                 ["---", *["---:"] * (len(budgets) + 1)]]  # fmt: skip
        for name in sorted({name for name, _ in own}, key=list(NAMES).index):
            links = [own.get((name, budget)) for budget in budgets]
            updates = [round(link["updates"]) for link in links if link]
            span = f"{min(updates)} to {max(updates)}" if min(updates) < max(updates) else str(updates[0])
            lines.append([NAMES[name], *map(cell, links), span])
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"**{title_of(of_base)}**, {UNPRUNED}: {cell(whole)}\n\n{table}\n")
    note = (f"Each cell: median ms of one image of {SIZE[1]}x{SIZE[0]} (ratio to the unpruned network), then NSS and "
            f"IG (bits per fixation over the center bias) on OSIE {split}, ± half the range over seeds. \\*: the "
            "budget was not met.")  # fmt: skip
    return "\n".join([*parts, note, ""])


def cell(row: dict[str, Any] | None) -> str:
    """A network in a table."""
    if row is None:
        return "–"
    star, spread = "" if row["met"] else " \\*", f" ± {row['spread']:.3f}" if row["seeds"] > 1 else ""
    return f"{row['ms']:.1f} ms ({row['ratio']:.2f}), {row['nss']:.3f}, {row['information_gain']:.3f}{spread}{star}"


def alternations(points: list[Point]) -> str:
    """What `gaze.pruning.alternation` says of each network's widths, a line a network."""
    told = [(p.key, alternation(p.facts["before"], p.facts["after"]).verdict) for p in points if "after" in p.facts]
    return "\n".join(f"- {key}: {verdict}" for key, verdict in told)


def write_table(stores: Path, out: Path, split: str) -> None:
    """Writes `frontier_<split>` as .json, .md and .png."""
    rows = collect(stores, out, split)
    text = f"{markdown(rows, split)}\n{alternations(list(find_points(out)))}\n"
    print(f"\n{text}")
    for suffix, content in (("json", json.dumps(rows, indent=1).encode()), ("md", text.encode()),
                            ("png", draw(averaged(rows), split))):  # fmt: skip
        write_atomic(out / f"frontier_{split}.{suffix}", content, overwrite=True)
