"""Windows of an image, the share of a density that each one holds, and what its sides cut: arithmetic only, no policy.

A density is a map of h x w cells that divide the image evenly, each of them evenly filled. While no side of a window
crosses an edge between cells, the share that it holds is bilinear in its place, and a bilinear function is greatest at
a corner. So the best place has, on each axis, a side of the window on such an edge, and trying those, to the whole
pixel below and above, is exact. How many there are depends on the map, not on the pixels of the image. What a window
holds is found axis by axis: sums up to each edge between cells, as in a summed-area table (Crow 1984), and between two
edges a part of the cell, for it is evenly filled. What lies near the sides is a window a little larger less one a
little smaller, so the same holds of it. What lacks room changes slowly, and is weighed at the same places.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaze.geometry import Box, Size

TIE = 1e-6
"""Shares that differ by less are equal."""

STEPS = (1 / 3, 1.0)
"""Of the room at a side: what lies within the first lacks it wholly, from there to the second by half."""

MOST_ROOM = 0.2
"""Of the window's sides."""


class Holding(NamedTuple):
    """What a window holds and cuts at one of its places; see `Windows`."""

    worth: float
    share: float
    cut: float
    cut_heads: float | None


@dataclass(frozen=True)
class Windows:
    """All places that were tried for a window of one size.

    Attributes:
        size: of the image in pixels.
        window: the size of the window in pixels.
        tops, lefts: float64, whole pixels, ascending; the central one is among them.
        shares: float64, tops x lefts, 0 to 1: of the density, what the window holds at each place.
        cuts: likewise, what stands out of the density near the sides of the window, within it or without; sides of the
            image do not count, nor does what every place of it has on average, lest an even density be cut anywhere.
        worth: likewise, the share less the cut's price; within the margins of the window the share counts half.
        heads: likewise, the gaze on heads that are partly inside; None where it is not known where heads are.
    """

    size: Size
    window: Size
    tops: NDArray[np.float64]
    lefts: NDArray[np.float64]
    shares: NDArray[np.float64]
    cuts: NDArray[np.float64]
    worth: NDArray[np.float64]
    heads: NDArray[np.float64] | None = None

    @property
    def center(self) -> Box:
        """The window in the centre of the image, to half a pixel."""
        return central_window(self.size, self.window)

    def most_central(self, among: NDArray[np.bool_]) -> Box:
        """Of the places that `among` marks, tops x lefts, the most central; then the topmost and leftmost."""
        tops, lefts = np.nonzero(among)
        center = self.center
        nearest = np.argmin((self.tops[tops] - center.top) ** 2 + (self.lefts[lefts] - center.left) ** 2)
        left, top = self.lefts[lefts[nearest]], self.tops[tops[nearest]]
        return Box(int(left), int(top), self.window.width, self.window.height)

    def at(self, box: Box) -> tuple[int, int]:
        """Row and column of one of the places in the arrays."""
        return int(np.searchsorted(self.tops, box.top)), int(np.searchsorted(self.lefts, box.left))

    def holding(self, box: Box) -> Holding:
        """What the window holds and cuts at one of the places."""
        at = self.at(box)
        share, cut = min(1.0, float(self.shares[at])), min(1.0, max(0.0, float(self.cuts[at])))
        return Holding(float(self.worth[at]), share, cut, None if self.heads is None else float(self.heads[at]))

    def apart_from(self, box: Box, overlap: float) -> "Windows":
        """The same, where places whose intersection over union with `box` is above `overlap` are worth -inf."""
        high = np.minimum(self.tops + self.window.height, box.bottom) - np.maximum(self.tops, box.top)
        wide = np.minimum(self.lefts + self.window.width, box.right) - np.maximum(self.lefts, box.left)
        common = np.maximum(high, 0)[:, None] * np.maximum(wide, 0)
        union = self.window.pixels + box.size.pixels - common
        return replace(self, worth=np.where(common > overlap * union, -np.inf, self.worth))


def search(
    density: NDArray, size: Size, window: Size, margin: float = 0.0, near: float = 0.0, price: float = 0.0
) -> Windows:
    """Weighs a window at every place where it could be worth most.

    Args:
        density: h x w, at least 0, sums to 1.
        size: of the image in pixels.
        window: in pixels, at most `size`.
        margin: share of the window's sides, 0 to below 0.5: what lies this close to a side is worth half. A side as
            long as that of the image has none.
        near: pixels, at least 0: what stands out this close to a side that is not the image's own, on both sides of
            the line, is cut.
        price: what is cut, times this, is taken off the worth.
    """
    rows = _axis(size.height, window.height, density.shape[0], margin, near)
    columns = _axis(size.width, window.width, density.shape[1], margin, near)

    shares = _held(density, rows.inside, columns.inside)[0]
    cuts = np.zeros_like(shares)
    if near:
        stripes = _held(np.maximum(density - density.mean(), 0), rows.near, columns.near)
        cuts = stripes[0] - stripes[-1]
    worth = shares
    if margin:
        spans = [(row, column) for row in (rows.inside, rows.inset) for column in (columns.inside, columns.inset)]
        worth = np.mean([_held(density, *each)[0] for each in spans], axis=0)
    return Windows(size, window, rows.starts, columns.starts, shares, cuts, worth - price * cuts)


def lacking_room(density: NDArray, places: Windows, room: float) -> NDArray[np.float64]:
    """What stands out of a density inside a window but close to those sides that are not the image's own.

    Args:
        density: h x w, at least 0, sums to 1.
        places: of the window.
        room: share of what an axis of the image is longer than the window, at least 0: what lies this close to a side
            lacks room, the less the further off (`STEPS`). At most `MOST_ROOM`.

    Returns:
        float64, tops x lefts, 0 to 1.
    """
    above = np.maximum(density - density.mean(), 0)
    size, window = places.size, places.window
    rows = _inwards(places.tops, size.height, window.height, above.shape[0], room)
    columns = _inwards(places.lefts, size.width, window.width, above.shape[1], room)
    held = _held(above, rows, columns)
    return held[0] - held[-len(STEPS) :].mean(axis=0)


def _inwards(starts: NDArray, length: int, window: int, cells: int, room: float) -> NDArray[np.float64] | None:
    """Along one axis, the ends of the window in cells, then those that lie further in by each of `STEPS` of the room.

    Returns:
        float64, kinds x 2 x places; None where the window is as long as the image.
    """
    if window == length:
        return None
    ends, most = np.stack([starts, starts + window]), min(room * (length - window), MOST_ROOM * window)
    by = np.array([[most], [-most]]) * ((ends > 0) & (ends < length))
    return (ends + np.array([0, *STEPS])[:, None, None] * by) * (cells / length)


def _held(cells: NDArray, rows: NDArray | None, columns: NDArray | None) -> NDArray[np.float64]:
    """What spans of rows times spans of columns hold; first the axis with fewer of them.

    Args:
        cells: h x w.
        rows: kinds x 2 x places, see `_along`.
        columns: likewise.

    Returns:
        float64, kinds x tops x lefts; one kind where both are None.
    """
    if columns is None or (rows is not None and rows.shape[-1] > columns.shape[-1]):
        return _along(_along(cells.T[None], columns).swapaxes(1, 2), rows)
    return _along(_along(cells[None], rows).swapaxes(1, 2), columns).swapaxes(1, 2)


def _along(cells: NDArray, spans: NDArray | None) -> NDArray[np.float64]:
    """Sums over rows, of all or from the first to the second of the ends of spans, counted in rows and parts.

    Args:
        cells: kinds x n x m, or 1 x n x m for all kinds.
        spans: kinds x 2 x places; None: all rows.

    Returns:
        float64, kinds x places x m.
    """
    if spans is None:
        return cells.sum(axis=1, keepdims=True)
    kinds, count, across = cells.shape
    upto = np.zeros((kinds, count + 1, across))
    np.cumsum(cells, axis=1, out=upto[:, 1:])
    row = np.minimum(spans.astype(np.intp), count - 1)
    kind = np.arange(kinds)[:, None, None]
    ends = upto[kind, row] + (spans - row)[..., None] * cells[kind, row]
    return ends[:, 1] - ends[:, 0]


def central_window(size: Size, window: Size) -> Box:
    """The window in the centre of an image, to half a pixel."""
    left, top = (size.width - window.width) // 2, (size.height - window.height) // 2
    return Box(left, top, window.width, window.height)


@dataclass(frozen=True)
class _Axis:
    """Where a window is tried along one axis, and from where to where it goes there.

    Attributes:
        starts: float64, places in pixels.
        inside: float64, 1 x 2 x places, the ends of the window, in cells; None where it is as long as the image.
        inset: likewise, less its margins.
        near: float64, 2 x 2 x places, with ends that lie `near` further out, then in, where not the image's own.
    """

    starts: NDArray[np.float64]
    inside: NDArray[np.float64] | None = None
    inset: NDArray[np.float64] | None = None
    near: NDArray[np.float64] | None = None


def _axis(length: int, window: int, cells: int, margin: float, near: float) -> _Axis:
    reach, inset = length - window, margin * window
    if not reach:
        return _Axis(np.zeros(1))
    # where a side, the end of a margin or that of what is near lies on an edge between cells
    lines = {0.0, inset, window - inset, window, *(side + by for side in (0, window) for by in (-near, near))}
    turns = (np.arange(cells + 1) * (length / cells) - np.array([*lines])[:, None]).ravel()
    # at the image's own sides nothing is near, so the places beside them are turns as well
    tried = np.concatenate([np.floor(turns), np.ceil(turns), [0, 1, reach // 2, reach - 1, reach]])
    there = np.zeros(reach + 1, bool)
    there[tried[(tried >= 0) & (tried <= reach)].astype(np.intp)] = True
    starts = np.flatnonzero(there).astype(np.float64)
    ends = np.stack([starts, starts + window])
    inwards = np.array([[1.0], [-1.0]])
    by = near * inwards * ((ends > 0) & (ends < length))
    spans = np.stack([ends, ends + inset * inwards, ends - by, ends + by])
    spans[:, 1] = np.maximum(spans[:, 0], spans[:, 1])
    spans = np.minimum(np.maximum(spans, 0), length) * (cells / length)
    return _Axis(starts, spans[:1], spans[1:2], spans[2:])
