"""Do crops keep the heads of people who face the camera more often than profiles and backs?

    python tests/benchmarks/crop_heads.py DATA STORES [--split val|test|train] [--models fast quality PATH ...]

DATA and STORES: see `crop_quality.py`. Prints, for the heads that EyeCrowd's authors labelled and that hold at least
`HELD` of people's gaze (`crop_measures.py`), which share is whole (more than 95% of its area inside), cut or outside:
the mean over the ratios of `SHAPES`, with the 95% bootstrap interval over photographs.
"""

import argparse
from pathlib import Path

import numpy as np
from crop_choosers import WINDOWS, Chooser, Photo, by_center, by_gaze, read_photos
from crop_measures import HELD, KINDS, PARTLY, Head, held
from crop_quality import CENTER
from numpy.typing import NDArray

SHAPES = WINDOWS[:4]
FATES = ("whole", "cut", "outside")


def fates(photo: Photo, head: Head, chooser: Chooser) -> NDArray[np.float64]:
    """In which share of the crops a head is whole, cut and outside."""
    inside = np.array([head.inside(chooser(photo, window)) for window in SHAPES])
    return np.array([np.mean(inside > PARTLY[1]), np.mean((inside >= PARTLY[0]) & (inside <= PARTLY[1])),
                     np.mean(inside < PARTLY[0])])  # fmt: skip


def interval(photos: NDArray[np.int64], values: NDArray[np.float64], rounds: int = 4000) -> NDArray[np.float64]:
    """Mean, low and high of each column; drawn are photographs with all their heads."""
    random, names = np.random.default_rng(0), np.unique(photos, return_inverse=True)[1]
    sums = np.array([np.bincount(names, column) for column in values.T])
    counts = np.bincount(names)
    drawn = random.integers(0, len(counts), (rounds, len(counts)))
    shares = sums[:, drawn].sum(axis=2) / counts[drawn].sum(axis=1)
    return np.array([values.mean(axis=0), *np.percentile(shares, (2.5, 97.5), axis=1)])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "stores"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--models", nargs="+", default=["fast"])
    args = parser.parse_args()
    choosers: dict[str, Chooser] = {CENTER: by_center}
    for model in args.models:
        choosers |= dict([next(iter(by_gaze(model).items()))])
    photos = read_photos(args.stores, args.data, ("eyecrowd",), args.split)
    heads = [(number, photo, head) for number, photo in enumerate(photos)
             for head in photo.heads or () if held(photo, head) >= HELD]  # fmt: skip
    print(f"| | heads | n | {' | '.join(FATES)} |\n|---|---|---:|---:|---:|---:|")
    for name, chooser in choosers.items():
        for kind in KINDS:
            own = [each for each in heads if each[2].kind == kind]
            found = np.array([fates(photo, head, chooser) for _, photo, head in own])
            bounds = interval(np.array([number for number, _, _ in own]), found).T
            cells = [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in bounds]
            print(f"| {name} | {kind} | {len(own)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
