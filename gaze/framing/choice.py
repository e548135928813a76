"""Density + aspect ratio -> the box to cut out after `policy`, with no files and no model; `windows` does the sums.

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
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from gaze.errors import ConfigError, brief
from gaze.framing.heads import Heads
from gaze.framing.policy import (
    BESIDE,
    BESIDE_WEIGHT,
    HEAD_WEIGHT,
    KEEP,
    MOST,
    NEAR,
    OFFSET_WEIGHT,
    OVERLAP,
    SHIFT_WEIGHT,
    TOLERANCE,
    WHOLE_WEIGHT,
    Framing,
)
from gaze.framing.preference import Preference
from gaze.framing.windows import TIE, Windows, offsets, search
from gaze.geometry import AspectRatio, Box, Point, Size

HEAD_TIE = 1e-4
"""Cuts that differ by less are equal where heads are known: hundreds of cells that each see hardly a head add up."""

FOCUS = 0.1
"""Standard deviation of the gaze put on a point of focus, in parts of the longer side."""

STEPS = 5
"""Halvings in the search for a size: it is found to a 32nd of its range."""


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

    Worth is the share of the gaze inside, less what `Framing.cut_weight` is the price of; where heads are known whole
    ones add to it, so that it may be above 1.
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
    preference: Preference | None = None,
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
        preference: likewise, what a model has learnt from people's choices of crops.

    Returns:
        At least one crop, the best first.
    """
    if focus:
        density = with_focus(density, size, focus, focus_weight)
        framing = replace(framing, threshold=0.0, cut_weight=(1 - focus_weight) * framing.cut_weight)
        heads = None if heads is None else replace(heads, gaze=(1 - focus_weight) * heads.gaze)
    seen = Seen(density / density.sum(dtype=np.float64), size, heads, preference)
    window = _window(seen, ratio, framing)
    places = seen.places(window, framing.cut_weight, framing.padding)
    best, center = _best(places, framing), places.center
    middle = places.holding(center)
    gain = places.holding(best).worth - middle.worth
    centered = best == center or gain < framing.threshold
    boxes = _apart(places, center if centered else best, framing)
    largest = ratio.largest(size)
    zoom = max(largest.width / window.width, largest.height / window.height)

    def crop(box: Box, centered: bool = False) -> Crop:
        held = places.holding(box)
        return Crop(
            ratio, box, held.share, middle.share, max(0.0, gain), held.cut, middle.cut, centered, zoom,
            cut_heads=held.cut_heads, center_cut_heads=middle.cut_heads,
        )  # fmt: skip

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
        cuts, tie = BESIDE_WEIGHT * places.beside + HEAD_WEIGHT * places.heads, HEAD_TIE
    nearly = np.where(places.worth >= places.worth.max() - tolerance, cuts, np.inf)
    return places.most_central(nearly <= nearly.min() + tie)


@dataclass(frozen=True)
class Seen:
    """What a choice knows of an image, see `choose`; the density sums to 1."""

    density: NDArray[np.float64]
    size: Size
    heads: Heads | None = None
    preference: Preference | None = None

    def places(self, window: Size, weight: float = Framing.cut_weight, padding: float = 0.0) -> Windows:
        """All places of a window, and what each is worth by the policy."""
        longer, heads = max(self.size.width, self.size.height), self.heads
        known = heads is not None or self.preference is not None
        places = search(self.density, self.size, window, padding, NEAR * longer, BESIDE * longer if known else 0.0)
        if heads is None:
            bad, cut = places.cuts, None
        else:
            cut, whole = heads.inside(self.size, window, places.tops, places.lefts)
            bad = BESIDE_WEIGHT * places.beside + OFFSET_WEIGHT * offsets(self.density, places)
            bad = bad + SHIFT_WEIGHT * places.shifts + HEAD_WEIGHT * cut - WHOLE_WEIGHT * whole
        if self.preference is not None:
            bad = bad - self.preference.worth(places)
        if known:  # a tight crop of something larger would else flee from it
            weight /= min(self.size.width / window.width, self.size.height / window.height) ** 2
        return replace(places, heads=cut, worth=places.worth - weight * bad)


def _window(seen: Seen, ratio: AspectRatio, framing: Framing) -> Size:
    """The size of the box: of the ratio within the bounds of the zoom, beyond it where that holds too little."""
    tightest, loosest = (_shrunk(ratio.largest(seen.size), zoom) for zoom in reversed(framing.zoom))

    def most(window: Size) -> float:
        places = seen.places(window, framing.cut_weight, framing.padding)
        return places.holding(_best(places, framing)).share

    if tightest == loosest and not framing.keep:
        return loosest
    reached = most(loosest)
    if reached < framing.keep - TIE:
        return _smallest(loosest, seen.size, lambda window: most(window) >= framing.keep - TIE)
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
