"""Which thumbnails are wanted of every photo: their ratios and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, TypeAlias

from gaze.errors import ConfigError, brief
from gaze.geometry import AspectRatio, Bounds, Size

Ratio: TypeAlias = "AspectRatio | Literal['original']"
"""A ratio, or the photo's own."""


MOST = 1000
"""Thumbnails of one photo, without candidates."""


@dataclass(frozen=True)
class Fitted:
    """A shape where the photo is known."""

    ratio: AspectRatio
    size: Size | None
    """It is scaled down to fit into this."""


@dataclass(frozen=True)
class Shape:
    """One thumbnail that is wanted of every photo."""

    ratio: Ratio
    size: Bounds | None
    """It is scaled down to fit into this."""
    label: str
    """What tells it from the other shapes in a file's name."""

    def of(self, photo: Size) -> Fitted:
        """The shape of the thumbnail of a photo of this size; of one beyond 1000:1, as near as a ratio may be."""
        width, height = min(photo.width, 1000 * photo.height), min(photo.height, 1000 * photo.width)
        ratio = AspectRatio(width, height) if self.ratio == "original" else self.ratio
        return Fitted(ratio, self.size.size(ratio) if self.size else None)


def shapes(ratios: Sequence[Ratio], sizes: Sequence[Bounds]) -> tuple[Shape, ...]:
    """Every ratio at every size; without a ratio each size has its own, without either there is one square.

    Raises:
        ConfigError: these are more than `MOST`.
    """
    if (count := max(1, len(ratios)) * max(1, len(sizes))) > MOST:
        raise ConfigError(f"ratio and size: expected at most {MOST} thumbnails of a photo, got {count}")
    if not ratios and sizes:
        found = [Shape(ratio, size, str(size.size(ratio))) for size in sizes for ratio in [_own(size)]]
    else:
        wanted: Sequence[Bounds | None] = sizes or [None]
        found = [
            Shape(ratio, size, _label(ratio, size, len(sizes) > 1))
            for ratio in ratios or [AspectRatio(1, 1)]
            for size in wanted
        ]
    return tuple({shape.label: shape for shape in found}.values())


def parse_ratio(text: str) -> Ratio:
    """Reads `"original"`, or what `AspectRatio.parse` reads.

    Raises:
        ConfigError: the text is neither.
    """
    return "original" if text.strip().lower() == "original" else AspectRatio.parse(text)


def as_ratio(ratio: str | float | tuple[float, float] | AspectRatio) -> Ratio:
    """Reads a ratio as Python has it: a text, a number (width over height), a pair, or a ratio.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(ratio, AspectRatio):
        return ratio
    if isinstance(ratio, tuple | list):
        if len(ratio) != 2 or not all(isinstance(side, Real) for side in ratio):
            raise ConfigError(f"ratio: expected a width and a height, such as (4, 5), got {brief(ratio)}")
        return AspectRatio(*ratio)
    return parse_ratio(str(ratio))


def as_bounds(size: str | int | tuple[int | None, int | None] | Size) -> Bounds:
    """Reads a size as Python has it: a text, a width, a pair of which one may be None, or a size.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(size, Size):
        return Bounds(size.width, size.height)
    if isinstance(size, tuple | list):
        if len(size) != 2 or not all(side is None or isinstance(side, Integral) for side in size):
            raise ConfigError(f"size: expected a width and a height, such as (400, 300), got {brief(size)}")
        return Bounds(*(side if side is None else int(side) for side in size))
    return Bounds.parse(str(size))


def _own(size: Bounds) -> AspectRatio:
    return AspectRatio(size.width, size.height) if size.width and size.height else AspectRatio(1, 1)


def _label(ratio: Ratio, size: Bounds | None, several: bool) -> str:
    name = str(ratio).replace(":", "x")
    if not several or size is None:
        return name
    if ratio == "original" or (size.width and size.height):
        return f"{name}_{size}"
    return f"{name}_{ratio.largest(size.size(ratio))}"
