"""Every verb's configuration composes, and what is wrong with one is said by name."""

import copy
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from pictures import corners, stored
from torch.utils.data import DataLoader, Dataset

from gaze import evaluate, export, latency, prefer, prepare, prune, teach, train
from gaze.config import _bare, _meaning, _refuse_idle, choices, validate
from gaze.config import verb as as_verb
from gaze.errors import ConfigError, DataError, OutputError
from gaze.evaluate import EvaluateConfig
from gaze.images import decode
from gaze.models.config import ExportConfig
from gaze.prepare import PrepareConfig
from gaze.teach import TeachConfig
from gaze.training.config import PruneConfig, TrainConfig
from gaze.training.latency_config import LatencyConfig
from gaze.training.preference_config import PreferConfig

HEADS = "model.heads={reduce: 24, channels: [48], weight: 0.5}"
PREFERENCE = "model.preference={reduce: 8, channels: [16]}"
GATES = (
    "pruner.l0={penalty: time, estimator: concrete, beta: 0.5, gamma: -0.1, zeta: 1.1, start: 3, rate: 0.1, rho: 1,"
    " per_example: false}"
)
VERBS: dict[str, tuple[Any, type, list[str]]] = {
    "prepare": (prepare, PrepareConfig, ["data=osie", "data.root=somewhere"]),
    "train": (train, TrainConfig, ["data=osie", HEADS, PREFERENCE]),
    "prune": (prune, PruneConfig, ["data=osie", "checkpoint=a.ckpt", "budget=0.5", GATES]),
    "teach": (teach, TeachConfig, ["data=osie"]),
    "prefer": (prefer, PreferConfig, ["data=osie", "checkpoint=a.ckpt", "out=b.ckpt"]),
    "evaluate": (evaluate, EvaluateConfig, ["data=osie"]),
    "export": (export, ExportConfig, ["checkpoint=a.ckpt", "out=a.onnx", "photos=folder"]),
    "latency": (latency, LatencyConfig, ["model=mobilegaze", HEADS, PREFERENCE]),
}
OF_DATA = [verb for verb, (_, schema, _) in VERBS.items() if "sets" in get_type_hints(schema)]


def composed(verb: str, *overrides: str) -> DictConfig:
    with initialize_config_module("gaze.conf", version_base="1.3"):
        return compose(verb, list(overrides))


def command(verb: str, monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a verb that does not get as far as its work."""
    monkeypatch.setattr(sys, "argv", [f"gaze.{verb}", *arguments])
    try:
        VERBS[verb][0].main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def schemas(schema: Any) -> Iterator[type]:
    """A verb's dataclass and all within it."""
    yield schema
    for hint in get_type_hints(schema).values():
        kind = _bare(hint)
        inner = get_args(kind)[-1] if get_origin(kind) is dict else kind
        if is_dataclass(inner):
            yield from schemas(inner)


def keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Full names of a verb's settings; the one set is called osie."""
    for name, hint in get_type_hints(schema).items():
        kind = _bare(hint)
        if is_dataclass(kind):
            yield from keys(kind, f"{prefix}{name}.")
        elif get_origin(kind) is dict and is_dataclass(get_args(kind)[1]):
            yield from keys(get_args(kind)[1], f"{prefix}{name}.osie.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("verb", VERBS)
def test_the_values_in_yaml_fit_the_schema(verb):
    _, schema, overrides = VERBS[verb]
    assert isinstance(validate(composed(verb, *overrides), schema), schema)


def test_several_sets_are_trained_together():
    config = validate(composed("train", "data=[osie,eyecrowd,scene500]"), TrainConfig)
    assert list(config.sets) == ["osie", "eyecrowd", "scene500"]


def test_train_prune_and_teach_have_the_values_that_they_are_documented_with():
    trainer = {"ema_decay": 0.998, "accumulate_grad_batches": 1, "gradient_clip_val": 1.0, "precision": "auto",
               "accelerator": "auto", "threads": None, "progress": True, "logger": "tensorboard"}  # fmt: skip
    shared = {
        "distill": {"teacher": None, "weight": 0.5, "live": False},
        "loader": {"batch_size": 8, "workers": 1, "weights": None},
        "augment": {"flip": 0.5, "crop": 0.5, "min_scale": 0.8, "color": 0.2},
    }
    rates = {"backbone_lr": 3e-4, "readout_lr": 3e-3, "weight_decay": 0.01}
    expected: dict[str, dict[str, Any]] = {
        "train": {
            **shared,
            "optim": {**rates, "warmup": 0.1},
            "trainer": {**trainer, "max_epochs": 20, "patience": 5, "devices": "auto", "strategy": "auto"},
            "seed": 1,
        },
        "prune": {**shared, "optim": {**rates, "readout_lr": 1e-3}, "trainer": {**trainer, "ema_decay": 0.99}},
        "teach": {"augment": {"flip": 0.5, "crop": 0.9, "min_scale": 0.4, "color": 0.4}, "views": 20},
    }
    for verb, values in expected.items():
        found = OmegaConf.to_container(composed(verb, *VERBS[verb][2]))
        assert {key: found[key] for key in values} == values


def test_an_experiment_s_sets_and_epochs_can_be_changed():
    config = composed("train", "experiment=gaze", "data=[eyecrowd,scene500]", "trainer.ema_decay=0.99")
    assert list(config.sets) == ["eyecrowd", "scene500"]
    assert (config.trainer.max_epochs, config.trainer.ema_decay, config.out) == (12, 0.99, "runs/gaze")


@dataclass
class Inner:
    rate: float

    def check(self) -> None:
        if self.rate < 0:
            raise ConfigError("inner.rate: expected at least 0")


@dataclass
class Outer:
    inner: Inner
    count: int

    def check(self) -> None:
        pass


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"rate": 1.0, "rat": 2.0}, "count": 1}, r"inner\.rat: unknown key; expected one of rate"),
        ({"inner": {"rate": 1.0}, "count": 1, "cuont": 1}, "cuont: unknown key; expected one of inner, count"),
        ({"inner": {"rate": "fast"}, "count": 1}, r"inner\.rate: expected a number, got 'fast'"),
        ({"inner": 3, "count": 1}, r"inner: expected settings rate, got 3"),
        ({"inner": {"rate": None}, "count": 1}, r"inner\.rate: expected a number, got null"),
        ({"inner": {"rate": -1}, "count": 1}, r"inner\.rate: expected at least 0"),
        ({"inner": {"rate": 1.0}, "count": "???"}, "count: a value is required"),
    ],
)
def test_a_wrong_key_type_value_or_gap_is_one_line_that_names_it(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        validate(OmegaConf.create(values), Outer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", VERBS)
def test_every_schema_checks_itself_and_says_what_each_setting_is(verb):
    for schema in schemas(VERBS[verb][1]):
        assert "check" in vars(schema), schema
        assert set(_meaning(schema)) == {field.name for field in fields(schema)}, schema


NUMBER = ["nan", ".inf", "-.inf", "much", "[1]"]
SHARE = [*NUMBER, "-0.1", "1.1"]
WHOLE = ["0", "-1", "2.5", "many", ".nan"]
TEXT = ["''", "[1]", "null"]
OPTIONAL = ["{a: 1}", "[1]"]
FLAG = ["maybe", "null"]

BAD: dict[str, list[str]] = {
    "sets.osie.name": TEXT,
    "sets.osie.reader": TEXT,
    "sets.osie.store": TEXT,
    "sets.osie.license": ["[1]", "null"],
    "sets.osie.source": ["[1]", "null"],
    "sets.osie.drop_first": FLAG,
    "sets.osie.sigma_degrees": [*NUMBER, "0", "-1"],
    "sets.osie.sigma_pixels": [*NUMBER, "0", "-1"],
    "sets.osie.pixels_per_degree": [*NUMBER, "0", "-1"],
    "sets.osie.sigma_width": WHOLE,
    "data.root": TEXT,
    "data.splits": [*OPTIONAL, "''"],
    "model.name": TEXT,
    "model.input.longer_side": WHOLE,
    "model.input.multiple": WHOLE,
    "model.backbone.name": TEXT,
    "model.backbone.taps": ["[]", "[-1]", "[2, features.3]", "['']", "[1.5]", "3"],
    "model.backbone.weights": TEXT,
    "model.backbone.reparameterize": FLAG,
    "model.backbone.activation": ["elu", "''", "[1]"],
    "model.backbone.skip": ["['']", "stem", "3"],
    "model.readout.reduce": WHOLE,
    "model.readout.channels": ["[]", "[16, 2]", "[0, 1]", "16", "[a]"],
    "model.finalizer.sigma": [*NUMBER, "0", "-1"],
    "model.finalizer.center_bias": ["[]", "[12]", "[12, 0]", "12", "[1, 2, 3]"],
    "model.heads.reduce": WHOLE,
    "model.heads.shared": FLAG,
    "model.heads.taps": WHOLE,
    "model.heads.channels": ["[0]", "[48, -1]", "48", "[a]"],
    "model.heads.weight": [*NUMBER, "0", "-1"],
    **dict.fromkeys(("reduce", "model.preference.reduce"), WHOLE),
    **{key: ["[0]", "[48, -1]", "48", "[a]"] for key in ("channels", "model.preference.channels")},
    "windows": OPTIONAL,
    "strength": [*NUMBER, "0", "-1"],
    "epochs": WHOLE,
    "batch_size": WHOLE,
    "lr": [*NUMBER, "0", "-1"],
    "weight_decay": [*NUMBER, "-0.1"],
    "checkpoint": OPTIONAL,
    "only": ["tails", "''", "[1]"],
    "widths": OPTIONAL,
    "distill.teacher": OPTIONAL,
    "distill.weight": SHARE,
    "distill.live": FLAG,
    "ewc.weight": [*NUMBER, "-1"],
    "ewc.sets": ["[]", "['']", "osie", "{a: 1}"],
    "ewc.fisher": ["observed", *TEXT],
    "ewc.photographs": WHOLE,
    "norm.every": WHOLE,
    "norm.photographs": WHOLE,
    "loader.batch_size": WHOLE,
    "loader.workers": ["-1", "2.5", "many"],
    "loader.weights": ["{osie: -0.5}", "{osie: .nan}", "{osie: .inf}", "{osie: much}", "{osie: 0}", "3"],
    "augment.flip": SHARE,
    "augment.crop": SHARE,
    "augment.min_scale": [*SHARE, "0", "2"],
    "augment.color": SHARE,
    "optim.backbone_lr": [*NUMBER, "-1"],
    "optim.readout_lr": [*NUMBER, "-1"],
    "optim.weight_decay": [*NUMBER, "-0.1"],
    "optim.warmup": SHARE,
    "trainer.ema_decay": [*SHARE, "1"],
    "trainer.accumulate_grad_batches": WHOLE,
    "trainer.gradient_clip_val": [*NUMBER, "-1"],
    "trainer.precision": ["double", *TEXT],
    "trainer.accelerator": ["abacus", *TEXT],
    "trainer.threads": WHOLE,
    "trainer.progress": FLAG,
    "trainer.logger": ["comet", "''", "[1]"],
    "trainer.max_epochs": WHOLE,
    "trainer.patience": ["-1", "2.5", "many"],
    "trainer.devices": ["0", "-1", "some", "[]", "[-1]", "1.5", "true", "null"],
    "trainer.strategy": ["luck", *TEXT],
    "pruner.method": ["channel", *TEXT],
    "pruner.granularity": ["channel", "[1]"],
    "pruner.signal": ["hunch", *TEXT],
    "pruner.decay": [*NUMBER, "0", "1.1"],
    "pruner.cost": ["gut", *TEXT],
    "pruner.beta": ["much", "[1]"],
    "pruner.exclude": ["3", "{a: 1}"],
    "pruner.multiple": WHOLE,
    "pruner.start": [*NUMBER, "0", "1"],
    "pruner.l0.penalty": ["joules", *TEXT],
    "pruner.l0.estimator": ["hunch", *TEXT],
    "pruner.l0.beta": [*NUMBER, "0", "1.1"],
    "pruner.l0.gamma": [*NUMBER, "0", "0.1"],
    "pruner.l0.zeta": [*NUMBER, "1", "-1.1"],
    "pruner.l0.start": [*NUMBER, "-2.4"],
    "pruner.l0.rate": [*NUMBER, "0", "-1"],
    "pruner.l0.rho": [*NUMBER, "0", "-1"],
    "pruner.l0.per_example": FLAG,
    "schedule.updates_per_removal": WHOLE,
    "schedule.maps_per_removal": WHOLE,
    "schedule.removals": WHOLE,
    "schedule.removals_per_surgery": WHOLE,
    "schedule.finetune_updates": ["-1", "2.5", "many"],
    "budget_ms": [*NUMBER, "0", "-1"],
    "budget": [*NUMBER, "0", "1", "1.5"],
    "longer_side": WHOLE,
    "engine": ["tensorrt", *TEXT],
    "threads": WHOLE,
    "size": ["[64]", "[0, 64]", "64", "[a, b]", "[1, 2, 3]"],
    "rounds": WHOLE,
    "latency": OPTIONAL,
    "network": OPTIONAL,
    "networks": ["-1", "2.5", "many"],
    "multiple": WHOLE,
    "maps": OPTIONAL,
    "split": ["holdout", *TEXT],
    "rank_by": ["beauty", *TEXT],
    "batch": WHOLE,
    "resamples": WHOLE,
    "views": WHOLE,
    "photos": OPTIONAL,
    "license": OPTIONAL,
    "half": FLAG,
    "int8": FLAG,
    "card.version": TEXT,
    "card.license": TEXT,
    "card.notices": ["3", "words"],
    "card.command": ["[1]", "null"],
    "card.log": ["[1]", "null"],
    "card.metrics": OPTIONAL,
    "card.left_out": ["3", "[1]"],
    "seed": ["-1", "2.5", "any"],
    "out": ["{a: 1}", "[1]"],
    "export": [*OPTIONAL, "''"],
    "overwrite": FLAG,
    "resume": FLAG,
}
"""Of each setting, whatever the verb: what it may not be."""


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_refuses_what_it_may_not_be_and_says_so(verb):
    _, schema, overrides = VERBS[verb]
    good, wrong = composed(verb, *overrides), []
    for key, text in [(name, bad) for name in keys(schema) for bad in BAD[name]]:
        config, value = copy.deepcopy(good), yaml.safe_load(text)
        if key == "budget_ms":
            config.budget = None
        OmegaConf.update(config, key, value, merge=False, force_add=True)
        try:
            validate(config, schema)
            message = "is taken"
        except ConfigError as error:
            message = str(error)
        if not re.match(rf"{re.escape(key)}\b.*expected", message) or came(value) not in message or "\n" in message:
            wrong.append(f"{key}={text}: {message}")
    assert wrong == []


def came(value: Any) -> str:
    """What a message has to hold of a bad value: its innermost part, as an error may name that alone."""
    while isinstance(value, (dict, list)) and value:
        value = next(iter(value.values() if isinstance(value, dict) else value))
    if isinstance(value, (dict, list)):
        return "got"
    return {"None": "null", "True": "true"}.get(str(value), str(value))


def test_no_row_is_of_a_setting_that_is_gone():
    assert set(BAD) == {key for _, schema, _ in VERBS.values() for key in keys(schema)}


@pytest.mark.parametrize("verb", OF_DATA)
def test_no_set_at_all_is_refused(verb):
    _, schema, overrides = VERBS[verb]
    config = composed(verb, *overrides)
    config.sets = {}
    with pytest.raises(ConfigError, match=r"^data: .*(one set|got none)"):
        validate(config, schema)


@pytest.mark.parametrize(
    ("verb", "wrong", "message"),
    [
        ("train", "optim.backbone_lr=-1", "optim.backbone_lr: expected at least 0, got -1"),
        ("train", "loader.weights={osie: -0.5}", "loader.weights.osie: expected at least 0, got -0.5"),
        ("train", "loader.batch_size=0", "loader.batch_size: expected at least 1, got 0"),
        ("train", "augment.min_scale=2", "augment.min_scale: expected above 0, at most 1, got 2"),
        ("teach", "augment.min_scale=nan", "augment.min_scale: expected above 0, at most 1, got nan"),
        ("train", "model.backbone.weights=null", r"model.backbone.weights: expected .*none \(random\).*, got null"),
        ("train", "model=mobilgaze", "model: expected one of .*mobilegaze.*, got 'mobilgaze'"),
        ("train", "trainer.max_epoch=3", "trainer.max_epoch: unknown key; expected one of .*max_epochs"),
        ("train", "+trainer.max_epoch=3", "trainer.max_epoch: unknown key; expected one of .*max_epochs"),
        ("train", "trainer={max_epochs: many}", "trainer.max_epochs: expected a whole number, got 'many'"),
        ("train", "ewc.weight=2", "ewc.weight=2: expected checkpoint=PATH of the network to hold, got none"),
        ("prune", "optim.warmup=0.1", "optim.warmup: unknown key; expected one of backbone_lr"),
        ("prune", "trainer.devices=2", "trainer.devices: unknown key; expected one of ema_decay"),
        ("evaluate", "split=[", ".*mismatched input|.*no viable alternative|.*extraneous"),
    ],
)
def test_the_command_says_it_in_one_line_and_exits_with_2(verb, wrong, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(verb, monkeypatch, capsys, *VERBS[verb][2], wrong)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.match(f"gaze.{verb}: {message}", err), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", OF_DATA)
@pytest.mark.parametrize("wrong", [[], ["data=oise"]])
def test_without_a_set_or_with_an_unknown_one_the_choices_are_listed(verb, wrong, monkeypatch, capsys):
    code, out, err = command(verb, monkeypatch, capsys, *wrong)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"gaze.{verb}: data: ")
    assert ", ".join(choices("data")) in err
    assert "osie" in choices("data")


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_every_setting_and_what_can_be_chosen(verb, monkeypatch, capsys):
    _, schema, overrides = VERBS[verb]
    code, out, err = command(verb, monkeypatch, capsys, "--help")
    assert (code, err) == (0, "")
    lines = [line.strip().partition("=")[0] for line in out.splitlines()]
    for key in keys(schema):
        shown = {key.replace(".osie.", ".NAME."), key.split(".")[0], key.rpartition(".")[0]}  # of what is null, itself
        assert shown & set(lines), key
    for group in {"data", "model", "pruner", "card", "experiment"} & {line.partition(":")[0] for line in lines}:
        assert f"  {group}: {', '.join(choices(group, verb))}\n" in out
    assert f"python -m gaze.{verb}" in out
    _, _, told = out.partition("KEY=VALUE:\n")
    settings, _, options = told.partition("\n\n")
    for rows in (settings.splitlines(), options.splitlines()[1:]):
        for row, words in zip(rows[::2], rows[1::2], strict=True):
            assert re.fullmatch(r"  [^ ].*", row)
            assert re.fullmatch(r"      [^ ].*[.)]", words), row
    code, out, _ = command(verb, monkeypatch, capsys, *overrides, "--help")
    assert code == 0
    assert ("sets.osie.store=data/osie.h5" in out) == (verb in OF_DATA)


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("option", ["--help", "--cfg"])
def test_help_and_hydra_s_own_options_from_the_command_line(option):
    result = run("gaze.train", option, *["job"] * (option == "--cfg"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "max_epochs" in result.stdout


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of somebody's own settings: a model, and an experiment that chooses it."""
    for name, text in {
        "model/wide.yaml": "defaults: [mobilegaze]\nname: wide\nreadout: {reduce: 48}\n",
        "experiment/mine.yaml": "# @package _global_\ndefaults: [{override /model: wide}]\nseed: 7\n",
    }.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True)
        (tmp_path / "mine" / name).write_text(text)
    return tmp_path / "mine"


def test_files_of_one_s_own_stand_beside_those_of_gaze(mine, monkeypatch, capsys):
    options = ["--config-dir", str(mine), "--cfg", "job"]
    code, out, err = command("train", monkeypatch, capsys, *options, "experiment=mine", "data=osie")
    assert (code, err) == (0, "")
    config = validate(OmegaConf.create(out), TrainConfig)
    assert (config.model.name, config.model.readout.reduce, config.seed) == ("wide", 48, 7)
    assert config.out == Path("runs/wide")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-dir", "MINE", "model=wdie"], "model: expected one of .*mobilegaze.*, wide, got 'wdie'"),
        (["--config-dir", "NOWHERE"], "Additional config directory .*NOWHERE' not found"),
        (["--config-dir", "MINE", "model=wide", "trainer.max_epoch=3"], "trainer.max_epoch: unknown key; expected one"),
        (["-m", "trainer.max_epoch=3,4"], "trainer.max_epoch: unknown key; expected one of .*max_epochs"),
        (["-m", "trainer.max_epochs=0,1"], "trainer.max_epochs: expected at least 1, got 0"),
        (["-m", "distill.weight=0.1,0.2"], "distill.weight: has no effect, as no distill.teacher is named"),
        (["--cfg", "job", "optim.warmpu=1"], "optim.warmpu: unknown key; expected one of .*warmup"),
    ],
)
def test_what_goes_through_hydra_is_one_line_and_exit_code_2_too(
    arguments, message, mine, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    arguments = [str(mine) if each == "MINE" else each for each in arguments]
    code, out, err = command("train", monkeypatch, capsys, *arguments, "data=osie")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.match(f"gaze.train: {message}", err), err
    assert "HYDRA_FULL_ERROR" not in os.environ


IDLE = [
    ("train", ["distill.weight=0.3"], "no distill.teacher is named"),
    ("train", ["distill={weight: 0.3}"], "no distill.teacher is named"),
    ("train", ["distill.teacher=a.ckpt", "distill.weight=0"], "distill.weight is 0"),
    ("train", ["distill.live=true"], "no distill.teacher is named"),
    ("train", ["checkpoint=a.ckpt", "model.backbone.weights=none"], "checkpoint=a.ckpt brings its own"),
    ("train", ["checkpoint=a.ckpt", "widths=b.ckpt"], "checkpoint=a.ckpt brings its own"),
    ("train", ["augment.crop=0", "augment.min_scale=0.5"], "augment.crop is 0"),
    ("train", ["sets.osie.sigma_pixels=30"], "gaze.prepare settled it"),
    ("train", ["ewc.fisher=empirical"], "ewc.weight is 0"),
    ("train", ["checkpoint=a.ckpt", "ewc.weight=1", "ewc.fisher=uniform", "ewc.sets=[osie]"], "ewc.fisher=uniform"),
    ("train", ["norm.photographs=9"], "norm.every is null"),
    ("prune", ["norm.photographs=9"], "norm.every is null"),
    ("teach", ["augment.crop=0", "augment.min_scale=0.5"], "augment.crop is 0"),
    ("teach", ["sets.osie.reader=folder"], "gaze.prepare settled it"),
    ("teach", ["license=CC0"], "no photos are named"),
    ("evaluate", ["sets.osie.drop_first=false"], "gaze.prepare settled it"),
    ("prepare", ["out=a.h5", "sets.osie.store=b.h5"], "out=a.h5 names the store"),
    ("prune", ["pruner=weights", "engine=torch-cpu"], "pruner.method=weights prunes single weights"),
    ("prune", ["pruner=weights", "pruner.signal=taylor"], "pruner.method=weights prunes single weights"),
    ("prune", ["pruner=magnitude", "pruner.decay=0.9"], "pruner.signal=magnitude reads no updates"),
    ("prune", ["pruner.signal=random", "pruner={decay: 0.9}"], "pruner.signal=random reads no updates"),
    ("prune", ["pruner.start=0.5"], "only pruner=grow begins with a share of the maps"),
    ("prune", ["pruner=weights", "pruner.start=0.5"], "pruner.method=weights prunes single weights"),
    ("prune", ["pruner=grow", "pruner.beta=1"], "pruner.method=grow removes nothing by and by"),
    ("prune", ["pruner=grow", "pruner.signal=taylor"], "pruner.start is null"),
    ("prune", ["schedule.maps_per_removal=1", "schedule.removals=9"], "schedule.maps_per_removal says"),
    ("prune", ["distill.weight=0", "distill.teacher=a.ckpt"], "distill.weight is 0"),
    ("latency", ["networks=0", "rounds=20"], "networks is 0"),
    ("export", ["int8=true", "half=false"], "int8=true stores weights as integers"),
]


@pytest.mark.parametrize(("verb", "overrides", "why"), IDLE)
def test_an_option_without_effect_is_refused(verb, overrides, why, monkeypatch, capsys):
    code, _, err = command(verb, monkeypatch, capsys, *VERBS[verb][2], *overrides)
    assert (code, err.count("\n")) == (2, 1)
    assert f"has no effect, as {why}" in err


SET = (
    "+sets.taught2={name: taught2, reader: folder, store: data/taught2.h5, license: MIT, source: gaze.teach, "
    "drop_first: false, sigma_degrees: null, sigma_pixels: 4.0, pixels_per_degree: null}"
)
RECIPES = [
    ("train", ["data=eyecrowd", "checkpoint=a.ckpt", "ewc.weight=1", "ewc.sets=[osie,b.h5]", "norm.every=50"]),
    ("train", ["experiment=gaze", "model.backbone.weights=a.safetensors"]),
    ("train", ["model=mobilegaze", "data=[osie,eyecrowd,scene500]", "checkpoint=a.ckpt", "model.input.longer_side=192",
               "model.backbone.activation=relu", "distill.teacher=b.ckpt", "distill.weight=0.6", "trainer.threads=1",
               "optim.backbone_lr=1e-3", "augment.min_scale=0.7", "trainer.ema_decay=0.998"]),
    ("train", ["data=[osie,taught]", SET, "loader.weights={taught: 0.1, taught2: 0.1}", "loader.batch_size=16",
               "checkpoint=a.ckpt", "model.backbone.skip=['*.se','blocks.5.[1-7]']", "trainer.devices=2",
               "trainer.strategy=ddp", "optim.warmup=0.05"]),
    ("prune", ["data=[osie,taught]", SET, "checkpoint=a.ckpt", "longer_side=256", "budget=0.69", "pruner.multiple=8",
               "rounds=15", "distill.weight=0", "trainer.threads=1", "schedule={updates_per_removal: 10, "
               "maps_per_removal: null, removals: 16, removals_per_surgery: 4, finetune_updates: 20}"]),
    ("prune", ["data=osie", "checkpoint=a.ckpt", "budget=0.5", "distill=theis2018",
               "distill.teacher=[b.ckpt,quality]"]),
    ("prune", ["data=osie", "checkpoint=a.ckpt", "budget=0.5", "pruner=grow", "pruner.start=0.25",
               "pruner.signal=magnitude", "pruner.multiple=8", "schedule.removals=20"]),
    ("train", ["data=osie", "model=mobileonegaze", "widths=pruned.ckpt", "seed=2"]),
    ("prefer", ["data=[osie,eyecrowd]", "checkpoint=a.ckpt", "windows=b.csv", "longer_side=288", "out=c.ckpt",
                "reduce=16", "channels=[24,8]"]),
    ("teach", ["data=[osie,eyecrowd]", "network=quality", "views=11", "seed=2", "out=data/taught2.h5"]),
    ("teach", ["photos=FOLDER", "license=CC BY 4.0", "network=[quality,runs/dense/best.ckpt]", "out=data/photos.h5"]),
    ("evaluate", ["network=[quality,a.ckpt]", "data=osie", "out=evaluation_mean"]),
    ("prepare", ["data=osie", "data.root=a", "data.splits=b.json", "out=c.h5"]),
    ("latency", ["model=densegaze169", "multiple=8", "engine=torch-cpu", "threads=2"]),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "overrides"), RECIPES)
def test_documented_commands_are_taken(verb, overrides):
    _refuse_idle(validate(composed(verb, *overrides), VERBS[verb][1]), overrides)


def test_a_failure_exits_with_1_and_one_line(tmp_path):
    result = run("gaze.train", "data=osie", "sets.osie.store=nowhere.h5", f"out={tmp_path / 'run'}")
    assert result.returncode == 1
    assert result.stderr == "gaze.train: nowhere.h5: no such store; make it with python -m gaze.prepare\n"


@pytest.fixture
def _teach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["teach", "data=osie", "hydra.run.dir=.", "hydra.output_subdir=null"])


@pytest.mark.usefixtures("_teach")
def test_a_verb_says_nothing_of_damaged_metadata_or_of_the_exporters_age():
    def run(config: TeachConfig) -> None:
        decode(stored(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 20))
        warnings.warn("You are using the legacy TorchScript-based ONNX export.", DeprecationWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="heard"):
            warnings.warn("heard", stacklevel=1)
        done.append(config)

    done: list[TeachConfig] = []
    as_verb("teach", TeachConfig)(run)()
    assert len(done) == 1


class Damaged(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        raise DataError("001.jpg: not an image")


@pytest.mark.usefixtures("_teach")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_error_of_a_loader_s_process_is_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        as_verb("teach", TeachConfig)(lambda config: list(DataLoader(Damaged(), num_workers=1)))()
    assert stop.value.code == 1
    assert capsys.readouterr().err == "gaze.teach: 001.jpg: not an image\n"


@pytest.mark.usefixtures("_teach")
def test_what_cannot_be_written_exits_with_1_and_one_line(capsys: pytest.CaptureFixture[str]):
    def run(config: TeachConfig) -> None:
        raise OutputError.of(Path("a\nb"), OSError(28, "No space left on device"))

    with pytest.raises(SystemExit) as stop:
        as_verb("teach", TeachConfig)(run)()
    assert stop.value.code == 1
    assert capsys.readouterr().err == "gaze.teach: a\\nb: cannot be written (No space left on device)\n"
