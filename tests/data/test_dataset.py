"""Examples, targets and batches, against a loop over the fixations."""

import cv2
import numpy as np
import pytest

from gaze.card import InputRule
from gaze.data.augment import AugmentConfig, random_box, random_color
from gaze.data.dataset import BucketBatches, Draw, GazeDataset, target_map
from gaze.data.store import FixationStore, StoreAttributes, write_store
from gaze.errors import DataError
from gaze.fixations import Fixations, Stimulus
from gaze.geometry import Box, Size

PLAIN = AugmentConfig(flip=0, crop=0, min_scale=1, color=0)
VARIED = AugmentConfig(flip=0.5, crop=0.9, min_scale=0.6, color=0.3)
RULE = InputRule(64, 16)


def stimulus(fixations: Fixations, width: int = 80, height: int = 60) -> Stimulus:
    return Stimulus("drawn", b"", width, height, "train", fixations, None)


def test_target_counts_the_fixations_of_each_cell():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.5, 79.5, 200), rng.uniform(-0.5, 59.5, 200)
    box, cells = Box(8, 4, 60, 48), Size(15, 12)
    expected = np.zeros((12, 15))
    for u, v in zip(x.astype(np.float32), y.astype(np.float32), strict=True):
        column, row = (u + 0.5 - 8) / 4, (v + 0.5 - 4) / 4
        if 0 <= column < 15 and 0 <= row < 12:
            expected[int(row), int(column)] += 1
    got = target_map(stimulus(Fixations.of(x, y)), box, cells)
    np.testing.assert_allclose(got, expected / expected.sum(), rtol=1e-6)


def test_a_fixation_at_each_corner_pixel_is_in_the_corner_cell():
    corners = Fixations.of([0, 79, 0, 79], [0, 0, 59, 59])
    target = target_map(stimulus(corners), Box(0, 0, 80, 60), Size(20, 15))
    assert [target[0, 0], target[0, -1], target[-1, 0], target[-1, -1]] == [0.25] * 4


def test_a_window_that_nobody_looked_at_has_no_target():
    assert target_map(stimulus(Fixations.of([70], [50])), Box(0, 0, 40, 30), Size(5, 5)) is None


def test_gaze_moves_with_the_image(small_store):
    """The stimuli are bright where people look: so must every augmented example be."""
    dataset = GazeDataset([FixationStore(small_store)], "train", RULE, 4, VARIED)
    for index in range(len(dataset)):
        for epoch in range(8):
            example = dataset[Draw(index, (1, epoch, index))]
            image, target = example["image"].numpy(), example["target"].numpy()
            brightness = image.mean(2).reshape(target.shape[0], 4, target.shape[1], 4).mean((1, 3))
            assert (brightness * target).sum() > 1.5 * brightness.mean()
            assert target.sum() == pytest.approx(1, abs=1e-5)


def test_an_example_depends_on_its_draw_alone(small_store):
    dataset = GazeDataset([FixationStore(small_store)], "train", RULE, 4, VARIED)
    first, again, other = (dataset[Draw(1, (1, 2, seed))] for seed in (3, 3, 4))
    assert (first["image"] == again["image"]).all()
    assert (first["target"] == again["target"]).all()
    assert (first["image"] != other["image"]).any()


def test_batches_share_a_size_and_hold_every_stimulus_once(small_store):
    dataset = GazeDataset([FixationStore(small_store)] * 2, "train", RULE, 4, PLAIN)
    for epoch in (None, 0, 1):
        batches = list(BucketBatches(dataset, 3, [1, 1], seed=5, epoch=epoch))
        drawn = [draw.index for batch in batches for draw in batch]
        assert sorted(drawn) == list(range(len(dataset)))
        assert all(len({dataset.sizes[draw.index] for draw in batch}) == 1 for batch in batches)
        assert all((draw.seed is None) == (epoch is None) for batch in batches for draw in batch)


def test_epochs_differ_and_repeat_exactly(small_store):
    dataset = GazeDataset([FixationStore(small_store)] * 3, "train", RULE, 4, PLAIN)
    first, again, second = (list(BucketBatches(dataset, 2, [1, 1, 1], 5, epoch)) for epoch in (0, 0, 1))
    assert first == again
    assert first != second


def test_weights_say_how_often_a_set_comes(small_store):
    dataset = GazeDataset([FixationStore(small_store)] * 3, "train", RULE, 4, PLAIN)
    drawn = [draw.index for batch in BucketBatches(dataset, 2, [2, 0.5, 0], 5, 0) for draw in batch]
    of_store = np.bincount([dataset.entries[index][0] for index in drawn], minlength=3)
    assert of_store.tolist() == [8, 2, 0]


def test_processes_share_an_epoch_evenly(small_store):
    dataset = GazeDataset([FixationStore(small_store)] * 3, "train", RULE, 4, PLAIN)
    alone = list(BucketBatches(dataset, 2, [1, 1, 1], 5, 0))
    shares = [list(BucketBatches(dataset, 2, [1, 1, 1], 5, 0, rank, 2)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == -(-len(alone) // 2)
    assert {tuple(batch) for share in shares for batch in share} == {tuple(batch) for batch in alone}


@pytest.mark.parametrize("world", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("epoch", [None, 0])
def test_however_few_the_batches_every_process_has_as_many(small_store, world, batch_size, epoch):
    dataset = GazeDataset([FixationStore(small_store)], "train", RULE, 4, PLAIN)
    shares = [list(BucketBatches(dataset, batch_size, [1], 5, epoch, rank, world)) for rank in range(world)]
    alone = list(BucketBatches(dataset, batch_size, [1], 5, epoch))
    assert {len(share) for share in shares} == {-(-len(alone) // world)}
    draws = [draw for share in shares for batch in share for draw in batch]
    assert {draw.index for draw in draws} == set(range(len(dataset)))
    if epoch is None:
        assert sorted(draw.index for draw in draws if draw.counted) == list(range(len(dataset)))
        assert all(bool(dataset[draw]["counted"]) == draw.counted for draw in draws)


def test_an_empty_split_is_an_error_that_names_it(make_store):
    store = FixationStore(make_store(("train", "val")))
    with pytest.raises(DataError, match="no stimulus in the split test"):
        GazeDataset([store], "test", RULE, 4, PLAIN)


def test_windows_keep_the_aspect_ratio_and_stay_inside():
    rng = np.random.default_rng(0)
    for _ in range(300):
        box = random_box(Size(800, 600), VARIED, rng)
        assert box.left >= 0
        assert box.right <= 800
        assert box.top >= 0
        assert box.bottom <= 600
        assert box.width / box.height == pytest.approx(4 / 3, rel=0.01)
        assert box.width >= 0.6 * 800 - 1


def test_colour_changes_are_mild_and_none_changes_nothing():
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.abs(random_color(image, 0.0, np.random.default_rng(2)).astype(int) - image).max() <= 1
    changed = random_color(image, 0.2, np.random.default_rng(3)).astype(int)
    assert 0 < np.abs(changed - image).mean() < 60


def test_heads_move_with_the_photograph(tmp_path):
    """A bright square is labelled as a head: whatever the variation, the label is where the square is."""
    image = np.zeros((96, 128, 3), np.uint8)
    image[24:60, 70:106] = 255
    content = cv2.imencode(".png", image)[1].tobytes()
    fixations = Fixations.of([88, 20], [40, 80], 0, [1, 2])
    square = np.array([[70, 24, 106, 60]], np.float32)
    stimuli = [
        Stimulus("one.png", content, 128, 96, "train", fixations, heads=square),
        Stimulus("two.png", content, 128, 96, "train", fixations),
    ]
    write_store(tmp_path / "s.h5", StoreAttributes("s", "MIT", "drawn", 5.0, None, False), stimuli)
    augment = AugmentConfig(flip=0.5, crop=0.9, min_scale=0.6, color=0.0)
    dataset = GazeDataset([FixationStore(tmp_path / "s.h5")], "train", InputRule(128, 16), 4, augment)
    assert dataset.labelled
    assert dataset.most_heads == 1
    seen = set()
    for seed in range(30):
        example = dataset[Draw(0, (seed,))]
        assert bool(example["labelled"])
        (left, top, right, bottom, counted) = example["heads"][0].tolist()
        bright = example["image"].numpy().mean(axis=2) > 127
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        assert [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] == pytest.approx(
            [128 * left, 96 * top, 128 * right, 96 * bottom], abs=1.5
        )
        assert counted == 1
        seen.add((round(left, 3), round(top, 3)))
    assert len(seen) > 10
    example = dataset[Draw(1, (0,))]
    assert not bool(example["labelled"])
    assert example["heads"].isnan().all()
