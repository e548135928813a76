"""The card of a model: how to feed it, what it was trained on, how good it is, and the sha256 of its file."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gaze.errors import ModelError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class InputRule:
    """How an image becomes the network's input."""

    longer_side: int
    """Pixels of the longer side; see `network_size`."""
    multiple: int
    """Both sides are multiples of this."""
    color: str = "RGB"
    resize: str = "area"


@dataclass(frozen=True)
class ModelCard:
    """What stands in `<name>.json` beside `<name>.onnx`."""

    __module__ = "gaze"

    name: str
    version: str
    sha256: str
    """Of the `.onnx` file, in lower-case hexadecimal digits."""
    input: InputRule
    output: dict[str, Any]
    """`stride`: pixels of the input per cell of the density; `heads`, `preference`: of these, where it has them."""
    format_version: int = FORMAT_VERSION
    backbone: str = ""
    parameters: int = 0
    trained_on: list[str] = field(default_factory=list)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Data set -> metric -> value, on its test split."""
    left_out: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The same for a model of the same recipe that never saw that data set."""
    license: str = ""
    notices: list[str] = field(default_factory=list)
    command: str = ""
    seed: int = 0
    log: str = ""

    @classmethod
    def load(cls, path: Path) -> "ModelCard":
        """Reads a card.

        Raises:
            ModelError: the file is missing, is not JSON, lacks a key, or has a format that is not read here.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"{path}: the model's card cannot be read ({error.strerror or error})") from error
        except (ValueError, RecursionError) as error:  # which of them nesting without end is depends on Python
            raise ModelError(f"{path}: the model's card is not JSON ({error})") from error
        return cls._parse(content, path)

    @classmethod
    def _parse(cls, content: Any, path: Path) -> "ModelCard":
        required = {"format_version", "name", "version", "sha256", "input", "output"}
        if not isinstance(content, dict) or not required <= content.keys():
            found = content.keys() if isinstance(content, dict) else set()
            raise ModelError(f"{path}: the model's card lacks {', '.join(sorted(required - found))}")
        if content["format_version"] != FORMAT_VERSION:
            raise ModelError(f"{path}: card format {content['format_version']!r}, this gaze reads {FORMAT_VERSION}")
        known = {key: content[key] for key in (f.name for f in fields(cls)) if key in content}
        return cls(**{**known, "input": _input_rule(content["input"], path)})

    def dumps(self) -> str:
        """The card as indented JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def save(self, path: Path) -> None:
        """Writes the card as indented JSON."""
        path.write_text(self.dumps(), encoding="utf-8")


def _input_rule(content: Any, path: Path) -> InputRule:
    try:
        rule = InputRule(**content)
    except TypeError as error:
        raise ModelError(f"{path}: input: expected longer_side, multiple, color, resize, got {content!r}") from error
    numbers = all(isinstance(n, int) and n >= 1 for n in (rule.longer_side, rule.multiple))
    if not numbers or rule.color != "RGB" or rule.resize != "area":
        raise ModelError(f"{path}: input: this version of gaze cannot serve {content!r}")
    return rule
