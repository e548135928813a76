"""What does it spare to know where heads are, and whose heads are spared: of people who face the camera, or not?

    python tests/benchmarks/crop_heads.py DATA STORES [--split val|test|train] [--models fast quality PATH ...]
        [--yunet yunet_s_dynamic.onnx]

DATA and STORES: see `crop_quality.py`; `crop_measures.py` says what is measured. Prints two tables.

The first compares ways to know where heads are (`head_ways.py`), all at the prices that ship: photographs of EyeCrowd
with a cut head; kept gaze, less the center crop's, and gaze at the cut, means over the ratios of `SHAPES`, of each the
mean over the sets; and the least that a ratio of a set keeps over the center crop. Of `train`, EyeCrowd alone. Crops of
the whole photograph are left out.

The second tells, for the heads that EyeCrowd's authors labelled and that hold at least `HELD` of people's gaze, which
share is whole (more than 95% of its area inside), cut or outside: the mean over the ratios, with the 95% bootstrap
interval over photographs.
"""

import argparse
from pathlib import Path

import numpy as np
from crop_choosers import WINDOWS, Chooser, Photo, by_center, read_photos
from crop_measures import HELD, KINDS, PARTLY, Head, held, measured
from crop_quality import CENTER, SETS
from head_ways import ways
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


def compared(photos: list[Photo], choosers: dict[str, Chooser]) -> str:
    """The first table."""
    names = [f"cut heads, {window.name}" for window in SHAPES]
    lines = [
        f"| | {' | '.join(names)} | mean | kept, over the center | at least | at the cut |",
        "|---" + "|---:" * 8 + "|",
    ]
    center = of_sets(photos, by_center)
    for name, chooser in choosers.items():
        found = of_sets(photos, chooser)
        gain = (found - center)[..., 0]
        heads, near = np.nanmean(found[..., 2], axis=1), np.nanmean(found[..., 1])
        cells = " | ".join(f"{share:.2f}" for share in heads)
        lines.append(
            f"| {name} | {cells} | {heads.mean():.3f} | {np.nanmean(gain):+.4f} | {np.nanmin(gain):+.3f} | {near:.3f} |"
        )
    return "\n".join(lines)


def of_sets(photos: list[Photo], chooser: Chooser) -> NDArray[np.float64]:
    """Ratios x sets x measures: means over the photographs that are not kept whole."""
    found = np.full((len(SHAPES), len(SETS), 3), np.nan)
    for column, source in enumerate(SETS):
        own = [photo for photo in photos if photo.source == source]
        for row, window in enumerate(SHAPES):
            rows = [measured(photo, chooser(photo, window)) for photo in own if window.size(photo.size) != photo.size]
            if rows:
                found[row, column] = np.mean(rows, axis=0)
    return found


def by_kind(photos: list[Photo], choosers: dict[str, Chooser]) -> str:
    """The second table."""
    heads = [(number, photo, head) for number, photo in enumerate(photos)
             for head in photo.heads or () if held(photo, head) >= HELD]  # fmt: skip
    lines = [f"| | heads | n | {' | '.join(FATES)} |\n|---|---|---:|---:|---:|---:|"]
    for name, chooser in choosers.items():
        for kind in KINDS:
            own = [each for each in heads if each[2].kind == kind]
            found = np.array([fates(photo, head, chooser) for _, photo, head in own])
            bounds = interval(np.array([number for number, _, _ in own]), found).T
            cells = [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in bounds]
            lines.append(f"| {name} | {kind} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "stores"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--split", default="val", choices=("train", "val", "test"))
    parser.add_argument("--models", nargs="+", default=["fast"])
    parser.add_argument("--yunet", type=Path, metavar="FILE", help="of the face detector, to compare with")
    args = parser.parse_args()
    choosers: dict[str, Chooser] = {CENTER: by_center}
    for model in args.models:
        choosers |= ways(model, args.yunet)
    sources = ("eyecrowd",) if args.split == "train" else SETS
    photos = list(read_photos(args.stores, args.data, sources, args.split))
    print(compared(photos, choosers))
    print()
    print(by_kind([photo for photo in photos if photo.source == "eyecrowd"], choosers))


if __name__ == "__main__":
    main()
