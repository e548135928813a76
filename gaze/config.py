"""How a verb reads its configuration: values come from `gaze.conf` and the command line, types from a dataclass.

A dataclass names every key and its type and holds no default: each value stands once, in YAML. Its `check()` says which
values suit it. A key that the dataclass does not know, a missing value, a wrong type and a value out of range are each
one line that names the key, what was expected and what came.

A dataclass may have `idle()` as well: which of its keys do nothing, as the others are, and why. Whoever gives one of
them on the command line is told so.
"""

import contextlib
import io
import os
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from importlib import resources
from inspect import cleandoc
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gaze.errors import ConfigError, GazeError, check_settings, expect_one_of, one_line, shown
from gaze.images.diagnostics import silence_pillow
from gaze.streams import drop, prepare_streams, print_note, print_result

Schema = TypeVar("Schema")

CONF = resources.files("gaze.conf")
HELP = {"-h", "--help"}
EXPERIMENT = "experiment"
FULL_ERROR = "HYDRA_FULL_ERROR"
TELLING = {"-c", "--cfg", "-i", "--info", "--hydra-help"}
"""Options of Hydra that print and run nothing."""
OPTIONS = """\
Options, before all settings or after them:
  -m
      run each combination of the values in KEY=A,B, one after the other; each needs an `out` of its own.
  --config-dir FOLDER
      take files of your own from FOLDER/GROUP/CHOICE.yaml beside those of gaze.
  --cfg job
      print the settings as YAML and run nothing.
  --hydra-help
      what else Hydra can do."""
FILLED_BY = {"sets": "data"}
"""The group that fills a key, where it is not called so."""
PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}

_EXPECTED = (
    "You are using the legacy TorchScript-based ONNX export",  # as is meant, see `gaze.models.onnx`
    "The feature will be removed. Please remove usage of this function",
    "Constant folding - Only steps=1 can be constant folded",
)
"""Warnings of torch's exporter that tell a command's user nothing."""


def validate(config: DictConfig, schema: type[Schema]) -> Schema:
    """Checks a composed configuration against `schema` and returns it as an instance of that dataclass.

    Raises:
        ConfigError: an unknown key, a missing value (`???`), a value of the wrong type or one that `check()` of a
            dataclass refuses; the message names the key.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), config)
        if missing := sorted(OmegaConf.missing_keys(merged)):
            raise ConfigError(_how_to_give(missing))
        result: Any = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ConfigError(_reason(error, schema, config)) from error
    check_settings(result)
    return result


def choices(group: str, name: str | None = None) -> list[str]:
    """What a group of `gaze/conf` offers.

    Args:
        group: its name.
        name: of the verb that it is offered to; an experiment is offered to the one whose command stands at its top.
    """
    files = sorted((file for file in (CONF / group).iterdir() if file.name.endswith(".yaml")), key=lambda f: f.name)
    if group == EXPERIMENT and name is not None:
        files = [file for file in files if f"python -m gaze.{name} " in file.read_text(encoding="utf-8")]
    return [Path(file.name).stem for file in files]


def verb(name: str, schema: type[Schema]) -> Callable[[Callable[[Schema], Any]], Callable[[], None]]:
    """Makes `run(config)` a command: composes `gaze/conf/<name>.yaml` with the command line and checks it.

    The command exits with 0 when done, 1 when the work failed, 2 when the configuration was wrong; a failure that
    gaze foresaw is one line on standard error. `--help` shows the settings; Hydra's other options (`--multirun`,
    `--config-dir`, `--cfg`) are Hydra's.
    """

    def decorate(run: Callable[[Schema], Any]) -> Callable[[], None]:
        def work(config: DictConfig, overrides: Sequence[str]) -> None:
            settings = validate(config, schema)
            _refuse_idle(settings, overrides)
            _silence()
            run(settings)

        @hydra.main(config_path="pkg://gaze.conf", config_name=name, version_base="1.3")
        def by_hydra(config: DictConfig) -> None:
            _or_exit(name, lambda: work(config, HydraConfig.get().overrides.task))

        def by_gaze() -> None:
            overrides = [argument for argument in sys.argv[1:] if argument not in HELP]
            config = _compose(name, overrides, schema)
            if len(overrides) < len(sys.argv) - 1:
                print_result(help_text(name, schema, config))
            else:
                work(config, overrides)

        def main() -> None:
            prepare_streams()
            if any(argument.startswith("-") and argument not in HELP for argument in sys.argv[1:]):
                _or_exit(name, lambda: _hand_on(by_hydra, schema))
            else:
                _or_exit(name, by_gaze)

        return main

    return decorate


def help_text(name: str, schema: type, config: DictConfig) -> str:
    """What `--help` shows: how the verb is called, its groups and what they offer, its settings and what they are."""
    source = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    usage = [line.removeprefix("# ") for line in source.split("defaults:")[0].splitlines()]
    offered = [f"  {group}: {', '.join(choices(group, name))}" for group in _groups(name)]
    values: Any = OmegaConf.to_container(config)
    settings = [f"  {key}{value}" + f"\n      {words}" * bool(words) for key, value, words in _rows(schema, values)]
    several = "" if name == "prepare" else "; several sets: data=[NAME,NAME]"
    groups = f"Groups, GROUP=CHOICE{several * ('data' in _groups(name))}:"
    return "\n".join([*usage, "", groups, *offered, "", "Settings, KEY=VALUE:", *settings, "", OPTIONS])


def _hand_on(by_hydra: Callable[[], None], schema: type) -> None:
    """Runs Hydra, and prints what it would have printed where that is all that it does, with a look at the stream."""
    told = io.StringIO()
    telling = any(argument.partition("=")[0] in TELLING for argument in sys.argv[1:])
    with contextlib.redirect_stdout(told) if telling else contextlib.nullcontext(), _raised_by_hydra():
        try:
            by_hydra()
        except HydraException as error:
            raise _composition_error(error, schema) from error
    print_result(told.getvalue(), end="")


@contextlib.contextmanager
def _raised_by_hydra() -> Iterator[None]:
    """Within it Hydra raises what it cannot compose; else it would print that and end the process."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        del os.environ[FULL_ERROR]
        os.environ.update({FULL_ERROR: before} if before is not None else {})


def _or_exit(name: str, work: Callable[[], None]) -> None:
    try:
        work()
    except GazeError as error:
        print_note(f"gaze.{name}: {_said(error)}")
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:  # the reader of what is printed, `head` for example, has seen enough
        drop(sys.stdout)
        sys.exit(1)


def _said(error: GazeError) -> str:
    """Its one line; a process of a DataLoader hands an error on as a traceback, in whose last line it stands."""
    kind = type(error)
    return str(error).strip().rpartition("\n")[2].removeprefix(f"{kind.__module__}.{kind.__qualname__}: ")


def _compose(name: str, overrides: Sequence[str], schema: type) -> DictConfig:
    try:
        with hydra.initialize_config_module("gaze.conf", version_base="1.3"):
            _refuse_others_experiment(name, overrides)
            return hydra.compose(name, list(overrides))
    except HydraException as error:
        raise _composition_error(error, schema) from error


def _composition_error(error: HydraException, schema: type) -> ConfigError:
    """What Hydra could not compose, in one line."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return ConfigError(f"{group}: expected one of {', '.join(sorted(error.options))}, got {shown(choice)}")
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return ConfigError(_reason(cause, schema, OmegaConf.create()))
    return ConfigError(one_line(error))


def _refuse_others_experiment(name: str, overrides: Sequence[str]) -> None:
    """Raises ConfigError where a verb that takes experiments is told one of another verb, or one that is not there."""
    if EXPERIMENT not in _groups(name):
        return
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.key_or_group == EXPERIMENT and override.value() is not None:
            expect_one_of(EXPERIMENT, override.value(), choices(EXPERIMENT, name))


def _refuse_idle(settings: object, overrides: Sequence[str]) -> None:
    idle: dict[str, str] = settings.idle() if hasattr(settings, "idle") else {}
    for key in _given(overrides):
        for pattern, why in idle.items():
            if fnmatchcase(key, pattern):
                raise ConfigError(f"{key}: has no effect, as {why}")


def _given(overrides: Sequence[str]) -> Iterator[str]:
    """The keys that a command line changes, but not what it adds whole."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if not override.is_add() and not override.is_force_add():
            yield from _leaves(override.key_or_group, override.value())


def _leaves(key: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key


def _how_to_give(missing: Sequence[str]) -> str:
    for key in missing:
        if key in FILLED_BY:
            group = FILLED_BY[key]
            return f"{group}: a value is required, {group}=NAME; expected one of {', '.join(choices(group))}, got none"
    return f"{', '.join(missing)}: a value is required, for example {missing[0]}=..."


def _reason(error: OmegaConfBaseException, schema: type, config: DictConfig) -> str:
    """What was wrong, in the words of the house."""
    key = str(error.full_key or next(_confused(schema, config), ""))
    if not key:
        return one_line(error)
    outer, _, name = key.rpartition(".")
    kind = _bare(_kind(schema, outer))
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else [name]
    if name not in known:
        return f"{key}: unknown key; expected one of {', '.join(known)}"
    said = (
        next((f.metadata.get("expected") for f in fields(kind) if f.name == name), None) if is_dataclass(kind) else None
    )
    value = OmegaConf.select(config, key)
    came = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return f"{key}: expected {said or _words(_kind(schema, key))}, got {shown(came)}"


def _confused(schema: Any, config: DictConfig, prefix: str = "") -> Iterator[str]:
    """The keys that hold a list where names are expected, or the other way round: OmegaConf does not say which."""
    for name, hint in get_type_hints(schema).items():
        kind, value = _bare(hint), config.get(name)
        if is_dataclass(kind) and isinstance(value, DictConfig):
            yield from _confused(kind, value, f"{prefix}{name}.")
        elif isinstance(value, DictConfig if get_origin(kind) is list else ListConfig):
            yield f"{prefix}{name}"


def _kind(schema: Any, key: str) -> Any:
    """The type of what stands at `key`, such as `sets.osie.sigma_pixels` or `model.readout.channels[0]`."""
    for name in re.findall(r"[^.\[\]]+", key):
        bare = _bare(schema)
        schema = get_type_hints(bare)[name] if is_dataclass(bare) else get_args(bare)[-1]
    return schema


def _bare(kind: Any) -> Any:
    """A type without its None."""
    return next(k for k in get_args(kind) if k is not type(None)) if _nullable(kind) else kind


def _nullable(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def _words(kind: Any) -> str:
    """A type in words."""
    bare = _bare(kind)
    if is_dataclass(bare):
        words = f"settings {', '.join(field.name for field in fields(bare))}"
    elif get_origin(bare) in (list, dict):
        shape = "a list" if get_origin(bare) is list else "a mapping of names"
        words = f"{shape}, each {_words(get_args(bare)[-1])}"
    else:
        words = PLAIN.get(bare, "a value")
    return words + " or null" * _nullable(kind)


def _groups(name: str) -> list[str]:
    """The groups among which a verb's configuration chooses."""
    source = OmegaConf.create((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    named = [str(next(iter(entry))) for entry in source.defaults if isinstance(entry, DictConfig)]
    return [group for group in named if (CONF / group).is_dir() and len(choices(group, name)) > (group != EXPERIMENT)]


def _rows(schema: Any, values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, value and meaning of each setting."""
    hints, meaning = get_type_hints(schema), _meaning(schema)
    for name in (field.name for field in fields(schema)):
        kind, value = _bare(hints[name]), values.get(name, MISSING)
        if is_dataclass(kind) and value is not None:
            yield from _rows(kind, {} if value == MISSING else value, f"{prefix}{name}.")
        elif get_origin(kind) is dict and is_dataclass(get_args(kind)[1]):
            for key, inner in ({"NAME": {}} if value in (MISSING, {}) else value).items():
                yield from _rows(get_args(kind)[1], inner, f"{prefix}{name}.{key}.")
        else:
            came = value if isinstance(value, str) else shown(value)
            yield f"{prefix}{name}", f"={came}" * (value != MISSING), meaning.get(name, "")


def _meaning(schema: type) -> dict[str, str]:
    """What the docstring of a dataclass and its bases says of each attribute."""
    found = {}
    for kind in reversed(schema.__mro__):
        section = cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
        for name, words in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
            found[name] = " ".join(words.split())
    return found


def _silence() -> None:
    """Keeps from a command's user what libraries warn of; a verb has its process to itself."""
    silence_pillow()
    for message in _EXPECTED:
        warnings.filterwarnings("ignore", message)
