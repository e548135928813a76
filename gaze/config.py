"""How a verb reads its configuration: values come from `gaze.conf` and the command line, types from a dataclass.

A dataclass names every key and its type and holds no default: each value stands once, in YAML. A key that the
dataclass does not know, a missing value or a wrong type is one line that names the key.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaze.errors import ConfigError, GazeError
from gaze.images.diagnostics import silence_pillow

Schema = TypeVar("Schema")

_EXPECTED = (
    "You are using the legacy TorchScript-based ONNX export",  # as is meant, see `gaze.models.onnx`
    "The feature will be removed. Please remove usage of this function",
    "Constant folding - Only steps=1 can be constant folded",
)
"""Warnings of torch's exporter that tell a command's user nothing."""


def validate(config: DictConfig, schema: type[Schema]) -> Schema:
    """Checks a composed configuration against `schema` and returns it as an instance of that dataclass.

    Raises:
        ConfigError: an unknown key, a missing value (`???`) or a value of the wrong type; the message names the key.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), config)
        missing = OmegaConf.missing_keys(merged)
        if missing:
            raise ConfigError(f"{', '.join(sorted(missing))}: a value is required, for example {min(missing)}=...")
        result = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "configuration"
        reason = str(error).splitlines()[0]
        if "not in" in reason:
            parent = getattr(error, "object_type", None)
            known = fields(parent if is_dataclass(parent) else schema)  # type: ignore[arg-type]
            reason = f"unknown key; expected one of {', '.join(field.name for field in known)}"
        raise ConfigError(f"{key}: {reason}") from error
    return result  # type: ignore[return-value]


def verb(name: str, schema: type[Schema]) -> Callable[[Callable[[Schema], Any]], Callable[[], None]]:
    """Makes `run(config)` a command: composes `gaze/conf/<name>.yaml` with the command line and checks the types.

    The command exits with 0 when done, 1 when the work failed, 2 when the configuration was wrong; a failure that
    gaze foresaw is one line on standard error.
    """

    def decorate(run: Callable[[Schema], Any]) -> Callable[[], None]:
        started = False

        @hydra.main(config_path="pkg://gaze.conf", config_name=name, version_base="1.3")
        def composed(config: DictConfig) -> None:
            nonlocal started
            started = True
            _silence()
            try:
                run(validate(config, schema))
            except GazeError as error:
                print(f"gaze.{name}: {error}", file=sys.stderr)
                sys.exit(2 if isinstance(error, ConfigError) else 1)

        def main() -> None:
            try:
                composed()
            except SystemExit as stop:  # Hydra exits with 1 where it could not compose the configuration
                sys.exit(2 if stop.code == 1 and not started else stop.code)

        return main

    return decorate


def _silence() -> None:
    """Keeps from a command's user what libraries warn of; a verb has its process to itself."""
    silence_pillow()
    for message in _EXPECTED:
        warnings.filterwarnings("ignore", message)
