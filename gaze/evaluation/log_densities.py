"""What a source predicts, kept as the saliency benchmarks take it: log densities by name in an HDF5 file.

The layout is that which `pysaliency.HDF5Model` reads and `pysaliency.export_model_to_hdf5` writes: one dataset for each
stimulus, float32 H x W, natural logarithm, its key the name of the stimulus; a folder in the name is a group.
"""

from collections.abc import Sequence
from dataclasses import replace

import h5py
import numpy as np
from numpy.typing import NDArray

from gaze.errors import DataError, one_line
from gaze.evaluation.sources import Source
from gaze.fixations import Stimulus


def recorded(source: Source, file: h5py.Group) -> Source:
    """The same source, each of whose predictions is kept in `file`, open to write, as it is made.

    Raises:
        DataError: it predicts saliency maps; later, a name comes twice or is no key of an HDF5 file beside the others.
    """
    if not source.is_density:
        raise DataError(f"{source.name}: expected log densities, got saliency maps")

    def predict(stimuli: Sequence[Stimulus]) -> list[NDArray[np.float32]]:
        maps = source.predict(stimuli)
        for stimulus, log_density in zip(stimuli, maps, strict=True):
            _write(file, stimulus.name, log_density)
        return maps

    return replace(source, predict=predict)


def _write(file: h5py.Group, name: str, log_density: NDArray) -> None:
    try:  # with `shuffle`, a third smaller and in half the time
        file.create_dataset(name, data=np.asarray(log_density, np.float32), compression="gzip", shuffle=True)
    except (ValueError, TypeError) as error:
        raise DataError(f"{one_line(name)}: no key for an HDF5 file beside the others ({one_line(error)})") from error
