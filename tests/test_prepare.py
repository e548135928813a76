import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_module
from PIL import Image

from gaze.config import validate
from gaze.data.config import DataSetConfig
from gaze.data.readers import READERS
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, DataError
from gaze.prepare import DataConfig, PrepareConfig, prepare

SETS = ["cat2000", "eyecrowd", "folder", "mit1003", "osie", "salicon", "scene500", "taught"]
ROWS = "image,subject,order,x,y,duration_ms\n"


def settings(*arguments: str) -> PrepareConfig:
    with initialize_config_module("gaze.conf", version_base="1.3"):
        return validate(compose("prepare", list(arguments)), PrepareConfig)


@pytest.fixture
def root(tmp_path) -> Path:
    """Four images of 40 x 30, each with a viewing of three fixations by two subjects."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    rows = [ROWS]
    for index in range(4):
        values = np.random.default_rng(index).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), values)
        rows += [f"{index}.png,{s},{o},{5 * o + s},{index},100\n" for s in range(2) for o in range(3)]
    (folder / "fixations.csv").write_text("".join(rows))
    return folder


def run(root: Path, out: Path, *more: str):
    return prepare(settings("data=folder", f"data.root={root}", f"out={out}", *more))


def test_every_set_has_a_config_that_fits_the_schema():
    for name in SETS:
        config = settings(f"data={name}", "data.root=.")
        (dataset,) = config.sets.values()
        assert isinstance(dataset, DataSetConfig)
        assert dataset.name == name
        assert dataset.reader in READERS
        assert dataset.store == f"data/{name}.h5"
        assert dataset.sigma() > 0


def test_no_set_is_without_a_test_of_its_config():
    folder = Path(__file__).parents[1] / "gaze" / "conf" / "data"
    assert sorted(path.stem for path in folder.glob("*.yaml")) == SETS


def test_a_good_set_is_stored_whole(root, tmp_path, capsys):
    report = run(root, tmp_path / "out.h5")
    store = FixationStore(tmp_path / "out.h5")
    assert store.names == [f"{i}.png" for i in range(4)]
    assert store.attributes.name == "folder"
    assert store.attributes.sigma_pixels == 24
    assert store[2].image == (root / "images" / "2.png").read_bytes()
    assert store[2].fixations.x.tolist() == [5, 10, 6, 11], "order 0 is left out"
    assert len(store.fixations(2, raw=True)) == 6
    assert report.images["kept"] == 4
    assert "left out: 0 images" in capsys.readouterr().out


def test_what_is_bad_is_named_counted_and_left_out(root, tmp_path, capsys):
    (root / "images" / "1.png").write_bytes(b"no picture")
    cut = root / "images" / "2.png"
    cut.write_bytes(cut.read_bytes()[:200])
    with (root / "fixations.csv").open("a") as file:
        file.write("0.png,0,3,39.4,29.4,1\n0.png,0,4,39.6,3,1\n0.png,0,5,-1,3,1\n")
    cv2.imwrite(str(root / "images" / "no gaze.png"), np.zeros((30, 40, 3), np.uint8))
    report = run(root, tmp_path / "out.h5")
    out, err = capsys.readouterr()
    store = FixationStore(tmp_path / "out.h5")
    assert store.names == ["0.png", "3.png"]
    assert len(store.fixations(0, raw=True)) == 7
    assert "0.png: 2 of 9 fixations lie outside the image and are left out" in err
    assert "1.png: left out" in err
    assert "2.png: left out" in err
    assert "no gaze.png: left out: no row in fixations.csv" in err
    assert report.images["bad"] == 3
    assert report.fixations["outside"] == 2
    assert "2 images (" in out
    assert "left out: 3 images (3 bad" in out
    assert "2 fixations outside" in out


def test_where_all_is_bad_there_is_an_error_and_no_file(root, tmp_path, capsys):
    for path in (root / "images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="no stimulus could be read"):
        run(root, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    assert "left out: 4 images (4 bad" in capsys.readouterr().out


def test_the_splits_file_decides_and_what_it_misses_is_said(root, tmp_path, capsys):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"folder": {"train": ["0.png"], "val": ["1.png"], "test": ["3.png", "9.png"]}}))
    report = run(root, tmp_path / "out.h5", f"data.splits={splits}")
    store = FixationStore(tmp_path / "out.h5")
    assert dict(zip(store.names, store.splits, strict=True)) == {
        "0.png": "train",
        "1.png": "val",
        "3.png": "test",
    }
    err = capsys.readouterr().err
    assert "2.png: left out: in no split of data.splits" in err
    assert "9.png: named in data.splits, but no such image" in err
    assert (report.images["unlisted"], report.images["missing"]) == (1, 1)


def test_maps_become_densities_that_sum_to_one(root, tmp_path):
    (root / "fixations.csv").unlink()
    (root / "maps").mkdir()
    values = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    for index in range(4):
        cv2.imwrite(str(root / "maps" / f"{index}.png"), values if index else np.zeros_like(values))
    report = run(root, tmp_path / "out.h5")
    store = FixationStore(tmp_path / "out.h5")
    assert report.images["bad"] == 1, "a black map is no density"
    np.testing.assert_allclose(store[0].density, values / values.sum(), atol=1e-7)


def test_a_photograph_on_its_side_is_measured_upright(root, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(root / "images" / "0.jpg", exif=exif)
    with (root / "fixations.csv").open("a") as file:
        file.write("0.jpg,0,1,29,39,1\n")
    run(root, tmp_path / "out.h5")
    store = FixationStore(tmp_path / "out.h5")
    index = store.names.index("0.jpg")
    assert store.sizes[index].tolist() == [30, 40]
    assert len(store.fixations(index)) == 1


def test_one_set_at_a_time(root):
    dataset = settings("data=osie", "data.root=.").sets["osie"]
    for sets in ({}, {"a": dataset, "b": dataset}):
        with pytest.raises(ConfigError, match="one set at a time"):
            prepare(PrepareConfig(DataConfig(str(root), None), None, sets))


def test_an_unknown_reader_is_named(root, tmp_path):
    with pytest.raises(ConfigError, match=r"sets\.folder\.reader: expected one of cat2000, folder"):
        run(root, tmp_path / "out.h5", "sets.folder.reader=nope")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["data=osie", "data.root=."], 1, "gaze.prepare: data.root=.: expected OSIE's stimuli/*.jpg"),
        (["data=osie"], 2, "gaze.prepare: data.root: a value is required"),
    ],
)
def test_the_command_says_one_line_and_an_exit_code(tmp_path, arguments, code, message):
    command = [sys.executable, "-m", "gaze.prepare", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_the_command_writes_the_store_and_nothing_else(root, tmp_path):
    place = tmp_path / "empty"
    place.mkdir()
    command = [sys.executable, "-m", "gaze.prepare", "data=folder", f"data.root={root}", "out=data/toy.h5"]
    subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True, check=True)
    assert [path.name for path in place.rglob("*")] == ["data", "toy.h5"]
    assert len(FixationStore(place / "data" / "toy.h5")) == 4


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.mark.shared
def test_the_salicon_sample_is_stored(shared, tmp_path):
    root = shared / "data" / "salicon"
    report = prepare(settings("data=salicon", f"data.root={root}", f"out={tmp_path / 's.h5'}"))
    store = FixationStore(tmp_path / "s.h5")
    counts = {split: len(list((root / "images" / split).iterdir())) for split in ("train", "val")}
    assert report.images == {"kept": sum(counts.values()), **counts}
    assert (store.sizes == (640, 480)).all()
    assert all(len(store.fixations(i)) for i in range(len(store)))
