import os
from pathlib import Path

import pytest

from gaze.crop.plan import plan_file, plan_folder
from gaze.errors import ConfigError


def test_folder_is_walked_in_order_without_links_to_folders(tmp_path: Path):
    for name in ("b/2.jpg", "a/1.PNG", "a/.cache/3.jpg", "c.jpeg", "c.doc", "out/4.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    plan = plan_folder(tmp_path / "in", tmp_path / "in" / "out")
    found = [task.source.relative_to(tmp_path / "in").as_posix() for task in plan.tasks]
    assert found == ["c.jpeg", "a/1.PNG", "b/2.jpg"]
    assert [task.folder.relative_to(tmp_path / "in" / "out").as_posix() for task in plan.tasks] == [
        ".",
        "a",
        "b",
    ]
    assert plan.others == 2


def test_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert plan_folder(tmp_path, None).unreadable == [f"{tmp_path}/closed: cannot be read (Permission denied)"]


def test_file_goes_beside_the_photo_or_where_output_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v1.5").mkdir()
    for output, folder, file in (
        (None, tmp_path, None),
        (Path("new"), tmp_path / "new", None),
        (Path("v1.5"), tmp_path / "v1.5", None),
        (Path("new/b.PNG"), tmp_path / "new", tmp_path / "new" / "b.PNG"),
    ):
        task = plan_file(Path("a.jpg"), output).tasks[0]
        assert (task.source, task.folder, task.file) == (tmp_path / "a.jpg", folder, file)
    with pytest.raises(ConfigError, match=r"--output b\.txt"):
        plan_file(Path("a.jpg"), Path("b.txt"))
