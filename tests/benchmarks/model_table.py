"""Makes the tables of the shipped models from the data sets as released.

    python tests/benchmarks/model_table.py DATA OUT

DATA holds `osie`, `eyecrowd` and `scene500`; OUT receives the stores and a report of each model.
"""

import subprocess
import sys
from pathlib import Path

from gaze.weights import SHIPPED

SETS = ("osie", "eyecrowd", "scene500")


def main(data: Path, out: Path) -> None:
    """Prepares the three sets and evaluates the shipped models on their test splits."""
    stores = {name: out / f"{name}.h5" for name in SETS}
    for name, store in stores.items():
        run("prepare", f"data={name}", f"data.root={data / name}", f"out={store}")
    paths = [f"sets.{name}.store={store}" for name, store in stores.items()]
    for name in SHIPPED:
        run("evaluate", f"network={name}", f"data=[{','.join(SETS)}]", *paths, f"out={out / name}")


def run(verb: str, *settings: str) -> None:
    """Runs one verb; stops where it fails."""
    subprocess.run([sys.executable, "-m", f"gaze.{verb}", *settings], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
