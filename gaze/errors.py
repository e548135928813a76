"""The exceptions a caller of gaze can meet: every message is one line, naming what was wrong and what was expected."""

import errno


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
