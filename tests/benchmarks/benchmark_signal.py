"""Times what the Fisher signal adds to a training step: `python tests/benchmarks/benchmark_signal.py [MODEL ...]`.

Steps with and without the signal take turns, after two of each that are not counted; a figure is the median, with the
quartiles behind it. Weights are random: they do not change the time.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

import gaze.conf
from gaze.models import GazeNetwork, ModelConfig, build_network
from gaze.pruning import Fisher, find_groups

CONF = Path(gaze.conf.__file__).parent / "model"
WARM_UP = 2


def build(name: str) -> GazeNetwork:
    """The network of `gaze/conf/model/NAME.yaml`, random."""
    values = OmegaConf.merge(OmegaConf.structured(ModelConfig), OmegaConf.load(CONF / f"{name}.yaml"))
    values.backbone.weights = "none"
    return build_network(OmegaConf.to_object(values))  # type: ignore[arg-type]


def training_step(network: GazeNetwork, images: torch.Tensor) -> Callable[[], None]:
    """One AdamW step on images whose target is the uniform density."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad()
        (-network(images)).mean().backward()
        optimizer.step()

    return step


def seconds(work: Callable[[], object]) -> float:
    """Of one call; waits for the GPU."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(network: GazeNetwork, images: torch.Tensor, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each step without and with the signal, in turns."""
    step, groups, times = training_step(network.train(), images), find_groups(network), []
    for _ in range(repeats + WARM_UP):
        plain = seconds(step)
        fisher = Fisher(network, groups)
        watched = seconds(lambda signal=fisher: (step(), signal.update(len(images))))
        fisher.attribution.detach()
        times.append((plain, watched))
    return tuple(np.array(times[WARM_UP:]).T)  # type: ignore[return-value]


def main() -> None:
    """Prints a line per model."""
    parser = argparse.ArgumentParser(description="Times what the Fisher signal adds to a training step.")
    parser.add_argument("models", nargs="*", default=["mobilegaze", "densegaze", "fastgaze"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=[192, 256], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, {arguments.threads} threads"
    )
    print(f"batch {arguments.batch}, {arguments.size[0]}x{arguments.size[1]}, torch {torch.__version__}, {where}")
    for name in arguments.models:
        images = torch.randint(0, 256, (arguments.batch, *arguments.size, 3), dtype=torch.uint8, device=device)
        plain, watched = compare(build(name).to(device), images, arguments.repeats)
        ratio = np.quantile(watched / plain, (0.25, 0.5, 0.75)) - 1
        print(f"{name:14} step {1e3 * np.median(plain):8.1f} ms, with the signal {1e3 * np.median(watched):8.1f} ms: "
              f"{ratio[1]:+.1%} ({ratio[0]:+.1%} to {ratio[2]:+.1%})")  # fmt: skip


if __name__ == "__main__":
    main()
