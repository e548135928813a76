"""The two records that every reader makes and the store keeps: a stimulus and the fixations on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SPLITS = ("train", "val", "test")
UNKNOWN = -1


@dataclass(frozen=True)
class Fixations:
    """K fixations on one stimulus, in the order of subject and time.

    Attributes:
        x: float32 [K], pixels to the right; pixel centres at whole numbers, the top left one at 0.
        y: float32 [K], pixels downwards, likewise.
        subject: int32 [K], one number per observer within the data set; -1 where the set does not tell.
        order: int32 [K], from 0 within one subject's viewing of the stimulus; -1 where the set does not tell.
        duration: float32 [K], milliseconds; NaN where the set does not tell.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    subject: NDArray[np.int32]
    order: NDArray[np.int32]
    duration: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        subject: ArrayLike = UNKNOWN,
        order: ArrayLike = UNKNOWN,
        duration: ArrayLike = np.nan,
    ) -> "Fixations":
        """Makes the record from anything array-like [K]; a scalar stands for every fixation.

        Raises:
            ValueError: the lengths differ.
        """
        columns: list[NDArray] = [np.asarray(x, np.float32).ravel(), np.asarray(y, np.float32).ravel()]
        types = ((subject, np.int32), (order, np.int32), (duration, np.float32))
        for values, dtype in types:
            column = np.asarray(values, dtype)
            columns.append(np.full(len(columns[0]), column) if column.ndim == 0 else column.ravel())
        if len({len(column) for column in columns}) > 1:
            lengths = ", ".join(str(len(column)) for column in columns)
            raise ValueError(f"x, y, subject, order and duration have different lengths: {lengths}")
        return cls(*columns)

    @classmethod
    def join(cls, parts: "list[Fixations]") -> "Fixations":
        """Puts the fixations of several viewings behind one another."""
        if not parts:
            return cls.of([], [])
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS))

    def __len__(self) -> int:
        return len(self.x)

    def select(self, keep: NDArray) -> "Fixations":
        """Returns the fixations that `keep` (boolean mask, indices or a slice) picks."""
        return Fixations(*(getattr(self, name)[keep] for name in FIELDS))

    def without_first(self) -> "Fixations":
        """Leaves out order 0: where the eye already rested when the stimulus appeared."""
        return self.select(self.order != 0)

    def inside(self, width: int | NDArray[np.integer], height: int | NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tells for each fixation whether it lies on a pixel of the stimulus, or of its own where sizes are [K]."""
        column, row = np.floor(self.x + 0.5), np.floor(self.y + 0.5)
        return (column >= 0) & (column < width) & (row >= 0) & (row < height)


FIELDS = tuple(Fixations.__dataclass_fields__)


@dataclass(frozen=True)
class Stimulus:
    """One image of a data set with the gaze on it.

    Attributes:
        name: unique within the set, as the set names its files.
        image: the original encoded file.
        width: pixels of the upright image.
        height: pixels of the upright image.
        split: "train", "val" or "test".
        fixations: may be empty.
        density: float32 height x width, sums to 1; only where the set has a map and no points, else None.
        heads: float32 M x 4, left, top, right and bottom of each in pixels; None where nobody labelled any.
    """

    name: str
    image: bytes
    width: int
    height: int
    split: str
    fixations: Fixations
    density: NDArray[np.float32] | None = None
    heads: NDArray[np.float32] | None = None
