"""SALICON: Jiang, Huang, Duan, Zhao, "SALICON: saliency in context", CVPR 2015; salicon.net."""

from functools import partial
from pathlib import Path

import numpy as np

from gaze.data.readers.coco import CocoFixations
from gaze.data.readers.entry import READERS, Entry, Gaze, images_in, require
from gaze.data.readers.maps import points, read_grey
from gaze.data.readers.matlab import read_mat
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size

LAYOUT = (
    "SALICON's images/{train,val}/*.jpg and fixations/{train,val}/*.mat (or *.png), maps/{train,val}/*.png"
    " or fixations_*.json"
)


@READERS.register("salicon")
def read(root: Path) -> list[Entry]:
    """Lists the images of `images/train` and `images/val`; those of `images/test` have no published gaze.

    The gaze of an image is the first of these that exists: `fixations/<split>/<name>.mat`; an annotation in a
    `fixations_*.json` beside `images/` or in `annotations/`; the non-zero pixels of
    `fixations/<split>/<name>.png`; and, as a density, `maps/<split>/<name>.png`.

    Raises:
        DataError: there are no images or no gaze, or a JSON file is damaged.
    """
    images = {split: images_in(root / "images" / split) for split in ("train", "val")}
    tables = sorted([*root.glob("fixations_*.json"), *root.glob("annotations/fixations_*.json")])
    folders = [root / kind / split for kind in ("fixations", "maps") for split in images]
    require(root, LAYOUT, images["train"] + images["val"], [p for p in (*tables, *folders) if p.exists()])
    annotations = [CocoFixations(path) for path in tables]
    return [
        Entry(path.name, path, partial(_gaze, root, split, path, annotations), split)
        for split, paths in images.items()
        for path in paths
    ]


def _gaze(root: Path, split: str, image: Path, annotations: list[CocoFixations], size: Size) -> Gaze:
    stem = root / "fixations" / split / image.stem
    mat, mask, blurred = (
        stem.with_suffix(".mat"),
        stem.with_suffix(".png"),
        root / "maps" / split / f"{image.stem}.png",
    )
    if mat.exists():
        return _mat_fixations(mat, size)
    for table in annotations:
        if image.name in table:
            return table.fixations(image.name)
    if mask.exists():
        return points(read_grey(mask, size))
    if blurred.exists():
        return read_grey(blurred, size)
    raise DataError("no .mat, no annotation, no fixation map and no blurred map for this image")


def _mat_fixations(path: Path, size: Size) -> Fixations:
    """Reads `gaze(i).fixations`, 1-based x, y; observers are numbered within the image.

    The 2017 edition has fixations outside the image: they are moved to its border. The durations are not
    known, because `timestamp` belongs to the mouse positions in `location`.
    """
    variables = read_mat(path)
    try:
        height, width = (int(length) for length in variables["resolution"])
        observers = [np.asarray(observer.fixations) for observer in np.atleast_1d(variables["gaze"])]
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path.name}: expected resolution and gaze(i).fixations") from error
    if (width, height) != (size.width, size.height):
        raise DataError(f"{path.name} is for {width} x {height}, the image is {size.width} x {size.height}")
    parts = []
    for number, observer in enumerate(observers):
        x, y = observer.reshape(-1, 2).astype(np.float32).T - 1
        x, y = np.clip(x, 0, size.width - 1), np.clip(y, 0, size.height - 1)
        parts.append(Fixations.of(x, y, number, np.arange(len(x))))
    return Fixations.join(parts)
