"""The whole verb on a small set: called, and from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import gaze
from gaze.data.config import DataSetConfig
from gaze.data.store import FixationStore, photograph
from gaze.errors import ConfigError, DataError, OutputError
from gaze.evaluate import EvaluateConfig, evaluate, main
from gaze.evaluation.scores import METRICS


def a_set(store: Path, name: str = "small") -> DataSetConfig:
    return DataSetConfig(name, "folder", str(store), "MIT", "drawn", True, None, 4.0, None)


def config(store: Path, out: Path, **changes) -> EvaluateConfig:
    values = {
        "sets": {"small": a_set(store)},
        "network": None,
        "maps": None,
        "split": "test",
        "out": out,
        "export": None,
        "overwrite": False,
        "rank_by": "information_gain",
        "batch": 3,
        "resamples": 50,
        "seed": 1,
    }
    return EvaluateConfig(**{**values, **changes})


def test_a_folder_that_cannot_be_made_is_one_line(small_store, bright_model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"^\S*/file/\S*: cannot be written \(File exists\)$"):
        evaluate(config(small_store, tmp_path / "file", network=str(bright_model)))


def test_an_ensemble_is_scored_as_one(small_store, bright_model, tmp_path, capsys):
    evaluate(config(small_store, tmp_path / "out", network=[str(bright_model), "fast"]))
    content = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert content["model"]["title"] == "mean of 2 networks"
    assert [network["name"] for network in content["model"]["networks"]] == ["bright", "fast"]
    assert "mean of 2 networks" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"^network: expected a network or a list of networks, or null, got \[\]$"):
        evaluate(config(small_store, tmp_path / "none", network=[]))


def test_writes_a_table_json_markdown_and_a_picture_for_each_set(small_store, bright_model, tmp_path, capsys):
    sets = {name: a_set(small_store, name) for name in ("first", "second")}
    evaluate(config(small_store, tmp_path / "out", sets=sets, network=str(bright_model)))
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "out/evaluation.json").read_text())
    markdown = (tmp_path / "out/evaluation.md").read_text()
    assert list(content["sets"]) == ["first", "second"]
    assert content["model"]["name"] == "bright"
    for name, scores in content["sets"].items():
        assert f"{name}, test: 4 images, 48 fixations" in printed
        assert f"### {name}, test: 4 images, 48 fixations" in markdown
        assert list(scores["per_image"]) == ["007.png", "008.png", "009.png", "010.png"]
        model, center_bias = scores["scores"]["model"], scores["scores"]["center_bias"]
        assert model["auc"]["mean"] > center_bias["auc"]["mean"] > 0.5  # the spots are bright, and looked at
        shown = f"{model['auc']['mean']:.3f}"
        assert shown in printed
        assert shown in markdown
        with Image.open(tmp_path / f"out/{name}.png") as picture:
            assert picture.width > 600


def test_the_same_seed_gives_the_same_file(small_store, bright_model, tmp_path, capsys):
    files = []
    for out in ("a", "b"):
        evaluate(config(small_store, tmp_path / out, network=str(bright_model)))
        files.append((tmp_path / out / "evaluation.json").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["evaluation.json", "evaluation.md", "small.png"])
def test_results_that_are_there_are_replaced_only_where_that_is_asked_for(small_store, bright_model, tmp_path, name):
    (tmp_path / "other.png").touch()  # of another set
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=rf"^out: \S*{name} exists already; give another out, or overwrite=true$"):
        evaluate(config(tmp_path / "nowhere.h5", tmp_path, network=str(bright_model)))
    assert (tmp_path / name).read_text() == "mine"
    evaluate(config(small_store, tmp_path, network=str(bright_model), overwrite=True))
    assert (tmp_path / name).read_bytes() != b"mine"


def test_maps_of_the_truth_are_hard_to_beat(small_store, tmp_path, capsys):
    from gaze.data.densities import fixation_density
    from gaze.geometry import Size

    store = FixationStore(small_store)
    for index in store.indices("test"):
        stimulus = store[int(index)]
        truth = fixation_density(stimulus.fixations, Size(stimulus.width, stimulus.height), 4.0)
        np.save((tmp_path / stimulus.name).with_suffix(".npy"), truth)
    scores, summary = evaluate(config(small_store, tmp_path / "out", maps=str(tmp_path), rank_by="nss"))["small"]
    model = summary["model"]
    assert model["cc"].mean == pytest.approx(1, abs=1e-5)
    assert model["sim"].mean == pytest.approx(1, abs=1e-5)
    assert model["kl"].mean == pytest.approx(0, abs=1e-5)
    assert model["nss"].mean > summary["inter_observer"]["nss"].mean
    assert np.isnan(scores.values["model"]["information_gain"]).all()


def exported(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: dataset[:] for name, dataset in file.items()}


def test_the_export_holds_what_is_scored(small_store, bright_model, tmp_path, capsys):
    plain = config(small_store, tmp_path / "plain", network=str(bright_model))
    evaluate(plain)
    evaluate(config(small_store, tmp_path / "out", network=str(bright_model), export=tmp_path / "new/densities.h5"))
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'out'}, log densities to {tmp_path / 'new/densities.h5'}\n")
    assert (tmp_path / "out/evaluation.json").read_bytes() == (tmp_path / "plain/evaluation.json").read_bytes()
    maps, store = exported(tmp_path / "new/densities.h5"), FixationStore(small_store)
    assert list(maps) == [store.names[index] for index in store.indices("test")]
    predictor = gaze.Predictor(bright_model)
    for index in store.indices("test"):
        stimulus = store[int(index)]
        assert maps[stimulus.name].dtype == np.float32
        assert np.array_equal(maps[stimulus.name], predictor.log_density(photograph(stimulus)))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["densities.h5"]


def test_an_export_that_is_there_is_replaced_only_where_that_is_asked_for(small_store, bright_model, tmp_path):
    export = tmp_path / "densities.h5"
    export.write_text("mine")
    settings = {"network": str(bright_model), "export": export}
    with pytest.raises(ConfigError, match=r"^export: \S*densities.h5 exists already; give another export, or overwrit"):
        evaluate(config(tmp_path / "nowhere.h5", tmp_path / "out", **settings))
    assert export.read_text() == "mine"
    evaluate(config(small_store, tmp_path / "out", **settings, overwrite=True))
    assert len(exported(export)) == 4


def test_an_export_that_fails_leaves_nothing_and_what_was_there(make_store, bright_model, tmp_path):
    broken = make_store()
    with h5py.File(broken, "r+") as file:
        file["images"][-1] = np.zeros(9, np.uint8)  # the last photograph of the split: three are written by then
    export = tmp_path / "densities.h5"
    export.write_text("mine")
    settings = {"network": str(bright_model), "export": export, "overwrite": True, "batch": 1}
    with pytest.raises(DataError, match=r"^010\.png: "):
        evaluate(config(broken, tmp_path / "out", **settings))
    assert export.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["densities.h5"]


def test_an_export_never_takes_the_place_of_what_is_read_or_written_beside_it(small_store, bright_model, tmp_path):
    link = tmp_path / "link.h5"
    link.symlink_to(small_store)
    for export in (small_store, link, tmp_path / "evaluation.json", tmp_path / "small.png"):
        settings = {"network": str(bright_model), "export": export, "overwrite": True}
        with pytest.raises(
            ConfigError, match=r"^export: expected a file of its own, got \S*, which is read or written"
        ):
            evaluate(config(small_store, tmp_path, **settings))
    assert FixationStore(small_store).attributes.name == "small"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank_by": "beauty"}, f"rank_by: expected one of {', '.join(METRICS)}, got 'beauty'"),
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"resamples": 0}, "resamples: expected at least 1, got 0"),
        ({"sets": {}}, "data: expected one set at least"),
        ({"maps": ".", "sets": {"a": None, "b": None}}, "maps: score one set at a time"),
        ({"export": Path("a.h5"), "sets": {"a": None, "b": None}}, "export: score one set at a time"),
        ({"maps": ".", "export": Path("a.h5")}, "^maps, export: give one of the two"),
        ({"export": Path("")}, r"^export: expected an HDF5 file or null, got '\.'$"),
    ],
)
def test_a_wrong_setting_is_named(small_store, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(config(small_store, tmp_path, **changes))


def test_a_split_that_does_not_exist(small_store, bright_model, tmp_path):
    with pytest.raises(ConfigError, match="split: expected one of train, val, test, got 'holdout'"):
        evaluate(config(small_store, tmp_path, network=str(bright_model), split="holdout"))


def test_command_line(small_store, bright_model, tmp_path):
    arguments = ["data=osie", f"sets.osie.store={small_store}", f"network={bright_model}", "out=here"]
    environment = {**os.environ, "PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "gaze.evaluate", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "osie, test: 4 images" in done.stdout
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"here/evaluation.json", "here/evaluation.md", "here/osie.png"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("data=osie", "rank_by=beauty"), 2, "gaze.evaluate: rank_by: expected one of auc"),
        (("data=osie", "batch=many"), 2, "gaze.evaluate: batch: "),
        (("data=osie", "maps=nowhere"), 1, "gaze.evaluate: maps=nowhere: no such folder"),
    ],
)
def test_command_line_says_in_one_line_what_is_wrong(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gaze.evaluate", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    assert stopped.value.code == code
    assert printed.err.startswith(message)
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_or_store_is_one_line_and_exit_code_1(tmp_path, bright_model, monkeypatch, capsys):
    for name in ("broken.ckpt", "broken.h5"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    for network in (tmp_path / "broken.ckpt", bright_model):
        given = ["data=osie", f"sets.osie.store={tmp_path / 'broken.h5'}", f"network={network}", f"out={tmp_path}"]
        monkeypatch.setattr(sys, "argv", ["gaze.evaluate", *given])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        printed = capsys.readouterr()
        broken = "broken.h5" if network == bright_model else "broken.ckpt"
        assert printed.err.startswith(f"gaze.evaluate: {tmp_path / broken}: not a ")
        assert (printed.out, printed.err.count("\n")) == ("", 1)
