"""Sizes, boxes, points and aspect ratios in pixels: x right, y down, (0, 0) at the top left."""

import math
import re
from dataclasses import dataclass

from gaze.errors import ConfigError, brief

NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
"""A decimal number, as a pattern that takes time by its length alone."""


@dataclass(frozen=True)
class Size:
    """Width and height in pixels, both at least 1 wherever gaze makes one."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Reads `"400x300"`.

        Raises:
            ConfigError: the text is not two whole numbers from 1 to 99999 with an `x` between them.
        """
        match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", text.strip())
        if match is None or 0 in (int(match[1]), int(match[2])):
            raise ConfigError(f"size: expected WIDTHxHEIGHT in pixels, for example 400x300, got {brief(text)}")
        return cls(int(match[1]), int(match[2]))

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def within(self, longer_side: int) -> "Size":
        """The size of the same shape, scaled down until the longer side has at most `longer_side` pixels."""
        scale = min(1.0, longer_side / max(self.width, self.height))
        return Size(max(1, round(self.width * scale)), max(1, round(self.height * scale)))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Bounds:
    """What a picture is to fit into, in pixels: a width, a height, or both."""

    width: int | None
    height: int | None

    def __post_init__(self) -> None:
        sides = [side for side in (self.width, self.height) if side is not None]
        if not sides or not all(isinstance(side, int) and 1 <= side <= 99999 for side in sides):
            raise ConfigError(
                f"size: expected pixels from 1 to 99999 for a width, a height or both, got {self.width} x {self.height}"
            )

    @classmethod
    def parse(cls, text: str) -> "Bounds":
        """Reads `"400x300"`, `"400"` (a width) or `"x300"` (a height).

        Raises:
            ConfigError: the text is none of these, or a number is not from 1 to 99999.
        """
        match = re.fullmatch(r"([0-9]{1,5})?(?:[xX]([0-9]{1,5})?)?", text.strip())
        sides = [int(side) if side else None for side in match.groups()] if match else [None, None]
        if sides == [None, None] or 0 in sides:
            raise ConfigError(
                f"size: expected WIDTHxHEIGHT, WIDTH or xHEIGHT in pixels, for example 400x300, got {brief(text)}"
            )
        return cls(*sides)

    def size(self, ratio: "AspectRatio") -> Size:
        """Both sides; one that is missing is so long that a picture of this ratio takes all of the other."""
        width = self.width or math.ceil((self.height or 1) * ratio.value)
        return Size(width, self.height or math.ceil(width / ratio.value))

    def __str__(self) -> str:
        return f"{self.width or ''}" + (f"x{self.height}" if self.height else "")


@dataclass(frozen=True)
class Point:
    """A place in an image; pixel centres lie at whole numbers."""

    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels: columns left <= x < right, rows top <= y < bottom."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column to the right of the box."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below the box."""
        return self.top + self.height

    @property
    def size(self) -> Size:
        """Width and height of the box."""
        return Size(self.width, self.height)

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom, as Pillow counts: `image.crop(box.bbox)`."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class AspectRatio:
    """Width to height; 16:9 and 32:18 have the same value and stay written as they came."""

    width: float
    height: float

    def __post_init__(self) -> None:
        valid = all(0 < _float(side) < math.inf for side in (self.width, self.height))
        if not valid or not 1e-3 <= self.width / self.height <= 1e3:
            raise ConfigError(f"ratio: expected two positive numbers, at most 1000:1 apart, got {self}")

    @classmethod
    def parse(cls, text: str) -> "AspectRatio":
        """Reads `"16:9"`, also as `"16x9"` or `"16/9"`, or one number, width over height, such as `"1.5"`.

        Raises:
            ConfigError: the text is neither, or a number is not positive.
        """
        match = re.fullmatch(rf"({NUMBER})(?:[:xX/]({NUMBER}))?", text.strip())
        if match is None:
            raise ConfigError(f"ratio: expected WIDTH:HEIGHT or a number, for example 16:9 or 1.5, got {brief(text)}")
        return cls(float(match[1]), float(match[2] or 1))

    @property
    def value(self) -> float:
        """Width over height."""
        return self.width / self.height

    def largest(self, size: Size) -> Size:
        """The largest size of this ratio inside `size`: one side is that of `size`, the other is rounded."""
        if size.width > size.height * self.value:
            return Size(max(1, round(size.height * self.value)), size.height)
        return Size(size.width, min(size.height, max(1, round(size.width / self.value))))

    def __str__(self) -> str:
        return f"{_float(self.width):g}:{_float(self.height):g}"


def _float(side: float) -> float:
    """A side as a float; a whole number beyond all floats is infinite."""
    try:
        return float(side)
    except OverflowError:
        return math.inf
