"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("GAZE_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of eye-tracking data and ImageNet weights beside the checkout; skips where it is missing."""
    if not (SHARED / "data" / "splits.json").is_file():
        pytest.skip(f"no eye-tracking data at {SHARED} (set GAZE_SHARED to the folder that holds data/ and weights/)")
    return SHARED
