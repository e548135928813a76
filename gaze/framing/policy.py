"""What makes a good box: the numbers of the policy that `choice` follows, and those that a user may set."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

from gaze.errors import ConfigError, brief

NEAR = 0.03
"""Gaze this close to a side, in parts of the image's longer side, is cut, on both sides of the line.

Chosen on `val` together with `Framing.cut_weight`: docs/crop.md has the frontier, `crop_frontier.py` makes it.
"""

TOLERANCE = 0.005
"""Windows whose worth differs by less are nearly the same: the one that cuts least is taken, then the most central."""

BESIDE = 0.07
"""Where heads are known, gaze this close to a side, likewise, is pressed against it."""

BESIDE_WEIGHT = 1.8
"""The price of that gaze as a multiple of `Framing.cut_weight`, like the next four; gaze at the cut has none then."""

OFFSET_WEIGHT = 8.4
"""The price of how far the mean of the gaze inside is from the window's middle: the square, in parts of the sides."""

SHIFT_WEIGHT = 0.22
"""The price of moving a window from the center of the photograph all the way along an axis."""

HEAD_WEIGHT = 3.8
"""The price of gaze on heads that are partly inside."""

WHOLE_WEIGHT = 3.5
"""What gaze on heads that are whole inside is worth, beyond its share.

Of a crop with zoom these prices are divided by its square. The five were chosen together on `val`, by which windows of
649 rows two readers each would use, before there was `Preference`: docs/crop.md; `crop_usable.py` tells what share of
crops they would send back.
"""

KEEP = 0.95
"""Automatic zoom keeps this share of the gaze that the loosest window holds.

With `fast`, on `val` of our three sets, it then keeps 0.970 of people's fixations in the loosest square, whose sides
shrink by a factor of 1.10. With 0.9 it is 1.20, and the tops of heads begin to go.
"""

OVERLAP = 0.4
"""Two boxes of one answer have at most this intersection over union."""

MOST = 1000
"""Points of focus in one image at most."""

BOXES = 100
"""Candidates at most: each is a search of its own."""


@dataclass(frozen=True)
class Framing:
    """What makes a good box, beyond the gaze that it holds.

    `cut_weight` is the one number of policy: what a window is worth is the share of the gaze that it holds, less this
    times what its sides cut (`NEAR`), or, where heads are known, times the sum of the prices `BESIDE_WEIGHT` to
    `HEAD_WEIGHT` less `WHOLE_WEIGHT`, and more by it times what a model says that people prefer. With 0 the share alone
    counts, and a crop runs through a face where that holds a little more; with more, fewer heads are cut and less gaze
    is kept. docs/crop.md has the frontier.

    Attributes:
        zoom: bounds, at least 1; 1 is the largest window of the ratio, 2 has half its sides. Equal bounds are a fixed
            zoom; else the box is the tightest that still holds `KEEP` of the gaze in the loosest.
        padding: share of the box's sides, 0 to below 0.5; gaze this close to a side counts half.
        cut_weight: 0 or more, the price of bad sides in gaze inside.
        candidates: boxes to return at most, 1 to `BOXES`; there are fewer where no more fit with so little in common
            (`OVERLAP`).
        threshold: where the best window is worth less than this more than the central one, that one is taken.
        keep: share of the gaze, 0 to 1, that the box is to hold: it grows beyond its ratio until it does.

    Raises:
        ConfigError: a value is out of its range; the message names it.
    """

    zoom: tuple[float, float] = (1.0, 1.0)
    padding: float = 0.0
    candidates: int = 1
    threshold: float = 0.0
    keep: float = 0.0
    cut_weight: float = 1.25

    def __post_init__(self) -> None:
        for name in ("padding", "threshold", "keep", "cut_weight"):
            if not isinstance(getattr(self, name), Real):
                raise ConfigError(f"{name}: expected a number, got {brief(getattr(self, name))}")
        valid = {
            "zoom: expected two numbers from 1 up, the smaller first": _are_bounds(self.zoom),
            "padding: expected a share from 0 to below 0.5": 0 <= self.padding < 0.5,
            f"candidates: expected a whole number from 1 to {BOXES}": _is_count(self.candidates),
            "threshold: expected a share from 0 to 1": 0 <= self.threshold <= 1,
            "keep: expected a share from 0 to 1": 0 <= self.keep <= 1,
            "cut_weight: expected a number from 0 up": 0 <= self.cut_weight < math.inf,
        }
        for expected, holds in valid.items():
            if not holds:
                raise ConfigError(f"{expected}, got {brief(getattr(self, expected.split(':')[0]))}")


def _are_bounds(zoom: object) -> bool:
    """Whether these are two numbers from 1 up, the smaller first."""
    numbers = isinstance(zoom, tuple | list) and len(zoom) == 2 and all(isinstance(bound, Real) for bound in zoom)
    return numbers and 1 <= zoom[0] <= zoom[1] < math.inf  # type: ignore[index]


def _is_count(candidates: object) -> bool:
    return isinstance(candidates, Integral) and 1 <= candidates <= BOXES  # type: ignore[operator]
