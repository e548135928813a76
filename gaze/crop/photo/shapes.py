"""Which thumbnails are wanted of every photo: their ratios and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from gaze.geometry import AspectRatio, Size


@dataclass(frozen=True)
class Shape:
    """One thumbnail that is wanted of every photo."""

    ratio: AspectRatio
    size: Size | None
    """It is scaled down to fit into this."""
    label: str
    """What tells it from the other shapes in a file's name."""


def shapes(ratios: Sequence[AspectRatio], sizes: Sequence[Size]) -> tuple[Shape, ...]:
    """Every ratio at every size; without a ratio each size has its own, without either there is one square."""
    if not ratios and sizes:
        found = [Shape(AspectRatio(size.width, size.height), size, str(size)) for size in sizes]
    else:
        wanted: Sequence[Size | None] = sizes or [None]
        found = [
            Shape(ratio, size, _label(ratio, size, len(sizes) > 1))
            for ratio in ratios or [AspectRatio(1, 1)]
            for size in wanted
        ]
    return tuple({shape.label: shape for shape in found}.values())


def _label(ratio: AspectRatio, size: Size | None, several: bool) -> str:
    name = str(ratio).replace(":", "x")
    return f"{name}_{size}" if several else name
