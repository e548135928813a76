"""The shipped models, each an `.onnx` file and its card, and which model a name or a path means.

What may live here: models that the package ships, and the search for a model's file. What reads one is
`gaze.predictor`.
"""

from pathlib import Path

from gaze.errors import ConfigError, ModelError

SHIPPED = ("fast", "quality")
"""Names of the shipped models, the fastest first."""

DEFAULT = "fast"
"""The one that is used where none is named."""

_FOLDER = Path(__file__).parent


def shipped_model(name: str = DEFAULT) -> Path:
    """Where a shipped model lies, whether it is there or not."""
    return _FOLDER / f"{name}.onnx"


def find_model(model: str | Path | None = None) -> Path:
    """The file of a model.

    Args:
        model: a name in `SHIPPED`, or a file; None means `DEFAULT`. A `Path`, or a text that is no name, is a file:
            `./fast` is one even though `fast` is not.

    Raises:
        ConfigError: it is neither a shipped model's name nor a file.
        ModelError: it is the name of a shipped model that this installation lacks.
    """
    name = DEFAULT if model is None else model
    if isinstance(name, str) and name in SHIPPED:
        path = shipped_model(name)
        if not path.is_file():
            raise ModelError(f"model {name}: this installation lacks {path}")
        return path
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"model: expected {' or '.join(SHIPPED)}, or an .onnx file that exists, got {str(name)!r}")
    return path
