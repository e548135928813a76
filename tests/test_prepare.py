import csv
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
from scipy.io import savemat

from gaze.config import validate
from gaze.data.config import DataSetConfig
from gaze.data.readers import READERS
from gaze.data.splits import shipped_splits
from gaze.data.store import FixationStore
from gaze.errors import ConfigError, DataError
from gaze.fixations import SPLITS
from gaze.prepare import DataConfig, PrepareConfig, prepare
from tests.data.conftest import cells

SETS = ["cat2000", "eyecrowd", "folder", "mit1003", "osie", "salicon", "scene500", "taught", "taught2"]
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


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("{n},0,0,5,5,1\n{n},1,0,6,6,1\n", "only first fixations of viewings"),
        ("{n},0,0,5,5,1\n{n},0,1,900,5,1\n{n},1,0,nan,5,1\n", "only first fixations of viewings"),
        ("{n},0,1,-9,5,1\n{n},1,1,5,30,1\n", "no fixation inside the image"),
        ("{n},0,1,nan,nan,1\n{n},1,1,inf,5,1\n", "no fixation inside the image"),
    ],
)
def test_a_photograph_without_usable_gaze_is_left_out_by_name(root, tmp_path, capsys, rows, reason):
    cv2.imwrite(str(root / "images" / "bare.png"), np.zeros((30, 40, 3), np.uint8))
    with (root / "fixations.csv").open("a") as file:
        file.write(rows.format(n="bare.png"))
    report = run(root, tmp_path / "out.h5")
    out, err = capsys.readouterr()
    assert f"bare.png: left out: {reason}" in err
    assert "left out: 1 images (1 bad" in out
    assert (report.images["bad"], report.images["kept"]) == (1, 4)
    store = FixationStore(tmp_path / "out.h5")
    assert "bare.png" not in store.names
    assert store.seen().all()


def test_a_set_that_keeps_first_fixations_keeps_a_photograph_with_no_other(root, tmp_path):
    cv2.imwrite(str(root / "images" / "bare.png"), np.zeros((30, 40, 3), np.uint8))
    with (root / "fixations.csv").open("a") as file:
        file.write("bare.png,0,0,5,5,1\n")
    assert run(root, tmp_path / "out.h5", "sets.folder.drop_first=false").images["kept"] == 5


VIEWINGS = {"usable": [(3, 4), (5, 6)], "first": [(3, 4)], "outside": [(-9, 4), (99, 4)], "nan": [(np.nan, 4)] * 2}
"""What one subject looked at, in order, on each of four photographs of 32 x 24."""


def picture(path: Path, width: int = 32, height: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def as_osie(root: Path, first: int = 1001, digits: int = 4) -> list[str]:
    names = [f"{first + k:0{digits}}.jpg" for k in range(len(VIEWINGS))]
    structs = []
    for name, viewing in zip(names, VIEWINGS.values(), strict=True):
        picture(root / "stimuli" / name)
        x, y = np.array(viewing, float).T
        structs.append({"img": name, "subjects": cells([{"fix_x": x, "fix_y": y, "fix_duration": x}])})
    (root / "eye").mkdir()
    savemat(root / "eye" / "fixations.mat", {"fixations": cells(structs)})
    return names


def as_eyecrowd(root: Path) -> list[str]:
    return as_osie(root / "data", 1, 3)


def as_fixatons(root: Path) -> list[str]:
    for name, viewing in VIEWINGS.items():
        picture(root / "STIMULI" / f"{name}.jpg")
        (root / "SCANPATHS" / name).mkdir(parents=True)
        (root / "SCANPATHS" / name / "a").write_text("".join(f"{x} {y} 0 1\n" for x, y in viewing))
    return [f"{name}.jpg" for name in VIEWINGS]


def as_folder(root: Path) -> list[str]:
    rows = [ROWS]
    for name, viewing in VIEWINGS.items():
        picture(root / f"{name}.jpg")
        rows += [f"{name}.jpg,0,{order},{x},{y},100\n" for order, (x, y) in enumerate(viewing)]
    (root / "fixations.csv").write_text("".join(rows))
    return [f"{name}.jpg" for name in VIEWINGS]


@pytest.mark.parametrize(
    ("data", "write"),
    [("osie", as_osie), ("eyecrowd", as_eyecrowd), ("mit1003", as_fixatons), ("folder", as_folder)],
)
def test_whatever_the_reader_only_usable_gaze_is_stored(tmp_path, capsys, data, write):
    usable, *others = write(tmp_path / "set")
    report = prepare(settings(f"data={data}", f"data.root={tmp_path / 'set'}", f"out={tmp_path / 'out.h5'}"))
    assert FixationStore(tmp_path / "out.h5").names == [usable]
    assert report.images["bad"] == 3
    err = capsys.readouterr().err
    assert all(f"{name}: left out: " in err for name in others)


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


@pytest.mark.parametrize("data", ["osie", "eyecrowd", "scene500"])
def test_the_lists_that_ship_are_the_split_of_their_sets(root, tmp_path, data):
    shipped = shipped_splits(data)
    names = [next(name for name, split in shipped.items() if split == wanted) for wanted in SPLITS]
    folder = renamed(root, names)
    report = prepare(settings(f"data={data}", f"sets.{data}.reader=folder", f"data.root={folder}",
                              f"out={tmp_path / 'out.h5'}"))  # fmt: skip
    store = FixationStore(tmp_path / "out.h5")
    assert dict(zip(store.names, store.splits.tolist(), strict=True)) == dict(zip(names, SPLITS, strict=True))
    assert report.images["missing"] == len(shipped) - 3


def test_a_photograph_in_no_list_that_ships_goes_to_train_and_never_to_test(root, tmp_path, capsys):
    strangers = [f"stranger{k}.jpg" for k in range(3)]
    folder = renamed(root, [*strangers, next(iter(shipped_splits("scene500")))])
    prepare(settings("data=scene500", f"data.root={folder}", f"out={tmp_path / 'out.h5'}"))
    store = FixationStore(tmp_path / "out.h5")
    assert {store.splits[store.names.index(name)] for name in strangers} == {"train"}
    err = capsys.readouterr().err
    assert all(f"{name}: in none of the set's lists: in train" in err for name in strangers)


def test_images_none_of_which_a_list_names_are_refused(root, tmp_path):
    with pytest.raises(DataError, match=r"none of its images is named as one of scene500's, such as 001\.jpg"):
        prepare(settings("data=scene500", f"data.root={root}", f"out={tmp_path / 'out.h5'}"))
    assert not (tmp_path / "out.h5").exists()


def test_splits_that_are_given_go_before_those_that_ship(root, tmp_path):
    (tmp_path / "own.json").write_text(json.dumps({"osie": {"train": [], "val": [], "test": ["0.png", "1.png"]}}))
    prepare(settings("data=osie", "sets.osie.reader=folder", f"data.root={root}", f"out={tmp_path / 'out.h5'}",
                     f"data.splits={tmp_path / 'own.json'}"))  # fmt: skip
    assert FixationStore(tmp_path / "out.h5").splits.tolist() == ["test", "test"]


def renamed(root: Path, names: list[str]) -> Path:
    """The first images of `root` under other names, in the table too."""
    table = (root / "fixations.csv").read_text()
    for number, name in enumerate(names):
        (root / "images" / f"{number}.png").rename(root / "images" / name)
        table = table.replace(f"\n{number}.png,", f"\n{name},")
    for left in (root / "images").glob("?.png"):
        left.unlink()
    (root / "fixations.csv").write_text(table)
    return root


@pytest.mark.parametrize(("width", "sigma"), [(1024, 26.0), (800, 20.3), (512, 13.0)])
def test_the_sigma_of_eyecrowd_grows_with_its_photographs(tmp_path, capsys, width, sigma):
    rows = [ROWS]
    for name, own in (("001.jpg", width), ("002.jpg", width), ("003.jpg", width + 1)):
        picture(tmp_path / "stimuli" / name, own, 24)
        rows.append(f"{name},0,1,3,4,100\n")
    (tmp_path / "fixations.csv").write_text("".join(rows))
    prepare(settings("data=eyecrowd", f"data.root={tmp_path}", f"out={tmp_path / 'out.h5'}"))
    store = FixationStore(tmp_path / "out.h5")
    assert store.attributes.sigma_pixels == sigma
    assert store.names == ["001.jpg", "002.jpg"]
    assert f"003.jpg: left out: {width + 1} pixels wide, the first image of the set {width}" in capsys.readouterr().err


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
            prepare(PrepareConfig(DataConfig(str(root), None), None, False, sets))


@pytest.mark.parametrize("out", ["out=mine.h5", "sets.folder.store=mine.h5"])
def test_a_store_that_is_there_is_replaced_only_where_that_is_asked_for(root, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    Path("mine.h5").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"^out: mine\.h5 exists already; give another out, or overwrite=true$"):
        prepare(settings("data=folder", "data.root=nowhere", out))
    assert Path("mine.h5").is_symlink()
    prepare(settings("data=folder", f"data.root={root}", out, "overwrite=true"))
    assert len(FixationStore("mine.h5")) == 4


def test_an_unknown_reader_is_named(root, tmp_path):
    with pytest.raises(ConfigError, match=r"sets\.folder\.reader: expected one of cat2000, eyecrowd, folder"):
        run(root, tmp_path / "out.h5", "sets.folder.reader=nope")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["data=osie", "data.root=."], 1, "gaze.prepare: data.root=.: expected OSIE's stimuli/*.jpg"),
        (["data=osie"], 2, "gaze.prepare: data.root: a value is required"),
        (["data=folder", "data.root=semicolons"], 1, "gaze.prepare: semicolons/fixations.csv: separated by semicolons"),
    ],
)
def test_the_command_says_one_line_and_an_exit_code(tmp_path, arguments, code, message):
    picture(tmp_path / "semicolons" / "a.jpg")
    (tmp_path / "semicolons" / "fixations.csv").write_text("image;x;y\na.jpg;1;2\n")
    command = [sys.executable, "-m", "gaze.prepare", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_the_command_tells_of_images_that_are_not_there_and_of_its_progress_in_lines(root, tmp_path):
    with (root / "fixations.csv").open("a") as file:
        file.write("gone.png,0,0,5,5,1\n")
    command = [sys.executable, "-m", "gaze.prepare", "data=folder", f"data.root={root}", f"out={tmp_path / 'a.h5'}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    told = f"{root}/fixations.csv: 1 of 5 images that it names are not there, the first gone.png"
    assert done.stderr.splitlines() == [told, *(f"folder: {count} of 4 images" for count in range(1, 5))]


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
def test_the_authors_files_of_eyecrowd_are_recognised(shared, tmp_path):
    root = shared / "data" / "eyecrowd_official"
    report = prepare(settings("data=eyecrowd", f"data.root={root}", f"out={tmp_path / 'e.h5'}"))
    store, lists = FixationStore(tmp_path / "e.h5"), json.loads((shared / "data" / "splits.json").read_text())
    assert store.names == sorted(path.name for path in (root / "data" / "stimuli").iterdir())
    assert (store.sizes == (1024, 768)).all()
    assert store.attributes.sigma_pixels == 26
    assert all(name in lists["eyecrowd"][split] for name, split in zip(store.names, store.splits, strict=True))
    assert (report.images["bad"], report.images["missing"]) == (0, 500 - len(store))
    with (shared / "data" / "eyecrowd" / "fixations.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["image"] == store.names[0]]
    x = (store.fixations(0, raw=True).x + 0.5) * 800 / 1024 - 0.5
    np.testing.assert_allclose(x, [float(row["x"]) for row in rows], atol=0.06)


@pytest.mark.shared
def test_the_salicon_sample_is_stored(shared, tmp_path):
    root = shared / "data" / "salicon"
    report = prepare(settings("data=salicon", f"data.root={root}", f"out={tmp_path / 's.h5'}"))
    store = FixationStore(tmp_path / "s.h5")
    counts = {split: len(list((root / "images" / split).iterdir())) for split in ("train", "val")}
    assert report.images == {"kept": sum(counts.values()), **counts}
    assert (store.sizes == (640, 480)).all()
    assert all(len(store.fixations(i)) for i in range(len(store)))
