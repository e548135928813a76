import json
from collections import Counter

import pytest

from gaze.data.splits import hashed_split, read_splits, shipped_splits, split_otherwise
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


def test_the_lists_that_ship_name_each_photograph_once():
    for dataset, count in (("osie", 700), ("eyecrowd", 500), ("scene500", 500)):
        shipped = shipped_splits(dataset)
        assert len(shipped) == count
        assert set(shipped.values()) == {"train", "val", "test"}
    osie = shipped_splits("osie")
    assert osie["1279.jpg"] == osie["1374.jpg"], "the same photograph"
    assert shipped_splits("folder") == {}


@pytest.mark.shared
def test_the_lists_that_ship_are_those_the_models_were_made_with(shared):
    for dataset in json.loads((shared / "data" / "splits.json").read_text()):
        assert shipped_splits(dataset) == read_splits(shared / "data" / "splits.json", dataset)


def test_what_lies_in_another_split_than_the_lists_say_is_named():
    names, splits = ["1001.jpg", "1005.jpg", "other.jpg"], ["train", "test", "train"]
    assert split_otherwise("osie", names, splits) == []
    assert split_otherwise("osie", names, ["test", "test", "val"]) == ["1001.jpg", "other.jpg"]
    assert split_otherwise("folder", names, ["test", "test", "val"]) == []
