"""The whole verb on a small network: called, and wrong settings from the command line."""

import json
import sys

import pytest
from PIL import Image

from gaze.errors import ConfigError, OutputError
from gaze.latency import latency, main
from gaze.models.config import BackboneConfig, FinalizerConfig, InputConfig, ModelConfig, ReadoutConfig
from gaze.training.latency_config import LatencyConfig

MODEL = ModelConfig(
    "small",
    InputConfig(64, 16),
    BackboneConfig("lcnet_035", [1, 2], "none", False, None, []),
    ReadoutConfig(8, [4, 1]),
    FinalizerConfig(1.0, [3, 4]),
)


def config(out, **changes) -> LatencyConfig:
    values = {
        "network": None,
        "model": MODEL,
        "engine": "torch-cpu",
        "threads": 1,
        "size": [64, 48],
        "networks": 2,
        "multiple": 4,
        "rounds": 15,
        "seed": 1,
        "out": out,
        "overwrite": False,
    }
    return LatencyConfig(**{**values, **changes})


def test_measures_prints_and_writes_table_errors_and_picture(tmp_path, capsys, monkeypatch):
    for name, little in (("PASSES", 1), ("ROUNDS", 2), ("MILLISECONDS", 0.0), ("SHARES", ((0.0, 1.0), (0.0, 1.0)))):
        monkeypatch.setattr(f"gaze.pruning.cost.latency_table.{name}", little)
    latency(config(tmp_path / "out"))
    printed = capsys.readouterr().out
    assert "torch-cpu (torch " in printed
    assert "noise floor" in printed
    assert "| operators | number | ms | share |" in printed
    assert "2 pruned networks" in printed
    stored = json.loads((tmp_path / "out/validation.json").read_text())
    assert set(stored["predicted"]) == {"table", "quadratic", "macs"}
    assert len(stored["measured"]) == 2
    assert "| table |" in (tmp_path / "out/validation.md").read_text()
    with Image.open(tmp_path / "out/predicted.png") as picture:
        assert picture.width > 500
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    latency(config(tmp_path / "out", networks=0))
    with pytest.raises(ConfigError, match=r"^out: \S*validation\.md exists already; give another out, or overwrite="):
        latency(config(tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"^out=\S*latency\.json: measured for another size; expected a table "):
        latency(config(tmp_path / "out", networks=0, size=[48, 64]))
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    latency(config(tmp_path / "out", networks=0, size=[48, 64], overwrite=True))
    assert json.loads((tmp_path / "out/latency.json").read_text())["facts"]["size"] == [48, 64]


def test_a_folder_that_cannot_be_made_is_one_line_before_anything_is_measured(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/out: cannot be written \(Not a directory\)$"):
        latency(config(tmp_path / "file" / "out"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "network: give either"),
        ({"engine": "tensorrt"}, "engine: expected one of onnxruntime, torch-cpu, torch-cuda, got 'tensorrt'"),
        ({"network": "best.ckpt"}, "network: give either .* got both"),
        ({"size": [64]}, r"size: expected \[width, height\], for example .* got \[64\]"),
        ({"size": [64, 0]}, r"size: expected \[width, height\], .*got \[64, 0\]"),
        ({"threads": 0}, "threads: expected at least 1, got 0"),
        ({"networks": -1}, "networks: expected at least 0, got -1"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"size": [64, 40]}, "expected multiples of 16"),
        ({"multiple": 0}, "multiple: expected at least 1, got 0"),
        ({"rounds": 3}, "rounds: expected at least 15, got 3"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        latency(config(tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_the_command_line_composes_an_architecture(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["latency", "model=mobileonegaze", "engine=tensorrt", f"out={tmp_path / 'out'}"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "gaze.latency: engine: expected one of" in capsys.readouterr().err
