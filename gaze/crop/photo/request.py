"""What a user wants of every photo: plain values, sent to workers and told apart by a fingerprint."""

import hashlib
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from gaze.errors import ConfigError
from gaze.framing.choice import Framing
from gaze.geometry import AspectRatio, Size
from gaze.images import Encoding, Keep, Limits

TEMPLATE = "{stem}_{shape}{ext}"
"""How a thumbnail is named unless the user says otherwise."""

FIELDS = {
    "stem": "the photo's name without its suffix",
    "ext": "the suffix of the thumbnail's format",
    "shape": "ratio or size, whatever tells the thumbnails apart, such as 16x9 or 400x400",
    "ratio": "such as 16x9",
    "size": "the thumbnail's width and height, such as 400x225",
    "rank": "1 for the best candidate",
}
"""What a template may name."""


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


@dataclass(frozen=True)
class Request:
    """What is wanted of every photo.

    Attributes:
        shapes: of the thumbnails.
        framing: how boxes are chosen.
        model: a shipped model's name or a path; None takes the default.
        encoding: format and quality of the thumbnails.
        keep: what goes from the photo into them.
        limits: what is refused before it is decoded.
        template: of their names, see `FIELDS`; may hold folders.
        upscale: enlarge a crop that is smaller than its size.
        fill: colour that fills what a thumbnail lacks to its size or ratio; None leaves it smaller.
        frames: how many frames of an animation are kept; None all.
        focus_weight: 0 to 1, how much focus points count against the model.
        heatmap: template of the photo with the predicted gaze over it, of {stem} and {ext}; None writes none.
        overwrite: replace thumbnails that exist.
        preview: also make the small pictures of the report.
    """

    shapes: tuple[Shape, ...]
    framing: Framing = Framing()
    model: str | None = None
    encoding: Encoding = Encoding()
    keep: Keep = Keep()
    limits: Limits = Limits()
    template: str = TEMPLATE
    upscale: bool = False
    fill: str | None = None
    frames: int | None = 1
    focus_weight: float = 1.0
    heatmap: str | None = None
    overwrite: bool = False
    preview: bool = False

    def check(self) -> None:
        """Raises ConfigError where the template is unknown, leaves the folder, or gives two thumbnails one name."""
        try:
            names = [f for _, f, _, _ in string.Formatter().parse(self.template) if f is not None]
        except ValueError as error:
            raise ConfigError(f"--template: {error}") from error
        unknown = [name for name in names if name not in FIELDS]
        if unknown:
            raise ConfigError(
                f"--template: {{{unknown[0]}}} is unknown; expected {', '.join(f'{{{name}}}' for name in FIELDS)}"
            )
        told = {
            file_name(self.template, "photo", shape, shape.size or Size(1, 1), rank, ".jpg")
            for shape in self.shapes
            for rank in range(1, self.framing.candidates + 1)
        }
        if len(told) < len(self.shapes) * self.framing.candidates:
            raise ConfigError(
                f"--template {self.template}: gives several thumbnails one name; add {{shape}} or {{rank}}"
            )

    def fingerprint(self, model: str) -> str:
        """Tells runs whose thumbnails could differ apart: 16 hexadecimal digits; `model` is the sha256 of the model."""
        seen = replace(self, model=model, overwrite=False, preview=False)
        return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def file_name(template: str, stem: str, shape: Shape, size: Size, rank: int, suffix: str) -> PurePosixPath:
    """Where a thumbnail goes, relative to its folder.

    Raises:
        ConfigError: that would be outside the folder.
    """
    label = shape.label if rank == 1 or "{rank}" in template else f"{shape.label}_{rank}"
    values: Mapping[str, object] = {
        "stem": stem,
        "ext": suffix,
        "shape": label,
        "ratio": str(shape.ratio).replace(":", "x"),
        "size": size,
        "rank": rank,
    }
    path = PurePosixPath(template.format_map(values))
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ConfigError(f"--template {template}: gives {str(path)!r}, expected a path inside the output folder")
    return path
