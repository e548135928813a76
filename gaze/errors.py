"""The exceptions a caller of gaze can meet: every message is one line, naming what was wrong and what was expected."""


class GazeError(Exception):
    """Base of every error that gaze raises on purpose."""


class ImageError(GazeError):
    """A file or an array is not an image that gaze can read, or an image cannot be written."""


class ModelError(GazeError):
    """A model file, its card or its weights are missing, damaged or do not fit together."""


class DataError(GazeError):
    """An eye-tracking data set or a prepared store is missing, damaged or inconsistent."""


class ConfigError(GazeError):
    """A setting is unknown, missing or has the wrong type or value."""


def one_line(text: object) -> str:
    """What an exception or a path says, as one line of characters that print; an exception's type if nothing."""
    words = " ".join(str(text).split()) if isinstance(text, Exception) else str(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words) or type(text).__name__
