"""What people who choose crops want inside them, and where they do not want a side: arithmetic only.

Gaze tells what is looked at, not how far it reaches: half of a lamp, a word or a pair of legs is looked at no less
than the whole. So a model may have an output that has learnt from people's choices of windows, see
`gaze.training.preference`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.framing.windows import Windows, beside
from gaze.framing.windows import inside as held

MAPS = 2


@dataclass(frozen=True)
class Preference:
    """Two maps of cells that divide the image evenly, as many as those of the gaze; any real numbers.

    Attributes:
        inside: float64, h x w: what a window is worth more for holding a cell.
        sides: likewise, what it is worth less for a side that is not the image's own near that cell.
    """

    inside: NDArray[np.float64]
    sides: NDArray[np.float64]

    @classmethod
    def read(cls, output: NDArray, cells: tuple[int, ...]) -> "Preference":
        """What a model's output `preference` says.

        Args:
            output: 2 x rows x columns, of cells that divide the image evenly.
            cells: rows and columns of the gaze.
        """
        size = (cells[1], cells[0])
        inside, sides = (cv2.resize(each, size, interpolation=cv2.INTER_NEAREST) for each in output)
        return cls(inside.astype(np.float64), sides.astype(np.float64))

    @classmethod
    def mean(cls, parts: "Sequence[Preference]") -> "Preference":
        """That of several frames, each counting the same."""
        return cls(np.mean([part.inside for part in parts], axis=0), np.mean([part.sides for part in parts], axis=0))

    def worth(self, places: Windows) -> NDArray[np.float64]:
        """By how much each place of a window is preferred: float64, tops x lefts, sums over the cells' count."""
        return (held(self.inside, places) - beside(self.sides, places)) / self.inside.size
