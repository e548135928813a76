"""Every verb's configuration composes, and what is wrong with one is said by name."""

import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from pictures import corners, stored

from gaze.config import validate, verb
from gaze.errors import ConfigError, OutputError
from gaze.evaluate import EvaluateConfig
from gaze.images import decode
from gaze.models.config import ExportConfig
from gaze.prepare import PrepareConfig
from gaze.teach import TeachConfig
from gaze.training.config import TrainConfig

VERBS = {
    "prepare": (PrepareConfig, ["data=osie", "data.root=somewhere"]),
    "train": (TrainConfig, ["data=[osie,eyecrowd]"]),
    "teach": (TeachConfig, ["data=[osie,eyecrowd]"]),
    "evaluate": (EvaluateConfig, ["data=osie"]),
    "export": (ExportConfig, ["checkpoint=a.ckpt", "out=a.onnx", "photos=folder"]),
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_values_in_yaml_fit_the_schema(verb):
    schema, overrides = VERBS[verb]
    with initialize_config_module("gaze.conf", version_base="1.3"):
        assert isinstance(validate(compose(verb, overrides), schema), schema)


def test_several_sets_are_trained_together():
    with initialize_config_module("gaze.conf", version_base="1.3"):
        config = validate(compose("train", ["data=[osie,eyecrowd,scene500]"]), TrainConfig)
    assert list(config.sets) == ["osie", "eyecrowd", "scene500"]


@dataclass
class Inner:
    rate: float


@dataclass
class Outer:
    inner: Inner
    count: int


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"rate": 1.0, "rat": 2.0}, "count": 1}, r"inner\.rat: unknown key; expected one of rate"),
        (
            {"inner": {"rate": 1.0}, "count": 1, "cuont": 1},
            "cuont: unknown key; expected one of inner, count",
        ),
        ({"inner": {"rate": "fast"}, "count": 1}, r"inner\.rate: .*fast"),
        ({"inner": {"rate": 1.0}, "count": "???"}, "count: a value is required"),
    ],
)
def test_a_wrong_key_type_or_gap_is_one_line_that_names_it(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        validate(OmegaConf.create(values), Outer)
    assert "\n" not in str(caught.value)


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("wrong", ["trainer.max_epoch=3", "+trainer.max_epoch=3", "trainer.max_epochs=many"])
def test_from_the_command_line_it_exits_with_2_and_names_the_key(wrong, tmp_path):
    result = run("gaze.train", "data=osie", wrong, f"out={tmp_path / 'run'}")
    assert result.returncode == 2
    assert "trainer.max_epoch" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_failure_exits_with_1_and_one_line(tmp_path):
    result = run("gaze.train", "data=osie", "sets.osie.store=nowhere.h5", f"out={tmp_path / 'run'}")
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("gaze.train: nowhere.h5: no such store")]
    assert "Traceback" not in result.stderr


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
    verb("teach", TeachConfig)(run)()
    assert len(done) == 1


@pytest.mark.usefixtures("_teach")
def test_what_cannot_be_written_exits_with_1_and_one_line(capsys: pytest.CaptureFixture[str]):
    def run(config: TeachConfig) -> None:
        raise OutputError.of(Path("a\nb"), OSError(28, "No space left on device"))

    with pytest.raises(SystemExit) as stop:
        verb("teach", TeachConfig)(run)()
    assert stop.value.code == 1
    assert capsys.readouterr().err == "gaze.teach: a\\nb: cannot be written (No space left on device)\n"
