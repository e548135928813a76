"""Boxes as they are today, in golden.json: a change of the policy or of the model `fast` shows there as a diff.

    GAZE_UPDATE=1 pytest tests/framing/test_golden.py

writes what is chosen now instead of comparing; look at the diff, then commit it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gaze
from gaze.framing.choice import choose
from gaze.geometry import AspectRatio, Box, Size
from gaze.predictor import Predictor

GOLDEN = Path(__file__).with_name("golden.json")
RATIOS = ("1:1", "9:16", "4:5", "16:9")
SIZE = Size(800, 600)
NEAR = 2
"""Pixels by which a side may lie elsewhere: engines and processors round a density in their own way."""


def drawn(*spots: tuple[float, float, float, float, float]) -> np.ndarray:
    """Cells of `SIZE` with Gaussian spots at x, y, as wide and high as said, all parts of the image, and their mass."""
    x, y = (np.arange(68) + 0.5) / 68, (np.arange(51)[:, None] + 0.5) / 51
    density = np.full((51, 68), 0.2 / (51 * 68))
    for left, top, wide, high, mass in spots:
        spot = np.exp(-(((x - left) / wide) ** 2) / 2 - ((y - top) / high) ** 2 / 2)
        density += mass * spot / spot.sum()
    return density / density.sum()


DRAWN = {
    "flat": drawn(),
    "one at the left": drawn((0.15, 0.4, 0.03, 0.06, 1)),
    "two near each other": drawn((0.45, 0.4, 0.03, 0.06, 1), (0.65, 0.45, 0.03, 0.06, 1)),
    "two far from each other": drawn((0.1, 0.4, 0.03, 0.06, 1), (0.9, 0.5, 0.03, 0.06, 0.8)),
    "a row": drawn(*((x / 10, 0.45, 0.02, 0.04, 1) for x in range(1, 10))),
    "a line of text": drawn((0.5, 0.85, 0.25, 0.03, 1)),
    "one below, one above": drawn((0.3, 0.15, 0.03, 0.05, 0.7), (0.6, 0.9, 0.06, 0.04, 1)),
}


def boxes(chosen: Callable[[str], Box]) -> dict[str, list[int]]:
    """Left, top, width and height for each ratio."""
    found = {ratio: chosen(ratio) for ratio in RATIOS}
    return {ratio: [box.left, box.top, box.width, box.height] for ratio, box in found.items()}


def check(found: dict[str, dict[str, list[int]]], part: str) -> None:
    """Compares with a part of the golden file, or writes it there, a line for each picture."""
    golden = json.loads(GOLDEN.read_text())
    if os.environ.get("GAZE_UPDATE"):
        golden[part] = found
        parts = [f'"{part}": {{\n' + ",\n".join(f' "{name}": {json.dumps(row)}' for name, row in rows.items()) + "\n}"
                 for part, rows in golden.items()]  # fmt: skip
        GOLDEN.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    assert golden[part].keys() == found.keys()
    for name, own in found.items():
        for ratio, box in own.items():
            assert np.abs(np.subtract(box, golden[part][name][ratio])).max() <= NEAR, f"{name}, {ratio}: {box}"


def test_boxes_of_drawn_densities():
    def found(density: np.ndarray) -> dict[str, list[int]]:
        return boxes(lambda ratio: choose(density, SIZE, AspectRatio.parse(ratio))[0].box)

    check({name: found(density) for name, density in DRAWN.items()}, "drawn")


def test_boxes_of_the_dog():
    dog = Path(__file__).parents[2] / "docs" / "dog.jpg"
    check({"docs/dog.jpg": boxes(lambda ratio: gaze.crop(dog, ratio=ratio, model="fast").box)}, "docs")


@pytest.mark.shared
def test_boxes_of_photographs(shared: Path):
    names, predictor = json.loads(GOLDEN.read_text())["photographs"], Predictor("fast")

    def found(name: str) -> dict[str, list[int]]:
        source, file = name.split("/")
        path = shared / "data" / source / "stimuli" / file
        return boxes(lambda ratio: gaze.crop(path, ratio=ratio, predictor=predictor).box)

    check({name: found(name) for name in names}, "photographs")
