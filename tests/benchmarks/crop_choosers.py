"""Ways to choose a crop, for `crop_quality.py`: the centre, other croppers, other networks, gaze, and people."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from crop_measures import Head, read_heads
from numpy.typing import NDArray

from gaze.data.densities import fixation_density, fixation_map
from gaze.data.store import FixationStore
from gaze.fixations import Fixations
from gaze.framing.choice import choose
from gaze.framing.policy import Framing
from gaze.framing.windows import central_window
from gaze.geometry import AspectRatio, Box, Size
from gaze.images import decode
from gaze.predictor import Prediction, Predictor

PLAIN = Framing(padding=0, threshold=0, cut_weight=0)
"""The window that holds most, and nothing else."""

NODE = Path(__file__).parent / "node"

GOLD_CELLS = 200
"""Of the longer side of the map that an observer's fixations are blurred in."""


@dataclass(frozen=True)
class Window:
    """A kind of box: the largest of a ratio, its sides divided by `zoom`."""

    name: str
    ratio: AspectRatio
    zoom: float = 1.0

    def framed(self, framing: Framing) -> Framing:
        """`framing` with this zoom."""
        return replace(framing, zoom=(self.zoom, self.zoom))

    def size(self, photo: Size) -> Size:
        """In pixels of a photo."""
        largest = self.ratio.largest(photo)
        return Size(round(largest.width / self.zoom), round(largest.height / self.zoom))


WINDOWS = (
    Window("1:1", AspectRatio(1, 1)),
    Window("9:16", AspectRatio(9, 16)),
    Window("4:5", AspectRatio(4, 5)),
    Window("16:9", AspectRatio(16, 9)),
    Window("half 1:1", AspectRatio(1, 1), zoom=2),  # 300x300 of 800x600
)


@dataclass(frozen=True)
class Photo:
    """A photograph and the fixations inside it; `sigma` in pixels blurs them as its set does.

    `heads` are those that count, of a set where they are labelled.
    """

    source: str
    file: Path
    image: NDArray[np.uint8]
    size: Size
    fixations: Fixations
    sigma: float
    heads: tuple[Head, ...] | None = None


Chooser = Callable[[Photo, Window], Box]


def read_photos(stores: Path, data: Path, sources: tuple[str, ...], split: str) -> Iterator[Photo]:
    """The photographs of a split, one after the other."""
    for source in sources:
        store, table = FixationStore(stores / f"{source}.h5"), data / source / "faces.csv"
        heads = read_heads(table) if table.exists() else None
        for index in store.indices(split):
            image, fixations = decode(store[index].image), store.fixations(index)
            size = Size(image.shape[1], image.shape[0])
            inside = fixations.select(fixations.inside(size.width, size.height))
            name, sigma = store.names[index], store.attributes.sigma_pixels
            own = None if heads is None else heads.get(name, ())
            yield Photo(source, data / source / "stimuli" / name, image, size, inside, sigma, own)


def by_center(photo: Photo, window: Window) -> Box:
    """What most programs do."""
    return central_window(photo.size, window.size(photo.size))


def by_density(density: Callable[[Photo], NDArray], framing: Framing = PLAIN) -> Chooser:
    """The best window of a map, or what `gaze.crop` makes of it."""

    def chosen(photo: Photo, window: Window) -> Box:
        return choose(density(photo), photo.size, window.ratio, window.framed(framing))[0].box

    return chosen


def by_prediction(predicted: Callable[[Photo], Prediction], framing: Framing = Framing()) -> Chooser:
    """As `gaze.crop` chooses, by the heads too where the model tells where they are."""

    def chosen(photo: Photo, window: Window) -> Box:
        seen, framed = predicted(photo), window.framed(framing)
        return choose(seen.density, photo.size, window.ratio, framed, heads=seen.heads, preference=seen.preference)[
            0
        ].box

    return chosen


def by_brightest(density: Callable[[Photo], NDArray]) -> Chooser:
    """Twitter's rule: a window around the brightest point, moved into the photo."""

    def chosen(photo: Photo, window: Window) -> Box:
        found, size = density(photo), window.size(photo.size)
        row, column = np.unravel_index(found.argmax(), found.shape)
        x, y = (column + 0.5) / found.shape[1] * photo.size.width, (row + 0.5) / found.shape[0] * photo.size.height
        left = np.clip(round(x - size.width / 2), 0, photo.size.width - size.width)
        top = np.clip(round(y - size.height / 2), 0, photo.size.height - size.height)
        return Box(int(left), int(top), size.width, size.height)

    return chosen


def by_node(photos: list[tuple[Path, Size]]) -> dict[str, Chooser]:
    """sharp's `attention` and `entropy`, smartcrop.js; all boxes of all photographs in one run of Node."""
    wanted = [(file, window.size(size)) for file, size in photos for window in WINDOWS]
    lines = [json.dumps({"file": str(file), "width": s.width, "height": s.height}) for file, s in wanted]
    command = ["node", "boxes.mjs"]
    found = subprocess.run(command, cwd=NODE, input="\n".join(lines), capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"{found.stderr}\nRun `npm install` in {NODE} first.")
    boxes = dict(zip(wanted, map(json.loads, found.stdout.splitlines()), strict=True))

    def chooser(name: str) -> Chooser:
        def chosen(photo: Photo, window: Window) -> Box:
            size = window.size(photo.size)
            return Box(*boxes[photo.file, size][name], size.width, size.height)

        return chosen

    names = {"sharp `attention`": "attention", "sharp `entropy`": "entropy", "smartcrop.js": "smartcrop"}
    return {shown: chooser(name) for shown, name in names.items()}


def by_networks(peers: ModuleType) -> dict[str, Chooser]:
    """Twitter's and Google's networks (see `peers_table.py`), each run once a photograph."""

    def density(network: Any, photo: Photo) -> NDArray[np.float64]:
        log_map = network.predict(np.ascontiguousarray(photo.image[..., ::-1])).astype(np.float64)
        return np.exp(log_map - log_map.max())

    twitter, google = (remembered(partial(density, network)) for network in (peers.FastGaze(), peers.AttentionCenter()))
    return {
        "Twitter 2018, around its brightest point": by_brightest(twitter),
        "Twitter 2018, best window": by_density(twitter),
        "Google attention-center, best window": by_density(google),
    }


def by_gaze(model: str) -> dict[str, Chooser]:
    """One of ours: as `gaze.crop` chooses, and the best window."""
    predictor = Predictor(model)
    predicted = remembered(lambda photo: predictor.predict(photo.image))
    name = f"gaze {predictor.card.name} {predictor.card.version}"
    best = by_density(lambda photo: predicted(photo).density)
    return {name: by_prediction(predicted), f"{name}, best window": best}


def by_its_own_fixations(photo: Photo, window: Window) -> Box:
    """The oracle: no crop of this size holds more."""
    return choose(fixation_map(photo.fixations, photo.size), photo.size, window.ratio, window.framed(PLAIN))[0].box


def blurred(photo: Photo, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The density of some of the fixations, in cells."""
    size, fixations = photo.size.within(GOLD_CELLS), photo.fixations.select(chosen)
    scale = size.width / photo.size.width
    x, y = (fixations.x + 0.5) * scale - 0.5, (fixations.y + 0.5) * size.height / photo.size.height - 0.5
    return fixation_density(Fixations.of(x, y), size, photo.sigma * scale)


Found = TypeVar("Found")


def remembered(work: Callable[[Photo], Found]) -> Callable[[Photo], Found]:
    """The same, run once for the photograph that was asked for last."""
    last: dict[Path, Found] = {}

    def found(photo: Photo) -> Found:
        if photo.file not in last:
            last.clear()
            last[photo.file] = work(photo)
        return last[photo.file]

    return found
