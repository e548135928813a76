"""Times every configured model in one run: ONNX Runtime on the CPU, one thread, one image of 240x320.

    python tests/benchmarks/benchmark_models.py [ROUNDS]

Weights are random, which changes no time. The models take turns, so that what else the machine does hits all alike;
the ratio to the first is what to compare, not the milliseconds.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

import gaze.conf
from gaze.models import ModelConfig, build_network
from gaze.models.onnx import export_onnx
from gaze.predictor import open_session

CONF = Path(gaze.conf.__file__).parent / "model"
REFERENCE = "mobilegaze"
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 240, 320, 3), np.uint8)
WARM_UP = 3


def main(rounds: int) -> None:
    """Prints a Markdown table: median, quartiles and the median ratio to the reference."""
    names = sorted((path.stem for path in CONF.glob("*.yaml")), key=lambda name: name != REFERENCE)
    sessions = {name: session(name) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(WARM_UP + rounds):
        for name in names:
            start = time.perf_counter()
            sessions[name].run(None, {"image": IMAGE})
            if number >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - start))
    print("| model | ms, median | quartiles | ratio |\n|---|---:|---:|---:|")
    for name in names:
        low, median, high = np.percentile(times[name], (25, 50, 75))
        ratio = np.median(np.array(times[name]) / np.array(times[REFERENCE]))
        print(f"| {name} | {median:.1f} | {low:.1f} to {high:.1f} | {ratio:.2f} |")


def session(name: str):
    """The model `name` with random weights, exported and loaded."""
    values = OmegaConf.merge(OmegaConf.structured(ModelConfig), OmegaConf.load(CONF / f"{name}.yaml"))
    values.backbone.weights = "none"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        export_onnx(build_network(OmegaConf.to_object(values)).eval(), path)
        return open_session(path.read_bytes(), path, threads=1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
