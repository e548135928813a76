"""Densities that another network predicts, as a share of what is learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.data.augment import resized_window
from gaze.data.densities import normalise
from gaze.geometry import Box, Size


@dataclass(frozen=True)
class Taught:
    """What a teacher says of each stimulus of a dataset.

    Attributes:
        densities: rows x columns >= 0 over the whole stimulus, of any scale, in the order of the dataset's entries;
            None of those that it says nothing of.
        weight: 0 to 1, the teacher's share in the target.
    """

    densities: Sequence[NDArray[np.float16] | None]
    weight: float

    def mix(self, index: int, stimulus: Size, box: Box, target: NDArray[np.float32]) -> NDArray[np.float32]:
        """A target with the teacher's share in it; as it is where the teacher expects nobody to look.

        Args:
            index: of the entry.
            stimulus: its size.
            box: the window that `target` describes.
            target: rows x columns, sums to 1.
        """
        density = self.densities[index]
        if density is None:
            return target
        whole = cv2.resize(density.astype(np.float32), (stimulus.width, stimulus.height))
        window = resized_window(whole, box, Size(target.shape[1], target.shape[0]))
        if not window.any():  # float16 keeps nothing below a 17-millionth of the peak
            return target
        taught = normalise(window)
        return (1 - self.weight) * target + self.weight * taught
