from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gaze.crop.cli import main


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dark photo with a bright spot whose centre lies at `x`, `y` (0 to 1) of its size."""

    def write(name: str, x: float = 0.8, y: float = 0.5, size: tuple[int, int] = (240, 160), **options: object) -> Path:
        pixels = np.full((size[1], size[0], 3), 25, np.uint8)
        left, top, radius = int(x * size[0]), int(y * size[1]), min(size) // 10
        pixels[max(0, top - radius) : top + radius, max(0, left - radius) : left + radius] = 255
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def crop(bright_model: Path) -> Callable[..., int]:
    """Runs the command line with the test's model, over a folder in one process, and returns the exit code."""

    def run(*arguments: object) -> int:
        jobs = ["--jobs", "1"] if arguments and Path(str(arguments[0])).is_dir() else []
        return main([*map(str, arguments), "--model", str(bright_model), *jobs])

    return run
