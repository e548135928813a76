"""Focus points: where a person says that it matters, on the command line or in a file beside the photos."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

from gaze.errors import ConfigError, brief
from gaze.framing.policy import MOST
from gaze.geometry import NUMBER, Point, Size


@dataclass(frozen=True)
class FocusPoint:
    """A place in a photo: in pixels of the upright original, or in shares of its width and height."""

    x: float
    y: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> "FocusPoint":
        """Reads `"320,240"` (pixels) or `"40%,25%"`.

        Raises:
            ConfigError: the text is neither, or lies outside any photo.
        """
        match = re.fullmatch(rf"\s*({NUMBER})(%?)\s*,\s*({NUMBER})(%?)\s*", text)
        if match is None or match[2] != match[4]:
            raise ConfigError(
                f"focus: expected X,Y in pixels or X%,Y%, for example 320,240 or 40%,25%, got {brief(text)}"
            )
        x, y, relative = float(match[1]), float(match[3]), bool(match[2])
        if relative and max(x, y) > 100:
            raise ConfigError(f"focus: expected shares up to 100%, got {brief(text)}")
        return cls(x / 100, y / 100, True) if relative else cls(x, y, False)

    def within(self, size: Size) -> Point:
        """The place in pixels of an image of `size`.

        Raises:
            ConfigError: it lies outside.
        """
        if self.relative:
            return Point(min(self.x * size.width, size.width - 1), min(self.y * size.height, size.height - 1))
        if not (self.x < size.width and self.y < size.height):
            raise ConfigError(f"focus {self.x:g},{self.y:g}: lies outside the photo of {size} pixels")
        return Point(self.x, self.y)


def check_count(points: Sequence[object]) -> None:
    """Raises ConfigError where these are too many for one photo."""
    if len(points) > MOST:
        raise ConfigError(f"focus: expected at most {MOST} points of one photo, got more")


Place: TypeAlias = Point | str | tuple[float, float] | tuple[str, str]
"""A place as Python has it: a point or a pair of x and y in pixels, or a text or a pair as `FocusPoint.parse` reads."""


def as_points(focus: Place | Sequence[Place], size: Size) -> list[Point]:
    """One place or several, in pixels of an image of `size`.

    Raises:
        ConfigError: one cannot be read, or is a text and lies outside, or they are more than `MOST`.
    """
    if isinstance(focus, Point | str) or _is_pair(focus):
        return [_point(focus, size)]
    if not isinstance(focus, Sequence):
        raise ConfigError(f"focus: expected a place or several, such as (640, 200) or '40%,25%', got {brief(focus)}")
    check_count(focus)
    return [_point(place, size) for place in focus]


def _is_pair(focus: object) -> bool:
    """Whether it is x and y of one place, and not two places."""
    sides = focus if isinstance(focus, tuple | list) and len(focus) == 2 else ()
    numbers = [isinstance(side, Real) for side in sides]
    texts = [isinstance(side, str) and "," not in side for side in sides]
    return bool(sides) and (all(numbers) or all(texts))


def _point(place: Any, size: Size) -> Point:
    if isinstance(place, Point):
        return place
    if not isinstance(place, str) and not _is_pair(place):
        raise ConfigError(f"focus: expected a place such as (640, 200) or '40%,25%', got {brief(place)}")
    if not isinstance(place, str) and isinstance(place[0], Real):
        return Point(*map(float, place))
    return FocusPoint.parse(place if isinstance(place, str) else ",".join(place)).within(size)


def read_focus(path: Path) -> dict[str, tuple[FocusPoint, ...]]:
    """Reads a CSV file of rows `photo,x,y`: a photo's path relative to the folder, and a point in it.

    A photo may have several rows; a first row without numbers is a heading; x and y as in `FocusPoint.parse`.

    Raises:
        ConfigError: the file cannot be read, or a row is not of that kind; names the row.
    """
    points: dict[str, tuple[FocusPoint, ...]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (number == 1 and [cell.strip().lower() for cell in row[1:]] == ["x", "y"]):
                    continue
                if len(row) != 3:
                    raise ConfigError(f"{path}, row {number}: expected photo,x,y, got {len(row)} columns")
                point = FocusPoint.parse(f"{row[1]},{row[2]}")
                points[row[0]] = (*points.get(row[0], ()), point)
                check_count(points[row[0]])
    except (OSError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except ConfigError as error:
        raise ConfigError(str(error) if str(path) in str(error) else f"{path}, row {number}: {error}") from error
    return points
