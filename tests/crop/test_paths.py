from pathlib import Path

import pytest

from gaze.crop.paths import Paths, is_stream, names_file, read_paths
from gaze.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder.jpg").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "notes"):
        Path(name).touch()


@pytest.mark.parametrize(
    ("typed", "out", "sources", "output"),
    [
        ("a.jpg", None, "a.jpg", None),
        ("a.jpg", "b.jpg", "a.jpg", "b.jpg"),
        ("a.jpg new.jpg", None, "a.jpg", "new.jpg"),
        ("a.jpg folder", None, "a.jpg", "folder"),
        ("a.jpg folder.jpg", None, "a.jpg", "folder.jpg"),
        ("a.jpg notes", None, "a.jpg", "notes"),
        ("a.jpg -", None, "a.jpg", "-"),
        ("folder b.jpg", None, "folder", "b.jpg"),
        ("s3://x s3://y", None, "s3://x", "s3://y"),
        ("a.jpg b.jpg", "new", "a.jpg b.jpg", "new"),
        ("a.jpg b.jpg c.jpg", None, "a.jpg b.jpg c.jpg", None),
        ("a.jpg b.jpg gone.jpg", None, "a.jpg b.jpg gone.jpg", None),
        ("a.jpg b.jpg notes", None, "a.jpg b.jpg notes", None),
        ("a.jpg b.jpg folder", None, "a.jpg b.jpg", "folder"),
        ("a.jpg b.jpg new/", None, "a.jpg b.jpg", "new/"),
        ("a.jpg ./a.jpg b.jpg c.jpg", None, "./a.jpg b.jpg c.jpg", None),
    ],
)
def test_which_are_photos_and_which_is_the_output(typed: str, out: str | None, sources: str, output: str | None):
    assert read_paths(typed.split(), out) == Paths(tuple(sources.split()), output)


@pytest.mark.parametrize(
    ("typed", "out", "message"),
    [
        ("a.jpg b.jpg", None, "b.jpg: is a photo that exists"),
        ("a.jpg a.jpg", None, "a.jpg: is a photo that exists"),
        ("- b.jpg", None, "b.jpg: is a photo that exists"),
        (
            "a.jpg b.jpg new",
            None,
            "new: is neither a photo nor a folder that exists; a new folder ends in /, or: --out new",
        ),
        ("a.jpg b.jpg", "c.jpg", "output c.jpg: expected a folder"),
        ("a.jpg b.jpg", "new.png", "output new.png: expected a folder"),
        ("a.jpg b.jpg", "notes", "output notes: expected a folder"),
        ("a.jpg folder folder", None, "folder: is a folder among several photos"),
        ("a.jpg - folder", None, "-: expected a file"),
        ("a.jpg /dev/stdin folder", None, "/dev/stdin: expected a file"),
    ],
)
def test_what_cannot_be_told_is_refused(typed: str, out: str | None, message: str):
    with pytest.raises(ConfigError, match=message):
        read_paths(typed.split(), out)


@pytest.mark.parametrize("path", ["-", "/dev/stdin", "/dev/fd/63", "/dev/null"])
def test_stream(path: str):
    assert is_stream(path)


@pytest.mark.parametrize("path", ["a.jpg", "folder", "gone", "/dev/shm/a.jpg", "a\0.jpg"])
def test_no_stream(path: str):
    assert not is_stream(path)


@pytest.mark.parametrize(
    ("output", "file"), [("new.png", True), ("new.d/", False), ("folder.jpg", False), ("new", False), ("x/.new", False)]
)
def test_output_with_a_suffix_is_a_file_unless_it_is_a_folder(output: str, file: bool):
    assert names_file(output) == file


@pytest.mark.parametrize(
    ("typed", "out"),
    [([""], None), (["", "out"], None), (["a.jpg", ""], None), (["a.jpg"], ""), (["a.jpg", "", "folder"], None)],
)
def test_path_of_nothing_is_refused(typed: list[str], out: str | None):
    """As of a variable that is not set; it is not the working folder."""
    with pytest.raises(ConfigError, match=r"^expected a path, got ''$"):
        read_paths(typed, out)
