"""Times the metrics and the scoring of an image: `python tests/benchmarks/benchmark_metrics.py [STORE]`.

An image here has 800 x 600 pixels, 15 subjects with 9 fixations each and 100,000 fixations on other images, as
in OSIE. Each figure is the median of the repeats, after one that is not counted, on one thread: as the clock
has it, and as CPU time, which other work on the machine disturbs less. Given a prepared store, the scoring of
its test split on all cores is timed too, with the center bias as the prediction. No network runs.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from gaze import metrics
from gaze.baselines import GoldModel
from gaze.evaluation.scores import MetricMaps, Target, gold_scores, score
from gaze.fixations import Fixations

WIDTH, HEIGHT, SUBJECTS, EACH, OTHERS = 800, 600, 15, 9, 100_000


def median_ms(call: Callable[[], object], repeats: int = 9) -> tuple[float, float]:
    """Milliseconds of `call()` by the clock and of CPU time."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    clock, cpu = zip(*times, strict=True)
    return 1000 * statistics.median(clock), 1000 * statistics.median(cpu)


def example() -> tuple[Target, np.ndarray]:
    random = np.random.default_rng(0)
    log_density = random.normal(size=(2, HEIGHT, WIDTH))
    log_density -= np.log(np.exp(log_density).sum(axis=(1, 2), keepdims=True))
    x, y = (random.integers(0, side, SUBJECTS * EACH).astype(float) for side in (WIDTH, HEIGHT))
    fixations = Fixations.of(x, y, subject=np.repeat(np.arange(SUBJECTS), EACH))
    others = random.integers(0, WIDTH, OTHERS), random.integers(0, HEIGHT, OTHERS)
    model, center_bias = log_density.astype(np.float32)
    return Target(fixations, others, np.exp(center_bias), center_bias), model


def time_metrics() -> None:
    target, log_density = example()
    density, truth = np.exp(log_density), target.density
    x, y = target.fixations.x, target.fixations.y
    gold = GoldModel(0.02, (0.9, 0.09, 0.01))
    calls: dict[str, Callable[[], object]] = {
        "auc": lambda: metrics.auc(density, x, y),
        "shuffled_auc": lambda: metrics.shuffled_auc(density, x, y, *target.others),
        "nss": lambda: metrics.nss(density, x, y),
        "information_gain": lambda: metrics.information_gain(log_density, target.log_center_bias, x, y),
        "cc": lambda: metrics.cc(density, truth),
        "sim": lambda: metrics.sim(density, truth),
        "kl": lambda: metrics.kl(density, truth),
        "a model's maps": lambda: MetricMaps.of_density(log_density, target.log_center_bias, 24.0),
        "all metrics of a map": lambda: score(MetricMaps.of_saliency(density), target),
        f"gold model, {SUBJECTS} subjects": lambda: gold_scores(gold, target),
    }
    for name, call in calls.items():
        clock, cpu = median_ms(call)
        print(f"{name:28} {clock:8.2f} ms, {cpu:8.2f} ms of CPU time")


def time_store(path: str) -> None:
    from gaze.data.store import FixationStore
    from gaze.evaluation.bench import Bench
    from gaze.evaluation.run import score_split
    from gaze.evaluation.sources import Source
    from gaze.geometry import Size

    start = time.perf_counter(), time.process_time()
    bench = Bench(FixationStore(path))
    fitted = time.perf_counter(), time.process_time()
    source = Source(
        "center bias",
        lambda stimuli: [bench.center_bias.log_density(Size(s.width, s.height)) for s in stimuli],
    )
    count = len(score_split(bench, source, "test", batch=8).names)
    done = time.perf_counter(), time.process_time()
    for what, a, b in (("baselines fitted", start, fitted), (f"{count} images scored", fitted, done)):
        print(f"{path}: {what} in {b[0] - a[0]:.1f} s, {b[1] - a[1]:.1f} s of CPU time")


if __name__ == "__main__":
    time_metrics()
    for argument in sys.argv[1:]:
        time_store(argument)
