from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module

from gaze.config import validate
from gaze.data.readers import READERS
from gaze.data.readers.faces import read_faces
from gaze.data.store import FixationStore
from gaze.errors import DataError
from gaze.prepare import PrepareConfig, prepare

ROW = "image,left,top,width,height,frontal\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_is_a_box_whatever_else_stands_in_it(tmp_path):
    table = write(tmp_path / "faces.csv", ROW + "b.jpg,1,2,3,4,1\na.jpg,0.5,0,10,20.5,0\nb.jpg,5,6,7,8,0\n")
    found = read_faces(table)
    assert found["b.jpg"].tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert found["a.jpg"].tolist() == [[0.5, 0, 10.5, 20.5]]
    assert found["a.jpg"].dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,left,top\na,1,2\n", "no column width, height; expected image,left,top,width,height"),
        (ROW + "a,1,2,3,4,1\na,1,2,0,4,1\n", r"line 3: not a box \(expected a width and a height above 0, got 0.0 x 4"),
        (ROW + "a,1,2,nan,4,1\n", "line 2: not a box"),
        (ROW + "a,inf,2,3,4,1\n", "line 2: not a box"),
        (ROW + "a,1,2,wide,4,1\n", r"line 2: not a box \(could not convert"),
        (ROW + "a,1\n", "line 2: not a box"),
        ("", "no column image"),
    ],
)
def test_a_table_that_is_none_is_one_line_that_names_it(tmp_path, text, message):
    table = write(tmp_path / "faces.csv", text)
    with pytest.raises(DataError, match=message) as caught:
        read_faces(table)
    assert str(table) in str(caught.value)
    assert "\n" not in str(caught.value)


def lay_out(root: Path, draw) -> Path:
    for name in ("a.jpg", "b.jpg"):
        draw(root / "stimuli" / name)
    write(root / "fixations.csv", "image,x,y\na.jpg,3,3\nb.jpg,4,4\n")
    return root


@pytest.mark.parametrize("reader", ["folder", "eyecrowd"])
def test_a_reader_brings_them_where_the_table_is_there(tmp_path, draw, reader):
    root = lay_out(tmp_path, draw)
    assert [entry.heads for entry in READERS[reader](root)] == [None, None]
    write(root / "faces.csv", ROW + "a.jpg,1,2,3,4,1\n")
    first, second = READERS[reader](root)
    assert first.heads.tolist() == [[1, 2, 4, 6]]
    assert second.heads.shape == (0, 4)


def test_they_go_from_the_table_into_the_store(tmp_path, draw):
    root = lay_out(tmp_path, draw)
    write(root / "faces.csv", ROW + "b.jpg,1,2,3,4,1\n")
    with initialize_config_module("gaze.conf", version_base="1.3"):
        config = compose("prepare", ["data=folder", f"data.root={root}", f"out={tmp_path / 'set.h5'}"])
    prepare(validate(config, PrepareConfig))
    store = FixationStore(tmp_path / "set.h5")
    assert store.head_counts.tolist() == [0, 1]
    assert store[1].heads.tolist() == [[1, 2, 4, 6]]
    assert store[0].heads.shape == (0, 4)
