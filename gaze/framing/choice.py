"""Density + aspect ratio -> the box to cut out: the policy, with no files and no model; `windows` does the sums.

The box is the window that holds most of the predicted gaze and whose sides go where little of it is, never the
surroundings of the brightest pixel: taking the single most salient point amplifies small differences between people
into large ones, the "argmax bias" of Yee, Tantipongpipat and Mishra 2021, "Image cropping on Twitter: fairness metrics,
their limitations, and the importance of representation, design, and agency". The tightest window that holds a given
share of the attention, which automatic zoom looks for, is the crop of Suh, Ling, Bederson and Jacobs 2003, "Automatic
thumbnail cropping and its effectiveness"; Chen, Bai, Wu, Bai and Tang 2016, "Automatic image cropping: a computational
complexity study", search it exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from gaze.errors import ConfigError, brief
from gaze.framing.heads import Heads
from gaze.framing.windows import TIE, Windows, lacking_room, search
from gaze.geometry import AspectRatio, Box, Point, Size

NEAR = 0.03
"""Gaze this close to a side, in parts of the image's longer side, is cut, on both sides of the line.

Chosen on `val` together with `Framing.cut_weight`: docs/crop.md has the frontier, `crop_frontier.py` makes it.
"""

TOLERANCE = 0.005
"""Windows whose worth differs by less are nearly the same: the one that cuts least is taken, then the most central."""

HEAD_WEIGHT = 0.7
"""Where heads are known, the price of gaze on those partly inside, in parts of `Framing.cut_weight`."""

NEAR_WEIGHT = 0.05
"""Where heads are known, the price of gaze near the sides, likewise: what it stood for is known better now.

Both were chosen on `val`: docs/crop.md has the table, `crop_heads.py` makes it.
"""

ROOM = 0.11
"""Where heads are known, gaze within a crop and this close to a side lacks room, the less the further off.

In parts of what the photograph is longer than the crop along that axis: where a crop fills most of it, little room is
to be had.
"""

ROOM_WEIGHT = 2.5
"""The price of gaze that lacks room, in parts of `Framing.cut_weight`, times the cube of the share that is left out.

So a crop of nearly the whole photograph, which has little choice, gives up hardly any gaze for room. Both were chosen
on `val`, by the gaze that is kept, by cut heads and by eye: docs/crop.md.
"""

HEAD_TIE = 1e-4
"""Cuts that differ by less are equal where heads are known: hundreds of cells that each see hardly a head add up."""

KEEP = 0.95
"""Automatic zoom keeps this share of the gaze that the loosest window holds.

On `val` of our three sets it then keeps 0.956 of people's fixations in the loosest window, and the sides of a square
shrink by a factor of 1.14. With 0.9 it is 1.25, and the tops of heads begin to go.
"""

OVERLAP = 0.4
"""Two boxes of one answer have at most this intersection over union."""

FOCUS = 0.1
"""Standard deviation of the gaze put on a point of focus, in parts of the longer side."""

MOST = 1000
"""Points of focus in one image at most."""

BOXES = 100
"""Candidates at most: each is a search of its own."""

STEPS = 5
"""Halvings in the search for a size: it is found to a 32nd of its range."""


@dataclass(frozen=True)
class Framing:
    """What makes a good box, beyond the gaze that it holds.

    `cut_weight` is the one number of policy: what a window is worth is the share of the gaze that it holds, less this
    times what its sides cut (`NEAR`); where heads are known, mostly the gaze on cut ones and what lacks room (`ROOM`).
    With 0 the share alone counts, and a crop runs through a face where that holds a little more; with more, fewer heads
    are cut and less gaze is kept. docs/crop.md has the frontier.

    Attributes:
        zoom: bounds, at least 1; 1 is the largest window of the ratio, 2 has half its sides. Equal bounds are a fixed
            zoom; else the box is the tightest that still holds `KEEP` of the gaze in the loosest.
        padding: share of the box's sides, 0 to below 0.5; gaze this close to a side counts half.
        cut_weight: 0 or more, the price of gaze at the cut in gaze inside.
        candidates: boxes to return at most, 1 to `BOXES`; there are fewer where no more fit with so little in common
            (`OVERLAP`).
        threshold: where the best window is worth less than this more than the central one, that one is taken.
        keep: share of the gaze, 0 to 1, that the box is to hold: it grows beyond its ratio until it does.

    Raises:
        ConfigError: a value is out of its range; the message names it.
    """

    zoom: tuple[float, float] = (1.0, 1.0)
    padding: float = 0.0
    candidates: int = 1
    threshold: float = 0.0
    keep: float = 0.0
    cut_weight: float = 1.25

    def __post_init__(self) -> None:
        for name in ("padding", "threshold", "keep", "cut_weight"):
            if not isinstance(getattr(self, name), Real):
                raise ConfigError(f"{name}: expected a number, got {brief(getattr(self, name))}")
        valid = {
            "zoom: expected two numbers from 1 up, the smaller first": _are_bounds(self.zoom),
            "padding: expected a share from 0 to below 0.5": 0 <= self.padding < 0.5,
            f"candidates: expected a whole number from 1 to {BOXES}": _is_count(self.candidates),
            "threshold: expected a share from 0 to 1": 0 <= self.threshold <= 1,
            "keep: expected a share from 0 to 1": 0 <= self.keep <= 1,
            "cut_weight: expected a number from 0 up": 0 <= self.cut_weight < np.inf,
        }
        for expected, holds in valid.items():
            if not holds:
                raise ConfigError(f"{expected}, got {brief(getattr(self, expected.split(':')[0]))}")


def _are_bounds(zoom: object) -> bool:
    """Whether these are two numbers from 1 up, the smaller first."""
    numbers = isinstance(zoom, tuple | list) and len(zoom) == 2 and all(isinstance(bound, Real) for bound in zoom)
    return numbers and 1 <= zoom[0] <= zoom[1] < np.inf  # type: ignore[index]


def _is_count(candidates: object) -> bool:
    return isinstance(candidates, Integral) and 1 <= candidates <= BOXES  # type: ignore[operator]


@dataclass(frozen=True)
class Crop:
    """A chosen box and how good it is."""

    __module__ = "gaze"

    ratio: AspectRatio
    box: Box
    """In pixels of the image that was given; of a file, upright."""
    score: float
    """Share of the predicted gaze inside the box, 0 to 1."""
    center_score: float
    """The same for the window of this size in the centre of the image."""
    confidence: float
    """How much more the best window is worth than the central one, at least 0; kept where the centre was taken.

    Worth is the share of the gaze inside, less what `Framing.cut_weight` is the price of.
    """
    cut: float = 0.0
    """Share of the predicted gaze at the cut, 0 to 1: what stands out near the sides that are not the image's own."""
    center_cut: float = 0.0
    """The same for the window in the centre."""
    centered: bool = False
    """Whether the box is in the centre because no other window was worth more, or hardly more."""
    zoom: float = 1.0
    """The sides of the largest window of the ratio over those of the box."""
    alternatives: "tuple[Crop, ...]" = ()
    """Other boxes, the next best first, where more candidates than one were wanted; see `gaze.crop`."""
    cut_heads: float | None = None
    """Share of the predicted gaze on heads that are partly inside, 0 to 1; None where the model knows no heads."""
    center_cut_heads: float | None = None
    """The same for the window in the centre."""


def choose(
    density: NDArray, size: Size, ratio: AspectRatio, framing: Framing = Framing(),
    focus: Sequence[Point] = (), focus_weight: float = 1.0, heads: Heads | None = None,
) -> list[Crop]:  # fmt: skip
    """Finds the boxes of an aspect ratio that hold most of the density and cut through little of it.

    Args:
        density: h x w, at least 0, with some mass; a map of the whole image at any resolution, the network's own
            will do. The search takes time by its cells, not by the pixels of the image.
        size: of the image, in whose pixels the box is counted.
        ratio: width to height of the box.
        framing: how it is to lie.
        focus: points that a person chose, see `with_focus`. They never mean the centre, and the less the density
            counts, the less its cuts do.
        focus_weight: share of the gaze that goes to them.
        heads: of the image, where a model says where they are; like the gaze, a focus leaves them less to say.

    Returns:
        At least one crop, the best first.
    """
    if focus:
        density = with_focus(density, size, focus, focus_weight)
        framing = replace(framing, threshold=0.0, cut_weight=(1 - focus_weight) * framing.cut_weight)
    density = density / density.sum(dtype=np.float64)
    window = _window(density, size, ratio, framing, heads)
    places = _places(density, size, window, framing, heads)
    best, center = _best(places, framing), places.center
    gain = float(places.worth[places.at(best)] - places.worth[places.at(center)])
    centered = best == center or gain < framing.threshold
    boxes = _apart(places, center if centered else best, framing)
    largest = ratio.largest(size)
    zoom = max(largest.width / window.width, largest.height / window.height)

    def crop(box: Box, centered: bool = False) -> Crop:
        score, middle = places.share(box), places.share(center)
        cut = Crop(ratio, box, score, middle, max(0.0, gain), places.cut(box), places.cut(center), centered, zoom)
        return replace(cut, cut_heads=places.cut_heads(box), center_cut_heads=places.cut_heads(center))

    return [crop(boxes[0], centered), *map(crop, boxes[1:])]


def with_focus(density: NDArray, size: Size, points: Sequence[Point], weight: float = 1.0) -> NDArray[np.float64]:
    """Puts gaze on points that a person chose.

    A box chosen from the result is pulled to them; with weight 1 they are all that counts.

    Args:
        density: h x w, at least 0, with some mass.
        size: of the image.
        points: at least one, in pixels of the image.
        weight: share of the gaze that goes to the points, in equal parts, 0 to 1.

    Returns:
        h x w, sums to 1.

    Raises:
        ConfigError: there is no point, there are more than `MOST`, one lies outside the image, or the weight is out of
            its range.
    """
    if not isinstance(weight, Real) or not 0 <= weight <= 1:
        raise ConfigError(f"focus weight: expected a share from 0 to 1, got {brief(weight)}")
    if len(points) > MOST:
        raise ConfigError(f"focus: expected at most {MOST} points of one photo, got {len(points)}")
    outside = [p for p in points if not (0 <= p.x < size.width and 0 <= p.y < size.height)]
    if not points or outside:
        got = brief(outside[0]) if outside else "none"
        raise ConfigError(f"focus: expected points inside the {size} pixels of the image, got {got}")
    sigma = FOCUS * max(size.width, size.height)
    rows, columns = ((np.arange(n) + 0.5) / n for n in density.shape)
    spots = np.zeros(density.shape)  # one map, however many points
    for p in points:
        spots += _bell(rows * size.height - p.y, sigma) * _bell(columns * size.width - p.x, sigma).T
    return (1 - weight) * density / density.sum(dtype=np.float64) + weight * (spots / len(points))


def _bell(distance: NDArray, sigma: float) -> NDArray:
    """A Gaussian at these distances, as a column that sums to 1."""
    bell = np.exp(-0.5 * ((distance - np.abs(distance).min()) / sigma) ** 2)[:, None]
    return bell / bell.sum()


def _apart(places: Windows, first: Box, framing: Framing) -> list[Box]:
    """At most as many boxes as are wanted, each the best of those that have little in common with the ones before."""
    boxes = [first]
    while len(boxes) < framing.candidates:
        places = places.apart_from(boxes[-1], OVERLAP)
        if np.isneginf(places.worth.max()):
            break
        boxes.append(_best(places, framing))
    return boxes


def _best(places: Windows, framing: Framing) -> Box:
    """Of the places that are worth nearly most the one that cuts least; of equal ones the most central."""
    tolerance = TOLERANCE if framing.cut_weight else TIE
    cuts, tie = places.cuts, TIE
    if places.heads is not None:
        cuts, tie = NEAR_WEIGHT * cuts + HEAD_WEIGHT * places.heads, HEAD_TIE
    nearly = np.where(places.worth >= places.worth.max() - tolerance, cuts, np.inf)
    return places.most_central(nearly <= nearly.min() + tie)


def _places(density: NDArray, size: Size, window: Size, framing: Framing, heads: Heads | None) -> Windows:
    near, weight = NEAR * max(size.width, size.height), framing.cut_weight
    if heads is None:
        return search(density, size, window, framing.padding, near, weight)
    places = search(density, size, window, framing.padding, near, NEAR_WEIGHT * weight)
    cut = heads.partly_inside(size, window, places.tops, places.lefts)
    left_out = 1 - window.pixels / size.pixels
    room = ROOM_WEIGHT * left_out**3 * lacking_room(density, places, ROOM)
    return replace(places, heads=cut, worth=places.worth - weight * (HEAD_WEIGHT * cut + room))


def _window(density: NDArray, size: Size, ratio: AspectRatio, framing: Framing, heads: Heads | None) -> Size:
    """The size of the box: of the ratio within the bounds of the zoom, beyond it where that holds too little."""
    tightest, loosest = (_shrunk(ratio.largest(size), zoom) for zoom in reversed(framing.zoom))

    def most(window: Size) -> float:
        places = _places(density, size, window, framing, heads)
        return places.share(_best(places, framing))

    if tightest == loosest and not framing.keep:
        return loosest
    reached = most(loosest)
    if reached < framing.keep - TIE:
        return _smallest(loosest, size, lambda window: most(window) >= framing.keep - TIE)
    needed = max(framing.keep, KEEP * reached) - TIE
    return _smallest(tightest, loosest, lambda window: most(window) >= needed)


def _smallest(small: Size, large: Size, enough: Callable[[Size], bool]) -> Size:
    """The smallest size from `small` to `large` that is enough, to `STEPS` halvings; `large` is known to be."""
    if small == large or enough(small):
        return small
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(_between(small, large, middle)) else (middle, high)
    return _between(small, large, high)


def _between(small: Size, large: Size, part: float) -> Size:
    """A size on the straight way from `small` (0) to `large` (1)."""
    width, height = large.width - small.width, large.height - small.height
    return Size(small.width + round(part * width), small.height + round(part * height))


def _shrunk(size: Size, zoom: float) -> Size:
    """A size with its sides divided by `zoom`."""
    return Size(max(1, round(size.width / zoom)), max(1, round(size.height / zoom)))
