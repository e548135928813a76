"""The overlays in `gaze/conf/experiment`: one command a step of how each shipped model was made."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import gaze
from gaze import export, prefer, prune, teach, train
from gaze.config import _refuse_idle, choices, validate
from gaze.models.config import ExportConfig
from gaze.teach import TeachConfig
from gaze.training.config import PruneConfig, TrainConfig
from gaze.training.preference_config import PreferConfig

FOLDER = Path(gaze.__file__).parent / "conf" / "experiment"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
VERBS: dict[str, tuple[Any, type, list[str]]] = {
    "train": (train, TrainConfig, []),
    "prune": (prune, PruneConfig, []),
    "teach": (teach, TeachConfig, []),
    "prefer": (prefer, PreferConfig, []),
    "export": (export, ExportConfig, ["photos=somewhere"]),
}
LEAVES = {"train": ("best.ckpt", "last.ckpt"), "prune": ("pruned.ckpt", "last.ckpt", "removals.csv")}
"""What a verb leaves in `out`; of the others `out` is the file."""


ASKED = {"heads": ["checkpoint=any.ckpt"]}
"""What an overlay leaves to the user."""


def verb_of(name: str) -> str:
    """The verb whose command stands at the top of an overlay, which names the overlay itself."""
    found = re.findall(
        r"^#.*python -m gaze\.(\w+) experiment=(\w+)", (FOLDER / f"{name}.yaml").read_text(), re.MULTILINE
    )
    assert [stem for _, stem in found] == [name]
    return found[0][0]


def settings(name: str) -> Any:
    """An overlay as its verb takes it."""
    _, schema, more = VERBS[verb_of(name)]
    more = [*more, *ASKED.get(name, [])]
    with initialize_config_module("gaze.conf", version_base="1.3"):
        return validate(compose(verb_of(name), [f"experiment={name}", *more]), schema)


def composed(name: str) -> tuple[str, set[str]] | None:
    """The checkpoint that a script makes for a step of files of others, and those; its command stands at the top."""
    found = re.search(
        r"^# `tests/benchmarks/checkpoint_of_(?:mean|removals)\.py (\S+) (.+?)(?: \d+)?`",
        (FOLDER / f"{name}.yaml").read_text(),
        re.M,
    )
    return (found[1], set(found[2].split())) if found else None


def made_by(name: str) -> set[str]:
    """The files that a step leaves, of those that another may read."""
    out = str(settings(name).out)
    return {f"{out}/{file}" for file in LEAVES[verb_of(name)]} if verb_of(name) in LEAVES else {out}


def read_by(name: str) -> set[str]:
    """The checkpoints and taught stores that a step reads."""
    config = settings(name)
    checkpoints = [
        getattr(config, "checkpoint", None),
        *(config.distill.teachers if hasattr(config, "distill") else []),
        *getattr(config, "networks", []),
    ]
    stores = [entry.store for entry in getattr(config, "sets", {}).values() if entry.name.startswith("taught")]
    asked = {setting.split("=")[1] for setting in ASKED.get(name, [])}
    made, members = composed(name) or ("", set())
    assert made in ("", *map(str, checkpoints))
    return ({str(each) for each in [*checkpoints, *stores] if each is not None} - asked - {made}) | members


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_fits_its_verb_and_sets_nothing_that_idles(name):
    content = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    del content["defaults"]
    _refuse_idle(settings(name), [f"{key}={_text(value)}" for key, value in content.items()])


def _text(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return "null" if value is None else f"'{value}'"


def test_every_step_reads_what_another_leaves_and_none_overwrites_another_s():
    made = [file for name in NAMES for file in sorted(made_by(name))]
    assert len(made) == len(set(made))
    missing = {name: sorted(read_by(name) - set(made)) for name in NAMES}
    assert {name: files for name, files in missing.items() if files} == {}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_offers_its_own_experiments_and_refuses_the_others(verb, monkeypatch, capsys):
    own = choices("experiment", verb)
    assert own == [name for name in NAMES if verb_of(name) == verb] != []
    for other in [name for name in NAMES if name not in own] + ["none_such", "[a,b]"]:
        monkeypatch.setattr(sys, "argv", [f"gaze.{verb}", f"experiment={other}"])
        with pytest.raises(SystemExit) as stop:
            VERBS[verb][0].main()
        assert stop.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith(f"gaze.{verb}: experiment: expected one of {', '.join(own)}, got ")
        assert err.count("\n") == 1


def test_an_overlay_can_be_changed_on_the_command_line():
    with initialize_config_module("gaze.conf", version_base="1.3"):
        pruned = compose("prune", ["experiment=fast_5_prune", "data=osie", "budget=0.5", "pruner=fisher_macs"])
        taught = compose("teach", ["experiment=quality_3_teach", "views=3", "data=osie"])
        exported = compose("export", ["experiment=fast_export", "card.version=9.9.9", "photos=a"])
    assert (list(pruned.sets), pruned.budget, pruned.pruner.cost, pruned.pruner.multiple) == (["osie"], 0.5, "macs", 16)
    assert (list(taught.sets), taught.views, taught.seed) == (["osie"], 3, 1)
    assert (exported.card.version, exported.out) == ("9.9.9", "bundles/fast.onnx")
