"""A teacher's share in the targets."""

import numpy as np
import pytest

from gaze.card import InputRule
from gaze.data.augment import AugmentConfig
from gaze.data.dataset import Draw, GazeDataset
from gaze.data.store import FixationStore, photograph
from gaze.data.taught import Taught
from gaze.geometry import Box, Size

VARIED = AugmentConfig(flip=0.5, crop=0.9, min_scale=0.6, color=0.3)


@pytest.fixture
def target():
    values = np.random.default_rng(0).random((3, 4), np.float32)
    return values / values.sum()


def test_the_share_of_a_window_is_what_the_density_holds_there(target):
    density = np.random.default_rng(1).random((6, 8)).astype(np.float16)
    mixed = Taught([density], 0.25).mix(0, Size(8, 6), Box(2, 1, 4, 3), target)
    window = density.astype(np.float32)[1:4, 2:6]
    np.testing.assert_allclose(mixed, 0.75 * target + 0.25 * window / window.sum(), rtol=1e-5)


def test_a_window_may_lie_between_the_cells(target):
    columns = np.tile(np.linspace(0, 1, 8), (6, 1)).astype(np.float16)
    mixed = Taught([columns], 1).mix(0, Size(80, 60), Box(25, 10, 36, 30), target)
    centers = 25 + 9 * np.arange(4) + 4  # of the window's cells, in pixels
    expected = ((centers + 0.5) / 10 - 0.5) / 7
    np.testing.assert_allclose(mixed, np.tile(expected / expected.sum() / 3, (3, 1)), rtol=0.01)


def test_where_the_teacher_expects_nobody_the_target_is_people_s(target):
    density = np.zeros((6, 8), np.float16)
    density[0, 0] = 1
    np.testing.assert_array_equal(Taught([density], 0.25).mix(0, Size(8, 6), Box(4, 3, 4, 3), target), target)


def test_what_is_taught_is_cut_and_mirrored_with_the_photograph(small_store):
    """The stimuli are bright where people look; here a teacher says so, and nobody else."""
    dataset = GazeDataset([FixationStore(small_store)], "train", InputRule(64, 16), 4, VARIED)
    photos = [photograph(dataset.stores[0][index]).astype(np.float32).mean(2) for _, index in dataset.entries]
    dataset.taught = Taught([(photo / photo.max()).astype(np.float16) for photo in photos], 1)
    for index in range(len(dataset)):
        for epoch in range(8):
            example = dataset[Draw(index, (1, epoch, index))]
            target = example["target"].numpy()
            brightness = example["image"].numpy().mean(2).reshape(target.shape[0], 4, target.shape[1], 4).mean((1, 3))
            assert np.corrcoef(brightness.ravel(), target.ravel())[0, 1] > 0.95
            assert target.sum() == pytest.approx(1, abs=1e-5)
