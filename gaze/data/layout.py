"""How a prepared data set lies in its HDF5 file.

Format version 1, for N images and K fixations:
    attributes of the file   format "gaze-store", format_version, and the fields of `StoreAttributes`
    images                   N x variable length uint8, the original encoded files
    names, splits            N x text
    sizes                    N x 2 int32, width and height of the upright image
    offsets                  N + 1 int64; the fixations of image i are offsets[i] to offsets[i + 1]
    fixations                K x (x, y, subject, order, duration) as in `records.Fixations`, order 0 included
    densities                N x variable length uint8: a 16-bit grey PNG proportional to the density, empty
                             where there are points

Two more may be there, for M heads that the set's authors labelled; what has none, or not yet, is read all the same:
    heads                    M x 4 float32, left, top, right and bottom in pixels of the upright image
    head_counts              N int32, how many of them are image i's, in order; -1 where nobody labelled any
"""

from dataclasses import dataclass

import h5py
import numpy as np

from gaze.fixations import Fixations

FORMAT = "gaze-store"
FORMAT_VERSION = 1
BYTES = h5py.vlen_dtype(np.uint8)
TEXT = h5py.string_dtype()
FIXATION = np.dtype([(name, values.dtype) for name, values in vars(Fixations.of([], [])).items()])
TABLES: dict[str, np.dtype] = {
    "images": BYTES,
    "densities": BYTES,
    "names": TEXT,
    "splits": TEXT,
    "sizes": np.dtype(np.int32),
    "offsets": np.dtype(np.int64),
    "fixations": FIXATION,
}
HEAD_TABLES: dict[str, np.dtype] = {"heads": np.dtype(np.float32), "head_counts": np.dtype(np.int32)}
UNLABELLED = -1


@dataclass(frozen=True)
class StoreAttributes:
    """What a store says of its data set.

    Attributes:
        name: of the data set.
        license: under which the set was released.
        source: who published it and where.
        sigma_pixels: Gaussian of its densities in pixels of the stimulus.
        pixels_per_degree: pixels of the stimulus in one degree of visual angle, None where not stated.
        drop_first: whether order 0 of a viewing is left out of targets and metrics.
        format_version: of the file.
        teacher: the network whose densities these are; None where they are people's.
    """

    name: str
    license: str
    source: str
    sigma_pixels: float
    pixels_per_degree: float | None
    drop_first: bool
    format_version: int = FORMAT_VERSION
    teacher: str | None = None
