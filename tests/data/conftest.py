"""Pictures and MAT files small enough to draw in a test."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def draw() -> Callable[..., Path]:
    """Writes a picture of random colours, or of the given values, and returns its path."""

    def write(path: Path, width: int = 32, height: int = 24, values: np.ndarray | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if values is None:
            values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert cv2.imwrite(str(path), values)
        return path

    return write


def cells(items: list) -> np.ndarray:
    """A MATLAB cell array, N x 1."""
    array = np.empty((len(items), 1), object)
    array[:, 0] = items
    return array


@pytest.fixture(name="cells")
def cells_fixture() -> Callable[[list], np.ndarray]:
    return cells
