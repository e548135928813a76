"""The exceptions a caller of gaze can meet, and the checks that raise them for settings.

Every message is one line that names what was wrong, what was expected and what came.
"""

import errno
import math
from collections.abc import Iterable
from dataclasses import is_dataclass
from pathlib import PurePath
from typing import Any

_LONG = 200
"""Characters of a value that a message shows."""


class GazeError(Exception):
    """Base of every error that gaze raises on purpose."""


class ImageError(GazeError):
    """A file or an array is not an image that gaze can read, or a format cannot hold an image."""


class ModelError(GazeError):
    """A model file, its card or its weights are missing, damaged or do not fit together."""


class DataError(GazeError):
    """An eye-tracking data set or a prepared store is missing, damaged or inconsistent."""


class ConfigError(GazeError):
    """A setting is unknown, missing or has the wrong type or value."""


class OutputError(GazeError):
    """A file cannot be written; `fatal` where no other could be either, as on a full disk."""

    def __init__(self, message: str, fatal: bool = False) -> None:
        super().__init__(message, fatal)
        self.fatal = fatal

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, path: object, error: OSError) -> "OutputError":
        """What the system said of `path`, in one line."""
        fatal = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        return cls(f"{one_line(path)}: cannot be written ({error.strerror or one_line(error)})", fatal)


def one_line(text: object) -> str:
    """What an exception or a path says, as one line of characters that print; an exception's type if nothing."""
    words = " ".join(str(text).split()) if isinstance(text, Exception) else str(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words) or type(text).__name__


def expect(holds: bool, key: str, expected: str, came: object) -> None:
    """Raises ConfigError where a setting is not what is expected of it; `key` is its full name."""
    if not holds:
        raise ConfigError(f"{key}: expected {expected}, got {shown(came)}")


def expect_number(
    key: str,
    value: float | None,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Raises ConfigError where a number is not finite or out of its range: `least` and `most` are in it. None passes.

    Args:
        key: full name of the setting.
        value: of it.
        least: >= this.
        most: <= this.
        above: > this.
        below: < this.
    """
    if value is None or (math.isfinite(value) and least <= value <= most and above < value < below):
        return
    bounds = {"at least": least, "above": above, "at most": most, "below": below}
    words = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
    whole = f"{least:g} to {most:g}" if math.isfinite(most - least) else ", ".join(words)
    expect(False, key, whole or "a finite number", value)


def expect_one_of(key: str, value: object, known: Iterable[object]) -> None:
    """Raises ConfigError where a setting is none of those that are known."""
    known = list(known)
    expect(value in known, key, f"one of {', '.join(map(str, known))}", value)


def expect_texts(key: str, value: object, expected: str) -> list[str]:
    """A setting that is one text or several, as a list.

    Raises:
        ConfigError: it is something else, or an empty one.
    """
    several = value if isinstance(value, list) else [value]
    texts = [str(each) for each in several if isinstance(each, str | PurePath) and str(each)]
    expect(0 < len(texts) == len(several), key, expected, value)
    return texts


def check_settings(config: Any, *name: str) -> None:
    """Calls `check()` of a configuration's dataclasses, the inner ones first; one of several is given its `name`.

    Raises:
        ConfigError: the first value that does not suit.
    """
    for value in vars(config).values():
        if is_dataclass(value):
            check_settings(value)
        for key, inner in value.items() if isinstance(value, dict) else ():
            if is_dataclass(inner):
                check_settings(inner, key)
    config.check(*name)


def brief(value: object) -> str:
    """A value as Python writes it, or the beginning of that where it is long; one line."""
    if isinstance(value, list | tuple | set | frozenset | dict) and len(value) > _LONG:
        return f"{type(value).__name__} of {len(value)}"
    words = one_line(repr(value))
    return words if len(words) <= _LONG else f"{words[:_LONG]}... of {len(words)} characters"


def shown(value: object) -> str:
    """A setting as it is written in YAML, in one line."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else one_line(repr(value))
