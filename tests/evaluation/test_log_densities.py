from collections.abc import Iterable

import h5py
import numpy as np
import pytest

from gaze.errors import DataError
from gaze.evaluation.log_densities import recorded
from gaze.evaluation.sources import Source
from gaze.fixations import Fixations, Stimulus


def stimuli_of(names: Iterable[str]) -> list[Stimulus]:
    return [Stimulus(name, b"", 4 + k, 3, "test", Fixations.of([], [])) for k, name in enumerate(names)]


def predicted(stimuli: list[Stimulus]) -> list[np.ndarray]:
    return [np.full((s.height, s.width), -np.log(s.width * s.height), np.float32) for s in stimuli]


def test_each_is_a_dataset_by_its_name_and_a_folder_of_the_name_is_a_group(tmp_path):
    names = ["1001.jpg", "Action/001.jpg", "Action/002.jpg", "Sketch/001.jpg", "grün/ä b.png"]
    stimuli = stimuli_of(names)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        source = recorded(Source("flat", predicted, trained_on=("osie",)), file)
        maps = source.predict(stimuli[:2]) + source.predict(stimuli[2:])
    assert (source.name, source.trained_on, source.is_density) == ("flat", ("osie",), True)
    with h5py.File(tmp_path / "a.h5") as file:
        assert isinstance(file["Action"], h5py.Group)
        assert sorted(file) == ["1001.jpg", "Action", "Sketch", "grün"]
        for stimulus, given in zip(stimuli, maps, strict=True):
            kept = file[stimulus.name]
            assert (kept.dtype, kept.shape) == (np.float32, (3, stimulus.width))
            assert np.array_equal(kept[:], given)
            assert np.exp(kept[:].astype(float)).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "names", [("a.jpg", "a.jpg"), ("a", "a/b.jpg"), ("a/b.jpg", "a"), ("a/b.jpg", "./a/b.jpg"), (".",), ("a/",)]
)
def test_names_that_no_file_can_hold_are_one_line(tmp_path, names):
    with h5py.File(tmp_path / "a.h5", "w") as file, pytest.raises(DataError, match="no key for an HDF5 file") as caught:
        recorded(Source("flat", predicted), file).predict(stimuli_of(names))
    assert str(caught.value).startswith(f"{names[-1]}: ")
    assert "\n" not in str(caught.value)


def test_saliency_maps_are_refused(tmp_path):
    with (
        h5py.File(tmp_path / "a.h5", "w") as file,
        pytest.raises(DataError, match=r"^maps: expected log densities, got"),
    ):
        recorded(Source("maps", predicted, is_density=False), file)
