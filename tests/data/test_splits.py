import json
from collections import Counter

import pytest

from gaze.data.splits import hashed_split, read_splits
from gaze.errors import DataError


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_names_get_their_split(tmp_path):
    path = write(tmp_path / "s.json", {"a": {"train": ["1", "2"], "val": [], "test": ["3"]}, "b": {}})
    assert read_splits(path, "a") == {"1": "train", "2": "train", "3": "test"}


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        [],
        {"other": {}},
        {"a": {"train": [], "val": []}},
        {"a": {"train": [], "val": [], "test": [], "extra": []}},
        {"a": {"train": "12", "val": [], "test": []}},
        {"a": {"train": [1], "val": [], "test": []}},
        {"a": {"train": ["1"], "val": ["1"], "test": []}},
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, content):
    path = write(tmp_path / "s.json", content)
    with pytest.raises(DataError) as error:
        read_splits(path, "a")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: cannot read"):
        read_splits(tmp_path / "none.json", "a")


def test_hashed_split_never_changes():
    names = ("001.jpg", "005.jpg", "012.jpg", "016.jpg", "023.jpg")
    assert [hashed_split(name) for name in names] == ["train", "test", "val", "test", "val"]


def test_hashed_split_is_80_10_10():
    counts = Counter(hashed_split(f"image{i}") for i in range(10_000))
    assert counts["train"] == pytest.approx(8000, abs=120)
    assert counts["val"] == pytest.approx(1000, abs=90)
    assert counts["test"] == pytest.approx(1000, abs=90)
