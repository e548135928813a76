"""Raw samples of an eye tracker to fixations."""

import numpy as np
from numpy.typing import NDArray

from gaze.fixations import Fixations


def detect_fixations(
    samples: NDArray[np.floating], rate: float, dispersion: float, minimum: float, subject: int
) -> Fixations:
    """Finds fixations by dispersion: I-DT of Salvucci and Goldberg, ETRA 2000.

    A fixation is a longest run of samples whose spread, (max x - min x) + (max y - min y), stays within
    `dispersion`; its place is their median.

    Args:
        samples: T x 2 or wider, x and y in pixels; a sample that is not finite or not above 0 is missing, as
            in a blink, and ends a fixation.
        rate: samples per second.
        dispersion: pixels.
        minimum: shortest fixation in milliseconds.
        subject: to write into the record.
    """
    xy = np.asarray(samples, np.float64)[:, :2]
    seen: NDArray[np.bool_] = np.all(np.isfinite(xy) & (xy > 0), axis=1)
    shortest = max(1, round(minimum * rate / 1000))
    runs, start = [], 0
    while start + shortest <= len(xy):
        end = start + shortest
        if not _within(xy[start:end], seen[start:end], dispersion):
            start += 1
            continue
        while end < len(xy) and _within(xy[start : end + 1], seen[end : end + 1], dispersion):
            end += 1
        runs.append((start, end))
        start = end
    places = np.array([np.median(xy[start:end], axis=0) for start, end in runs]).reshape(-1, 2)
    durations = [(end - start) * 1000 / rate for start, end in runs]
    return Fixations.of(places[:, 0], places[:, 1], subject, np.arange(len(runs)), durations)


def _within(xy: NDArray[np.float64], seen: NDArray[np.bool_], dispersion: float) -> bool:
    return bool(seen.all()) and float(np.ptp(xy, axis=0).sum()) <= dispersion
