"""What share of one photo's crop is start-up?

    python tests/benchmarks/crop_start.py PHOTO [--rounds 15]

Times, in turn, whole processes: `python -m gaze.crop PHOTO`; an interpreter that imports NumPy, OpenCV, ONNX Runtime
and Pillow, no more; one that does nothing. Prints the median seconds of each with their quartiles, and the median of
its share of the crop of the same round.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

PROCESSES = {
    "a crop": ["-m", "gaze.crop"],
    "the imports": ["-c", "import cv2, numpy, onnxruntime, PIL.Image"],
    "Python": ["-c", "pass"],
}


def seconds(arguments: list[str]) -> float:
    """Wall-clock time of a Python process."""
    start = perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return perf_counter() - start


def main() -> None:
    """Times and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        crop = [*PROCESSES["a crop"], str(options.photo), str(Path(folder) / "crop.jpg"), "--overwrite"]
        commands = {**PROCESSES, "a crop": crop}
        rounds = [{name: seconds(command) for name, command in commands.items()} for _ in range(options.rounds + 1)]
    for name in commands:  # the first round warms the file system up
        low, median, high = np.percentile([each[name] for each in rounds[1:]], (25, 50, 75))
        share = np.median([each[name] / each["a crop"] for each in rounds[1:]])
        print(f"{name}: {median:.2f} s ({low:.2f} to {high:.2f}), {share:.2f} of a crop")


if __name__ == "__main__":
    main()
