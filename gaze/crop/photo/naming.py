"""How thumbnails are named: a template, and what it may hold."""

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from gaze.crop.photo.shapes import Shape
from gaze.errors import ConfigError

TEMPLATE = "{stem}_{shape}{ext}"
"""How a thumbnail is named unless the user says otherwise."""

FIELDS = {
    "stem": "the photo's name without its suffix",
    "suffix": "that suffix, such as png, which tells photos of one stem apart",
    "ext": "the suffix of the thumbnail's format",
    "shape": "ratio or size, whatever tells the thumbnails apart, such as 16x9 or 400x400",
    "ratio": "such as 16x9",
    "size": "the thumbnail's width and height, such as 400x225",
    "rank": "1 for the best candidate",
}
"""What a template may name."""


def check_template(template: str, shapes: Sequence[Shape], candidates: int) -> None:
    """Raises ConfigError where a template is unknown, leaves the folder, or gives two thumbnails one name."""
    try:
        fields = [parts for _, *parts in string.Formatter().parse(template) if parts[0] is not None]
    except ValueError as error:
        raise ConfigError(f"--template: {error}") from error
    unknown = [name for name, _, _ in fields if name not in FIELDS]
    if unknown:
        raise ConfigError(
            f"--template: {{{unknown[0]}}} is unknown; expected {', '.join(f'{{{name}}}' for name in FIELDS)}"
        )
    for name, form, conversion in fields:
        if conversion or (form and not (name == "rank" and re.fullmatch("0?[1-9]d?", form))):
            raise ConfigError(f"--template {template}: no field takes a format but {{rank}}, as in {{rank:02}}")
    told = {
        file_name(template, "photo.jpg", shape, shape.size or "1x1", rank, ".jpg")
        for shape in shapes
        for rank in range(1, candidates + 1)
    }
    if len(told) < len(shapes) * candidates:
        raise ConfigError(f"--template {template}: gives several thumbnails one name; add {{shape}} or {{rank}}")


def file_name(template: str, photo: str, shape: Shape, size: object, rank: int, suffix: str) -> PurePosixPath:
    """Where a thumbnail goes, relative to its folder; `size` is that of the thumbnail, or what stands for it.

    Raises:
        ConfigError: that would be outside the folder.
    """
    name = PurePosixPath(photo)
    label = shape.label if rank == 1 or "{rank" in template else f"{shape.label}_{rank}"
    values: Mapping[str, object] = {
        "stem": name.stem,
        "suffix": name.suffix.removeprefix("."),
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
