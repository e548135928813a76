"""What do the crops that thumbor serves keep of what people looked at, and what does a request take?

    python tests/benchmarks/thumbor_crops.py STORE PYTHON [--photos 60] [--rounds 3]

STORE is what `gaze.prepare` made of a data set (its `test` photographs are asked for), PYTHON that of an environment
with thumbor (`tests/integrations/environment.py thumbor FOLDER`, then FOLDER/bin/python). Each set of detectors gets a
server of its own on the loopback address, which keeps nothing; `points kept` stores them with the photograph, as
thumbor does by default. A Markdown table is printed.

kept: the share of a photograph's fixations inside the served crop, the mean over photographs, of each shape; and the
difference to thumbor without a detector, mean of the shapes, with its 95% bootstrap interval over photographs.
time: of a request for 300x300, over that of the request to thumbor without a detector for the same photograph in the
same round: median, and quartiles, after a first round that is not counted. Servers take turns in a drawn order.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thumbor_server import FILE_STORAGE, GAZE, Server, serving

from gaze.data.store import FixationStore
from gaze.fixations import Stimulus
from gaze.geometry import Box, Size

SHAPES = ((300, 300), (400, 225), (225, 400), (240, 300))
FACE, FEATURE = "thumbor.detectors.face_detector", "thumbor.detectors.feature_detector"
NOTHING = "none: the center"
SERVERS: dict[str, dict[str, Any]] = {
    NOTHING: {"DETECTORS": []},
    "thumbor's faces": {"DETECTORS": [FACE]},
    "thumbor's features": {"DETECTORS": [FEATURE]},
    "faces, then features": {"DETECTORS": [FACE, FEATURE]},
    "gaze `fast`": {"DETECTORS": [GAZE]},
    "gaze `fast`, points kept": {"DETECTORS": [GAZE], "STORAGE": FILE_STORAGE},
    "gaze `quality`": {"DETECTORS": [GAZE], "GAZE_MODEL": "quality"},
}


def kept(stimulus: Stimulus, box: Box) -> float:
    """The share of the fixations on a pixel of the box."""
    x, y = stimulus.fixations.x + 0.5, stimulus.fixations.y + 0.5
    return float(np.mean((x >= box.left) & (x < box.right) & (y >= box.top) & (y < box.bottom)))


def shares(server: Server, stimuli: list[Stimulus]) -> NDArray[np.float64]:
    """What is kept, photographs x shapes."""
    boxes = [
        [server.box(f"{wide}x{high}/smart/{each.name}", Size(each.width, each.height)) for wide, high in SHAPES]
        for each in stimuli
    ]
    return np.array([[kept(each, box) for box in row] for each, row in zip(stimuli, boxes, strict=True)])


def seconds(servers: dict[str, Server], stimuli: list[Stimulus], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Of a request, rounds x photographs; a first round is not counted."""
    found = {name: np.empty((rounds + 1, len(stimuli))) for name in servers}
    order = np.random.default_rng(0)
    for turn in range(rounds + 1):
        for k, each in enumerate(stimuli):
            for name in order.permutation(list(servers)):
                start = perf_counter()
                servers[name].get(f"300x300/smart/{each.name}")
                found[name][turn, k] = perf_counter() - start
    return {name: times[1:] for name, times in found.items()}


def interval(gains: NDArray[np.float64]) -> str:
    """The mean over photographs and its 95% bootstrap interval."""
    drawn = np.random.default_rng(0).choice(gains, (10_000, len(gains))).mean(axis=1)
    return f"{gains.mean():+.3f} ({np.quantile(drawn, 0.025):+.3f} to {np.quantile(drawn, 0.975):+.3f})"


def table(found: dict[str, NDArray[np.float64]], times: dict[str, NDArray[np.float64]]) -> list[str]:
    """Lines of Markdown."""
    names = [f"{wide}x{high}" for wide, high in SHAPES]
    lines = [f"| detectors | {' | '.join(names)} | over the center | time |", f"|---|{'---:|' * (len(names) + 2)}"]
    for name, values in found.items():
        gain = interval((values - found[NOTHING]).mean(axis=1)) if name != NOTHING else ""
        low, median, high = np.quantile(times[name] / times[NOTHING], (0.25, 0.5, 0.75))
        cells = [f"{share:.3f}" for share in values.mean(axis=0)]
        spread = f"{median:.2f} ({low:.2f} to {high:.2f})" if name != NOTHING else "1"
        lines.append(f"| {name} | {' | '.join(cells)} | {gain} | {spread} |")
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("python")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    store = FixationStore(arguments.store)
    indices = store.indices("test")
    chosen = indices[np.linspace(0, len(indices) - 1, min(arguments.photos, len(indices))).astype(int)]
    stimuli = [store[int(index)] for index in chosen]
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for each in stimuli:
            (photos / each.name).write_bytes(each.image)
        servers = {
            name: stack.enter_context(serving(Path(scratch) / f"server{k}", photos, arguments.python, **settings))
            for k, (name, settings) in enumerate(SERVERS.items())
        }
        found = {name: shares(server, stimuli) for name, server in servers.items()}
        times = seconds(servers, stimuli, arguments.rounds)
    print(*table(found, times), sep="\n")
    middle = 1e3 * np.median(times[NOTHING])
    print(f"\n{len(stimuli)} photographs; without a detector a request takes {middle:.1f} ms (median).")


if __name__ == "__main__":
    main()
