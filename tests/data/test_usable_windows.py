from pathlib import Path

import numpy as np
import pytest

from gaze import AspectRatio
from gaze.data.splits import SHIPPED, read_splits
from gaze.data.usable_windows import COLUMNS, read_usable_windows
from gaze.errors import DataError

HEADER = ",".join(COLUMNS)


@pytest.fixture
def table(tmp_path: Path):
    def write(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "windows.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


def test_the_shipped_rows_are_of_train_and_val_alone():
    rows = read_usable_windows()
    splits = {source: read_splits(SHIPPED, source) for source in ("osie", "eyecrowd", "scene500")}
    found = [splits[row.source][row.image] for row in rows]
    assert set(found) == {"train", "val"}
    assert found.count("val") == 649
    assert len({(row.source, row.image, str(row.ratio)) for row in rows}) == len(rows)
    assert all(row.usable.any(axis=1).all() for row in rows)
    assert all(reader[best] == 1 for row in rows for reader, best in zip(row.usable, row.best, strict=True))


def test_a_row_is_read_as_its_readers_said(table):
    (row,) = read_usable_windows(table("osie,1.jpg,9:16,7,23,2"))
    assert (row.source, row.image, row.ratio, row.best) == ("osie", "1.jpg", AspectRatio(9, 16), (1, 1))
    assert row.usable.tolist() == [[0, 1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0]]


def test_a_row_of_one_reader_is_one(table):
    (row,) = read_usable_windows(table("osie,1.jpg,1:1,3,3,"))
    assert row.usable.tolist() == [[0, 0, 1]]


def test_between_two_windows_each_counts_by_how_near_it_is(table):
    (row,) = read_usable_windows(table("osie,1.jpg,1:1,3,23,2"))
    way = np.array([0, 0.25, 0.5, 0.75, 1])
    assert row.sent_back(way) == pytest.approx([1, 0.5, 0, 0.25, 0.5])


@pytest.mark.parametrize(
    "line",
    ["osie,1.jpg,1:1,3,4,1", "osie,1.jpg,1:1,3,,", "osie,1.jpg,1:1,many,1,1", "osie,1.jpg,wide,3,1,1",
     "osie,1.jpg,1:1,3,0,1", "osie,1.jpg,1:1,1,1,1", "osie,1.jpg"],
)  # fmt: skip
def test_what_is_no_row_is_named(table, line):
    with pytest.raises(DataError, match=r"windows\.csv: line 3: not windows and the numbers of usable ones"):
        read_usable_windows(table("osie,1.jpg,1:1,3,1,1", line))


def test_another_table_and_a_missing_one_are_named(table, tmp_path):
    with pytest.raises(DataError, match=r"windows\.csv: expected the columns set, image, .*, got a, b"):
        read_usable_windows(table(header="a,b"))
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_usable_windows(tmp_path / "none.csv")
