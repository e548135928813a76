"""Makes the table that compares gaze's models with two published ones on OSIE `test`.

    python tests/benchmarks/peers_table.py PEERS STORES OUT MODEL...

PEERS holds `peers.py`, which rebuilds both from their released weights: `fastgaze.vxm`, the network that Twitter
cropped with (twitter-research/image-crop-analysis), and `attention_center.safetensors` (google/attention-center), both
under Apache-2.0. Nothing of them is copied. STORES holds `osie.h5`. A MODEL is the name of a shipped one or an .onnx
file with its card. OUT receives `peers.md` and `peers.json`.

Time: the network alone, ONNX Runtime on one thread, all in turn on the same photographs, each at its own size; the
share is the median over the photographs of the ratio to Twitter's. Quality: what was timed, on all test images. The
peers return no density, so they have no information gain. The scaling of Twitter's input is undocumented; `peers.py`
says what was chosen.
"""

import importlib.util
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from frontier import Judge, take_turns
from numpy.typing import NDArray

from gaze.card import ModelCard
from gaze.geometry import Size
from gaze.models.onnx import OPSET
from gaze.predictor import network_size
from gaze.weights import find_model

TWITTER = "Twitter 2018 (fastgaze.vxm)"
GOOGLE = "Google attention-center"
GOOGLE_SCALE = 0.4  # of its logits, see peers.py
PHOTOS = 40
"""How many photographs are timed."""


@dataclass(frozen=True)
class Contestant:
    """A network in ONNX Runtime.

    Attributes:
        name: in the table.
        session: of one thread.
        prepare: RGB photograph -> what the network takes.
        scale: of what it returns, so that the exponential is a map of gaze.
        is_density: whether that is one.
    """

    name: str
    session: Any
    prepare: Callable[[NDArray[np.uint8]], NDArray]
    scale: float = 1.0
    is_density: bool = False

    def feed(self, image: NDArray[np.uint8]) -> dict[str, NDArray]:
        """The network's input for a photograph."""
        return {self.session.get_inputs()[0].name: self.prepare(image)}

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Log map of a photograph."""
        return self.scale * self.session.run(None, self.feed(image))[0].squeeze()


def load_peers(folder: Path) -> ModuleType:
    """`peers.py`."""
    spec = importlib.util.spec_from_file_location("peers", folder / "peers.py")
    if spec is None or spec.loader is None or not (folder / "peers.py").is_file():
        sys.exit(f"{folder}: expected peers.py there")
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    return peers


def session(content: bytes) -> Any:
    """ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = 1, 1, 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def exported(network: torch.nn.Module, example: torch.Tensor, free: bool) -> Any:
    """A torch network in ONNX Runtime; `free`: any height and width."""
    axes = {"image": {2: "height", 3: "width"}} if free else None
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter, as in gaze.models.onnx
        path = f"{folder}/peer.onnx"
        torch.onnx.export(network, (example,), path, dynamo=False, opset_version=OPSET, input_names=["image"],
                          dynamic_axes=axes)  # fmt: skip
        return session(Path(path).read_bytes())


def twitter(peers: ModuleType, image: NDArray[np.uint8]) -> Contestant:
    """Twitter's network at a longer side of 320."""
    peer = peers.FastGaze()

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return peer.prepare(np.ascontiguousarray(rgb[..., ::-1])).numpy()

    return Contestant(TWITTER, exported(peer.network, torch.from_numpy(prepare(image)), free=True), prepare)


def google(peers: ModuleType, image: NDArray[np.uint8], rows: int, columns: int) -> Contestant:
    """Google's network at `rows` x `columns`; released for 480x640."""

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return np.ascontiguousarray(small.transpose(2, 0, 1)[None])

    network = exported(peers.AttentionCenter().network, torch.from_numpy(prepare(image)), free=False)
    return Contestant(f"{GOOGLE}, {rows}x{columns}", network, prepare, GOOGLE_SCALE)


def ours(model: str) -> Contestant:
    """One of gaze's, at the size that its card states."""
    path = find_model(model)
    card = ModelCard.load(path.with_suffix(".json"))

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = network_size(Size(rgb.shape[1], rgb.shape[0]), card.input.longer_side, card.input.multiple)
        return cv2.resize(rgb, (size.width, size.height), interpolation=cv2.INTER_AREA)[None]

    return Contestant(f"gaze {card.name} {card.version}", session(path.read_bytes()), prepare, is_density=True)


def timed(contestants: list[Contestant], images: list[NDArray[np.uint8]]) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of each network on each photograph."""
    rounds = [{c.name: partial(c.session.run, None, c.feed(image)) for c in contestants} for image in images]
    take_turns(rounds[0], rounds=1)  # warm-up
    times = [take_turns(runs, rounds=1, warm_up=0) for runs in rounds]
    return {c.name: np.concatenate([found[c.name] for found in times]) for c in contestants}


def size_of(contestant: Contestant, image: NDArray[np.uint8]) -> str:
    """Rows x columns that the network sees."""
    shape = contestant.prepare(image).shape
    return "x".join(map(str, shape[1:3] if contestant.is_density else shape[2:]))


def row(contestant: Contestant, times: dict[str, NDArray[np.float64]], judge: Judge) -> dict[str, Any]:
    """All that the table says of a network."""
    low, ms, high = np.percentile(times[contestant.name], (25, 50, 75))
    share = float(np.median(times[contestant.name] / times[TWITTER]))
    scores = judge(contestant.predict, contestant.is_density)
    size = size_of(contestant, judge.images[0][1])
    return {"name": contestant.name, "input": size, "ms": ms, "low": low, "high": high, "share": share, **scores}


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = ["| network | input | ms, median | quartiles | of Twitter's | AUC | NSS | IG |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for r in rows:
        gain = f"{r['information_gain']:.3f}" if "information_gain" in r else "–"
        time = f"{r['ms']:.2f} | {r['low']:.2f} to {r['high']:.2f} | {r['share']:.3f}"
        lines.append(f"| {r['name']} | {r['input']} | {time} | {r['auc']:.3f} | {r['nss']:.3f} | {gain} |")
    return "\n".join([*lines, ""])


def main(peers_folder: Path, stores: Path, out: Path, models: list[str]) -> None:
    """Times, scores, prints and writes."""
    peers = load_peers(peers_folder)
    judge = Judge(stores / "osie.h5", "test")
    images = [image for _, image in judge.images[:PHOTOS]]
    contestants = [twitter(peers, images[0]), google(peers, images[0], 480, 640), google(peers, images[0], 240, 320)]
    contestants += [ours(model) for model in models]
    if len({contestant.name for contestant in contestants}) < len(contestants):
        sys.exit("two models have the same name and version: their times would be taken for one")
    times = timed(contestants, images)
    rows = [row(contestant, times, judge) for contestant in contestants]
    print(markdown(rows))
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.md").write_text(markdown(rows))
    (out / "peers.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:4]), sys.argv[4:])
