"""The benchmark of speed refuses what it cannot time."""

import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parent / "benchmarks" / "crop_speed.py"


def test_too_few_photos_are_one_line(tmp_path: Path):
    command = [sys.executable, str(FILE), str(tmp_path), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("crop_speed.py: error: photos as they are: expected at least 29 (")
    assert not (tmp_path / "out").exists()
