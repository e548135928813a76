"""Fixtures that several tests share."""

import hashlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gaze.data.layout import StoreAttributes
from gaze.data.writer import write_store
from gaze.fixations import Fixations, Stimulus

SHARED = Path(os.environ.get("GAZE_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of eye-tracking data and ImageNet weights beside the checkout; skips where it is missing."""
    if not (SHARED / "data" / "splits.json").is_file():
        pytest.skip(f"no eye-tracking data at {SHARED} (set GAZE_SHARED to the folder that holds data/ and weights/)")
    return SHARED


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its card, of a trained one's interface: the brighter a cell, the more gaze it draws."""
    from onnx import TensorProto, helper, numpy_helper, save

    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("ReduceMean", ["float"], ["gray"], axes=[3], keepdims=0),
        node("Unsqueeze", ["gray", "one"], ["channel"]),
        node("AveragePool", ["channel"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Squeeze", ["pooled", "one"], ["cells"]),
        node("Div", ["cells", "scale"], ["logits"]),
        node("Shape", ["logits"], ["shape"]),
        node("Flatten", ["logits"], ["flat"], axis=1),
        node("LogSoftmax", ["flat"], ["log_flat"], axis=1),
        node("Reshape", ["log_flat", "shape"], ["log_density"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array(32, np.float32), "scale"),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("log_density", TensorProto.FLOAT, ["n", "rows", "columns"])],
        constants,
    )
    path = tmp_path_factory.mktemp("model") / "bright.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    rule = {"color": "RGB", "longer_side": 320, "multiple": 16, "resize": "area"}
    card = {"format_version": 1, "name": "bright", "version": "7", "input": rule, "output": {"stride": 4}}
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture(scope="session")
def head_model(bright_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an output `heads`: every cell whose mean is above half lies in a head one cell wide."""
    from onnx import TensorProto, helper, load, numpy_helper, save

    model, node = load(bright_model), helper.make_node
    model.graph.node.extend(
        [
            node("AveragePool", ["channel"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
            node("Sub", ["coarse", "half"], ["logit"]),
            node("Mul", ["logit", "zero"], ["sides"]),
            node("Add", ["sides", "log_half"], ["side"]),
            node("Concat", ["logit", "side", "side", "side", "side"], ["heads"], axis=1),
        ]
    )
    for name, value in {"half": 127.5, "zero": 0.0, "log_half": np.log(0.5)}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    shape = ["n", 5, "head_rows", "head_columns"]
    model.graph.output.append(helper.make_tensor_value_info("heads", TensorProto.FLOAT, shape))
    path = tmp_path_factory.mktemp("model") / "heads.onnx"
    save(model, path)
    card = json.loads(bright_model.with_suffix(".json").read_text())
    card |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "output": {"stride": 4, "heads": 8}}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def few_frames() -> Iterator[None]:
    """So few that a function cannot call itself for each of 300 folders."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 150)
    yield
    sys.setrecursionlimit(before)


SPLITS = ("train",) * 4 + ("val",) * 3 + ("test",) * 4


def drawn_stimulus(number: int, split: str, gaze: bool = True) -> Stimulus:
    """A bright spot where four subjects look, or a density; 64 x 48, the last of each four 48 x 64."""
    random = np.random.default_rng(number)
    width, height = (48, 64) if number % 4 == 3 else (64, 48)
    x, y = random.uniform(0.25, 0.75, 2) * (width, height)
    columns, rows = np.arange(width) - x, np.arange(height)[:, None] - y
    spot = np.exp(-0.5 * (columns**2 + rows**2) / 36)
    buffer = BytesIO()
    Image.fromarray((255 * spot).astype(np.uint8)).convert("RGB").save(buffer, "PNG")
    points = random.normal((x, y), 5, (12, 2)).clip(0, (width - 1, height - 1))
    fixations = Fixations.of(*points.T, subject=np.repeat(np.arange(4), 3), order=np.tile(np.arange(1, 4), 4))
    density = (spot / spot.sum()).astype(np.float32)
    seen = (fixations, None) if gaze else (Fixations.of([], []), density)
    return Stimulus(f"{number:03}.png", buffer.getvalue(), width, height, split, *seen)


@pytest.fixture(scope="session")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a store of the given splits, with gaze points or with densities."""

    def make(splits: tuple[str, ...] = SPLITS, gaze: bool = True, teacher: str | None = None) -> Path:
        path = tmp_path_factory.mktemp("store") / "small.h5"
        attributes = StoreAttributes("small", "MIT", "drawn by a test", 4.0, None, True, teacher=teacher)
        write_store(path, attributes, (drawn_stimulus(k, split, gaze) for k, split in enumerate(splits)))
        return path

    return make


@pytest.fixture(scope="session")
def small_store(make_store: Callable[..., Path]) -> Path:
    return make_store()
