"""Windows of an image and the share of a density that each one holds: arithmetic only, no policy.

A density is a map of h x w cells that divide the image evenly, each of them evenly filled. While no side of a window,
and no line where its margins end, crosses an edge between cells, what it is worth is bilinear in its place, and a
bilinear function is greatest at a corner. So the best place has, on each axis, such a side or line on such an edge, or
a whole pixel before or behind it, and trying those is exact. How many there are depends on the map, not on the pixels
of the image. What the windows of one size hold is a product of
three matrices, for a window counts a share of each row times a share of each column: a summed-area table (Crow 1984)
would have to be read between its cells.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gaze.geometry import Box, Size

TIE = 1e-6
"""Windows whose shares differ by less are equally good; the most central of them wins."""


@dataclass(frozen=True)
class Windows:
    """All places that were tried for a window of one size.

    Attributes:
        size: of the image in pixels.
        window: the size of the window in pixels.
        tops, lefts: float64, whole pixels, ascending; the central one is among them.
        shares: float64, tops x lefts, 0 to 1: of the density, what the window holds at each place.
        gains: likewise, what that is worth: less where it lies within the margins of the window.
    """

    size: Size
    window: Size
    tops: NDArray[np.float64]
    lefts: NDArray[np.float64]
    shares: NDArray[np.float64]
    gains: NDArray[np.float64]

    @property
    def center(self) -> Box:
        """The window in the centre of the image, to half a pixel."""
        return central_window(self.size, self.window)

    def best(self) -> Box:
        """The place worth most; of equal ones the most central, then the topmost and leftmost."""
        tops, lefts = np.nonzero(self.gains >= self.gains.max() - TIE)
        center = self.center
        nearest = np.argmin((self.tops[tops] - center.top) ** 2 + (self.lefts[lefts] - center.left) ** 2)
        left, top = self.lefts[lefts[nearest]], self.tops[tops[nearest]]
        return Box(int(left), int(top), self.window.width, self.window.height)

    def share(self, box: Box) -> float:
        """What the window holds at one of the places."""
        top, left = np.searchsorted(self.tops, box.top), np.searchsorted(self.lefts, box.left)
        return min(1.0, float(self.shares[top, left]))

    def apart_from(self, box: Box, overlap: float) -> "Windows":
        """The same, where places whose intersection over union with `box` is above `overlap` are worth -inf."""
        high = np.minimum(self.tops + self.window.height, box.bottom) - np.maximum(self.tops, box.top)
        wide = np.minimum(self.lefts + self.window.width, box.right) - np.maximum(self.lefts, box.left)
        common = np.maximum(high, 0)[:, None] * np.maximum(wide, 0)
        union = self.window.pixels + box.size.pixels - common
        return replace(self, gains=np.where(common > overlap * union, -np.inf, self.gains))


def search(density: NDArray, size: Size, window: Size, margin: float = 0.0) -> Windows:
    """Weighs a window at every place where it could hold most.

    Args:
        density: h x w, at least 0, sums to 1.
        size: of the image in pixels.
        window: in pixels, at most `size`.
        margin: share of the window's sides, 0 to below 0.5: what lies this close to a side is worth half. A side as
            long as that of the image has none.
    """
    tops, rows, worth_rows = _axis(size.height, window.height, density.shape[0], margin)
    lefts, columns, worth_columns = _axis(size.width, window.width, density.shape[1], margin)
    shares, gains = rows @ density @ columns.T, worth_rows @ density @ worth_columns.T
    return Windows(size, window, tops, lefts, shares, gains)


def central_window(size: Size, window: Size) -> Box:
    """The window in the centre of an image, to half a pixel."""
    left, top = (size.width - window.width) // 2, (size.height - window.height) // 2
    return Box(left, top, window.width, window.height)


def _axis(length: int, window: int, cells: int, margin: float) -> tuple[NDArray, NDArray, NDArray]:
    """Where a window is tried along one axis, and how much of each cell it holds there and what that is worth.

    Returns:
        float64: places; places x cells, 0 to 1; likewise, counting half what lies within the margin.
    """
    reach = length - window
    inset = margin * window if reach else 0.0
    # where a side or the end of a margin lies on an edge between cells
    lines = np.unique([0.0, inset, window - inset, window])
    turns = (np.arange(cells + 1) * (length / cells) - lines[:, None]).ravel()
    tried = np.concatenate([np.floor(turns), np.ceil(turns), [0, reach // 2, reach]])
    starts = np.unique(tried[(tried >= 0) & (tried <= reach)])
    ends = starts + np.array([[0.0], [inset], [window - inset], [window]])
    passed = ends[:, :, None] * (cells / length) - np.arange(cells)  # cells between the start of each and each end
    start, inner_start, inner_stop, stop = np.minimum(np.maximum(passed, 0), 1)
    return starts, stop - start, (stop - start + inner_stop - inner_start) / 2
