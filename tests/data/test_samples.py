import numpy as np

from gaze.data.readers.samples import detect_fixations


def dwell(x, y, count, rng):
    return np.column_stack([rng.uniform(x - 3, x + 3, count), rng.uniform(y - 3, y + 3, count)])


def test_two_dwells_and_a_blink_are_two_fixations():
    rng = np.random.default_rng(0)
    saccade = np.linspace((100, 100), (400, 300), 6)[1:-1]
    first, second, short = dwell(100, 100, 60, rng), dwell(400, 300, 48, rng), dwell(400, 300, 10, rng)
    samples = np.vstack([first, saccade, second, np.zeros((20, 2)), short])
    found = detect_fixations(samples, rate=240, dispersion=35, minimum=100, subject=5)
    np.testing.assert_allclose(found.x, [100, 400], atol=2)
    np.testing.assert_allclose(found.y, [100, 300], atol=2)
    np.testing.assert_allclose(found.duration, [250, 200], atol=5)
    assert found.order.tolist() == [0, 1]
    assert found.subject.tolist() == [5, 5]


def test_a_blink_splits_a_dwell():
    rng = np.random.default_rng(1)
    samples = np.vstack([dwell(50, 50, 40, rng), np.full((5, 2), np.nan), dwell(50, 50, 40, rng)])
    assert len(detect_fixations(samples, 240, 35, 100, 0)) == 2


def test_a_steady_drift_is_cut_where_it_exceeds_the_dispersion():
    samples = np.column_stack([np.arange(100.0) + 1, np.full(100, 10.0)])
    found = detect_fixations(samples, 240, 35, 100, 0)
    assert found.x.tolist() == [18.5, 54.5, 86.5]  # 36 samples span 35 pixels; 28 are left
    np.testing.assert_allclose(found.duration, [150, 150, 28 / 240 * 1000])


def test_too_few_samples_are_no_fixation():
    assert len(detect_fixations(np.full((10, 2), 5.0), 240, 35, 100, 0)) == 0
    assert len(detect_fixations(np.zeros((0, 2)), 240, 35, 100, 0)) == 0
