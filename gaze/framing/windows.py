"""Windows of an image, the share of a density that each one holds, and what its sides cut: arithmetic only, no policy.

A density is a map of h x w cells that divide the image evenly, each of them evenly filled. While no side of a window
crosses an edge between cells, the share that it holds is bilinear in its place, and a bilinear function is greatest at
a corner. So the best place has, on each axis, a side of the window on such an edge, and trying those, to the whole
pixel below and above, is exact. How many there are depends on the map, not on the pixels of the image. What a window
holds is found axis by axis: sums up to each edge between cells, as in a summed-area table (Crow 1984), and between two
edges a part of the cell, for it is evenly filled. What lies near the sides is a window a little larger less one a
little smaller, so the same holds of it. How far what a window holds lies from its middle is told at the same places:
not exact, but it changes slowly.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaze.geometry import Box, Size

TIE = 1e-6
"""Shares that differ by less are equal."""

_KEPT = 32
"""Axes that are kept, as the photos of a folder are of few sizes, and a photo is searched more than once."""


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
        rows, columns: where it is tried along each axis.
        shares: float64, tops x lefts, 0 to 1: of the density, what the window holds at each place.
        cuts: likewise, what stands out of the density near the sides of the window, within it or without; sides of the
            image do not count, nor does what every place of it has on average, lest an even density be cut anywhere.
        beside: likewise, near the sides by another measure.
        worth: likewise, the share, of which what lies within the margins of the window counts half; less the prices of
            whoever chooses.
        heads: likewise, the gaze on heads that are partly inside; None where it is not known where heads are.
    """

    size: Size
    window: Size
    rows: "_Axis"
    columns: "_Axis"
    shares: NDArray[np.float64]
    cuts: NDArray[np.float64]
    beside: NDArray[np.float64]
    worth: NDArray[np.float64]
    heads: NDArray[np.float64] | None = None

    @property
    def tops(self) -> NDArray[np.float64]:
        """Whole pixels, ascending; that of the central window is among them. Not to be changed."""
        return self.rows.starts

    @property
    def lefts(self) -> NDArray[np.float64]:
        """Likewise."""
        return self.columns.starts

    @property
    def shifts(self) -> NDArray[np.float64]:
        """How far the window is moved from the center, tops x lefts: 1 for the whole way along each axis."""
        return self.rows.shifts[:, None] + self.columns.shifts

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
        return int(self.tops.searchsorted(box.top)), int(self.lefts.searchsorted(box.left))

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
    density: NDArray, size: Size, window: Size, margin: float = 0.0, near: float = 0.0, beside: float = 0.0
) -> Windows:
    """Measures a window at every place where it could be worth most.

    Args:
        density: h x w, at least 0, sums to 1.
        size: of the image in pixels.
        window: in pixels, at most `size`.
        margin: share of the window's sides, 0 to below 0.5: what lies this close to a side is worth half. A side as
            long as that of the image has none.
        near: pixels, at least 0: what stands out this close to a side that is not the image's own, on both sides of
            the line, is cut.
        beside: likewise, of `Windows.beside`.
    """
    rows = _axis(size.height, window.height, density.shape[0], margin, near, beside)
    columns = _axis(size.width, window.width, density.shape[1], margin, near, beside)
    shares = worth = _held(density, rows.inside, columns.inside)[0]
    cuts = wide = np.zeros_like(shares)
    if window != size and (near or beside):
        above = np.maximum(density - 1 / density.size, 0)  # the mean
        without, within, further_out, further_in = _held(above, rows.stripes, columns.stripes)
        cuts, wide = without - within, further_out - further_in
    if margin:
        spans = [(row, column) for row in (rows.inside, rows.inset) for column in (columns.inside, columns.inset)]
        worth = np.mean([_held(density, *each)[0] for each in spans], axis=0)
    return Windows(size, window, rows, columns, shares, cuts, wide, worth)


def offsets(density: NDArray, places: Windows) -> NDArray[np.float64]:
    """How far the mean of what a window holds lies from its middle.

    Args:
        density: what was searched; of a cell that is partly inside, that part counts at the cell's own middle.
        places: what was found.

    Returns:
        float64, tops x lefts: the squares of the distances along each axis, in parts of the window's sides, in all.
    """
    rows, columns, empty = places.rows, places.columns, places.shares <= TIE
    down, across = density * rows.middles[:, None], density * columns.middles
    found = np.zeros_like(places.shares)
    for axis, cells, along in ((rows, down, np.s_[:, None]), (columns, across, np.s_[:])):
        if axis.inside is not None:
            held = _held(cells, rows.inside, columns.inside)[0]
            off = held / np.where(empty, 1, places.shares) - (axis.starts + axis.window / 2)[along]
            found += np.square(np.where(empty, 0, off) / axis.window)
    return found


def inside(cells: NDArray, places: Windows) -> NDArray[np.float64]:
    """Sums of a map, of as many cells as what was searched, over what a window holds: float64, tops x lefts."""
    return _held(cells, places.rows.inside, places.columns.inside)[0]


def beside(cells: NDArray, places: Windows) -> NDArray[np.float64]:
    """Likewise, over what lies near its sides that are not the image's own, by the measure of `Windows.beside`."""
    if places.window == places.size:
        return np.zeros_like(places.shares)
    further_out, further_in = _held(
        cells, *(axis.stripes and axis.stripes[2:] for axis in (places.rows, places.columns))
    )
    return further_out - further_in


@dataclass(frozen=True)
class _Spans:
    """Spans along one axis of a map, counted in cells and parts of them.

    Attributes:
        cell: kinds x 2 x places, where each begins and where it ends.
        part: float64, likewise, how far into that cell, 0 to 1.
    """

    cell: NDArray[np.intp]
    part: NDArray[np.float64]

    @classmethod
    def of(cls, ends: NDArray[np.float64], axis: "_Axis") -> "_Spans":
        """Those with ends in pixels."""
        ends = ends * (axis.cells / axis.length)
        cell = np.minimum(ends.astype(np.intp), axis.cells - 1)
        return cls(cell, ends - cell)

    def __getitem__(self, kinds: slice) -> "_Spans":
        return _Spans(self.cell[kinds], self.part[kinds])

    @property
    def places(self) -> int:
        """How many there are of a kind."""
        return self.cell.shape[-1]


def _held(cells: NDArray, rows: _Spans | None, columns: _Spans | None) -> NDArray[np.float64]:
    """What spans of rows times spans of columns hold, or all where there are none; first the axis with fewer of them.

    Args:
        cells: h x w.
        rows: of the kinds that `columns` has, or of one.
        columns: likewise.

    Returns:
        float64, kinds x tops x lefts; one kind where both are None.
    """
    if columns is None or (rows is not None and rows.places > columns.places):
        return _along(_along(cells.T[None], columns).swapaxes(1, 2), rows)
    return _along(_along(cells[None], rows).swapaxes(1, 2), columns).swapaxes(1, 2)


def _along(cells: NDArray, spans: _Spans | None) -> NDArray[np.float64]:
    """Sums over rows, of all or of the spans.

    Args:
        cells: kinds x n x m, or 1 x n x m for all kinds.
        spans: along n; None: all rows.

    Returns:
        float64, kinds x places x m.
    """
    if spans is None:
        return cells.sum(axis=1, keepdims=True)
    kinds, count, across = cells.shape
    upto = np.zeros((kinds, count + 1, across))
    np.cumsum(cells, axis=1, out=upto[:, 1:])
    kind = np.arange(kinds)[:, None, None]
    ends = upto[kind, spans.cell] + spans.part[..., None] * cells[kind, spans.cell]
    return ends[:, 1] - ends[:, 0]


def central_window(size: Size, window: Size) -> Box:
    """The window in the centre of an image, to half a pixel."""
    left, top = (size.width - window.width) // 2, (size.height - window.height) // 2
    return Box(left, top, window.width, window.height)


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where a window is tried along one axis, and from where to where it goes there.

    Attributes:
        length, window: of the image and of the window, in pixels.
        cells: of the map.
        starts: float64, places in pixels.
    """

    length: int
    window: int
    cells: int
    starts: NDArray[np.float64]
    inside: _Spans | None = None
    """The window; None where it is as long as the image, like what follows."""
    inset: _Spans | None = None
    """Likewise, less its margins."""
    stripes: _Spans | None = None
    """With ends that lie further out and in, where not the image's own: by what is near, and by what is beside."""

    @property
    def middles(self) -> NDArray[np.float64]:
        """Of the cells, in pixels."""
        return np.asarray((np.arange(self.cells) + 0.5) * (self.length / self.cells), np.float64)

    @property
    def shifts(self) -> NDArray[np.float64]:
        """How far each place is from that in the center, 1 at the ends."""
        reach = self.length - self.window
        return np.abs(2 * self.starts / reach - 1) if reach else np.zeros(1)


@lru_cache(maxsize=_KEPT)
def _axis(length: int, window: int, cells: int, margin: float, near: float, beside: float) -> _Axis:
    axis = _Axis(length, window, cells, _starts(length, window, cells, margin * window, beside or near))
    axis.starts.setflags(write=False)  # the next photo of this size has the same
    if window == length:
        return axis
    ends, inwards = np.stack([axis.starts, axis.starts + window]), np.array([[1.0], [-1.0]])
    movable = inwards * ((ends > 0) & (ends < length))
    spans = np.stack(
        [ends, ends + margin * window * inwards, *(ends + by * movable for by in (-near, near, -beside, beside))]
    )
    spans[:, 1] = np.maximum(spans[:, 0], spans[:, 1])
    spans = np.clip(spans, 0, length)
    inside, inset, stripes = (_Spans.of(spans[kinds], axis) for kinds in (slice(1), slice(1, 2), slice(2, None)))
    return replace(axis, inside=inside, inset=inset, stripes=stripes)


def _starts(length: int, window: int, cells: int, inset: float, near: float) -> NDArray[np.float64]:
    """Where a side, the end of a margin or that of what is near lies on an edge between cells, and the center."""
    reach = length - window
    lines = {0.0, inset, window - inset, window, *(side + by for side in (0, window) for by in (-near, near))}
    turns = (np.arange(cells + 1) * (length / cells) - np.array([*lines])[:, None]).ravel()
    # at the image's own sides nothing is near, so the places beside them are turns as well
    tried = np.concatenate([np.floor(turns), np.ceil(turns), [0, 1, reach // 2, reach - 1, reach]])
    there = np.zeros(reach + 1, bool)
    there[tried[(tried >= 0) & (tried <= reach)].astype(np.intp)] = True
    return np.flatnonzero(there).astype(np.float64)
