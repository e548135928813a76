import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gaze
from gaze.crop.cli import main
from gaze.crop.options import parse, parser
from gaze.predictor import Predictor

Crop = Callable[..., int]
Draw = Callable[..., Path]


def load(path: str | Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_photo_is_cropped_beside_itself(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str]):
    photo = draw("photo.jpg")
    before = photo.read_bytes()
    assert crop(photo) == 0
    thumbnail = photo.with_name("photo_1x1.jpg")
    out, err = capsys.readouterr()
    assert (out, err) == (f"{thumbnail}\n", "")
    assert photo.read_bytes() == before
    image = load(thumbnail)
    assert (image.format, image.size) == ("JPEG", (160, 160))
    spot = np.asarray(image.convert("L")) > 200
    assert spot.sum() == pytest.approx(32 * 32, rel=0.1)  # all of the spot, which a central crop would cut


def test_second_run_replaces_nothing_unless_asked(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str]):
    photo = draw("photo.jpg")
    photo.with_name("photo_1x1.jpg").write_text("precious")
    assert crop(photo) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "photo_1x1.jpg exists already; --overwrite replaces it" in err
    assert photo.with_name("photo_1x1.jpg").read_text() == "precious"
    assert crop(photo, "--overwrite") == 0
    assert load(photo.with_name("photo_1x1.jpg")).size == (160, 160)


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_photo_itself_is_never_overwritten(
    crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str], extra: list[str]
):
    photo = draw("photo.jpg")
    before = photo.read_bytes()
    link = photo.with_name("link.jpg")
    link.symlink_to(photo)
    for output in (photo, link):
        assert crop(photo, "--out", output, *extra) == 1
        assert "the photo itself is never overwritten" in capsys.readouterr().err
    assert photo.read_bytes() == before


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
@pytest.mark.parametrize("name", ["b.jpg", "b.HEIC", "b.png"])
def test_photo_that_exists_is_no_output(
    crop: Crop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw: Draw, capsys: pytest.CaptureFixture[str],
    name: str, extra: list[str],
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    draw("a.jpg")
    Path(name).write_bytes(b"precious")
    with pytest.raises(SystemExit) as raised:
        crop("a.jpg", name, *extra)
    assert raised.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{name}: is a photo that exists" in error
    assert f"--out FOLDER crops both, --out {name} --overwrite replaces it" in error
    assert Path(name).read_bytes() == b"precious"


def test_out_says_which_file_is_replaced(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str]):
    photo, other = draw("a.jpg"), draw("b.jpg")
    assert crop(photo, "--out", other) == 1
    assert "b.jpg exists already; --overwrite replaces it" in capsys.readouterr().err
    assert crop(photo, "--out", other, "--overwrite") == 0
    assert load(other).size == (160, 160)


@pytest.mark.parametrize("out", [["out/"], ["--out", "out"], ["--out", "out/"], ["--out", "out.jpgs"]])
def test_several_photos_go_into_one_folder(
    crop: Crop, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    out: list[str],
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "x/b.jpg", "y/c.png"):
        draw(name)
    Path("broken.jpg").write_bytes(b"no photo")
    assert crop("--jobs", "2", "a.jpg", "x/b.jpg", "./a.jpg", "broken.jpg", "y/c.png", "gone.jpg", *out) == 1
    printed, err = capsys.readouterr()
    folder = tmp_path / out[-1]
    thumbnails = ["a_1x1.jpg", "b_1x1.jpg", "c_1x1.png"]
    assert sorted(printed.splitlines()) == [str(folder / name) for name in thumbnails]
    assert listing(folder) == [*thumbnails, "gaze-manifest.jsonl"]
    assert "broken.jpg: not an image" in err
    assert "gone.jpg: cannot be read (No such file" in err
    assert "5 photos: 3 cropped, 2 failed\n" in err
    assert crop("a.jpg", "x/b.jpg", "broken.jpg", "y/c.png", "gone.jpg", *out) == 1
    assert "5 photos: 0 cropped, 3 done before, 2 failed\n" in capsys.readouterr().err


def test_several_photos_are_cropped_beside_themselves(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photos = [draw(name) for name in ("p/a.jpg", "p/x/a.jpg", "q/a.jpg")]
    (tmp_path / "linked").symlink_to(tmp_path / "q")
    photos[2] = tmp_path / "linked" / "a.jpg"
    assert crop(*photos, "--heatmap", "--template", "small/{stem}{ext}") == 0
    made = [f"{folder}/{name}" for folder in ("p", "p/x", "q") for name in ("a_heatmap.jpg", "small/a.jpg")]
    assert listing(tmp_path) == sorted([*made, "p/a.jpg", "p/x/a.jpg", "q/a.jpg"])
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(str(tmp_path / name) for name in made)


def test_json_of_several_photos_has_whole_paths(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photos = [draw("x/a.jpg"), draw("y/b.jpg"), tmp_path / "gone.jpg"]
    assert crop(*photos, "--json", "--out", tmp_path / "out") == 1
    records = {record["input"]: record for record in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(records) == set(map(str, photos))
    made = records[str(photos[1])]["crops"][0]["output"]["path"]
    assert made == str(tmp_path / "out" / "b_1x1.jpg")
    assert "No such file" in records[str(photos[2])]["error"]


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_several_photos_of_one_name_do_not_replace_each_other(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
):
    photos = [draw("x/a.jpg"), draw("y/a.jpg", size=(100, 50))]
    assert crop(*photos, "--out", tmp_path / "out", *extra) == 1
    told = "a_1x1.jpg is the thumbnail of x/a.jpg; they have one name, so that each needs a folder of its own"
    assert told in capsys.readouterr().err
    assert load(tmp_path / "out" / "a_1x1.jpg").size == (160, 160)


def test_no_photo_of_several_is_overwritten_by_another(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str]):
    photos = [draw("x/a.jpg"), draw("y/a.jpg")]
    before = [photo.read_bytes() for photo in photos]
    assert crop(*photos, "--out", photos[1].parent, "--template", "{stem}{ext}", "--overwrite") == 1
    assert [photo.read_bytes() for photo in photos] == before
    err = capsys.readouterr().err
    assert "a.jpg is another photo, or the report, and none is ever overwritten" in err
    assert "the photo itself is never overwritten" in err


def test_report_and_focus_file_of_several_photos(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photos = [draw("x/a.jpg"), draw("x/b.jpg")]
    (tmp_path / "focus.csv").write_text("b.jpg,5%,50%\n")
    assert (
        crop(
            *photos,
            "--out",
            tmp_path,
            "--report",
            tmp_path / "r.html",
            "--focus-file",
            tmp_path / "focus.csv",
            "--json",
        )
        == 0
    )
    boxes = {
        record["input"]: record["crops"][0]["box"] for record in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert boxes[str(photos[0])]["left"] > 45
    assert boxes[str(photos[1])]["left"] == 0
    page = (tmp_path / "r.html").read_text()
    assert '"href":"x/a.jpg"' in page
    assert '"href":"a_1x1.jpg"' in page


def test_paths_end_with_a_nul_where_asked(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    photo = draw("a\nb.jpg")
    assert crop(photo, "--ratio", "1:1", "--ratio", "2", "--print0") == 0
    assert capsys.readouterr().out == f"{tmp_path}/a\nb_1x1.jpg\0{tmp_path}/a\nb_2x1.jpg\0"
    assert crop(tmp_path, tmp_path / "out", "--include", "a?b.jpg", "--print0") == 0
    assert capsys.readouterr().out == f"{tmp_path}/out/a\nb_1x1.jpg\0"


def test_options_may_stand_among_paths(crop: Crop, draw: Draw, tmp_path: Path):
    photo = draw("a.jpg")
    assert crop(photo, "--size", "80", tmp_path / "b.jpg", "--quiet") == 0
    assert load(tmp_path / "b.jpg").size == (80, 80)


@pytest.mark.parametrize(
    ("before", "paths"),
    [("", []), ("--size 40", []), ("b.jpg", ["b.jpg"]), ("b.jpg --size 40 c.jpg", ["b.jpg", "c.jpg"])],
)
def test_after_two_dashes_all_are_paths(before: str, paths: list[str]):
    assert parse([*before.split(), "--", "-a.jpg", "--size"]).paths == [*paths, "-a.jpg", "--size"]


def test_several_ratios(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str]):
    photo = draw("photo.png")
    assert crop(photo, "--ratio", "16:9", "--ratio", "9:16", "--ratio", "2", "--ratio", "16:9") == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["photo_16x9.png", "photo_9x16.png", "photo_2x1.png"]
    sizes = [load(photo.with_name(name)).size for name in names]
    assert sizes == [(240, 135), (90, 160), (240, 120)]


@pytest.mark.parametrize(
    ("options", "name", "size"),
    [
        (["--size", "80x60"], "photo_80x60.jpg", (80, 60)),
        (["--size", "80x80", "--ratio", "16:9"], "photo_16x9.jpg", (80, 45)),
        (["--size", "80x80", "--ratio", "1:2"], "photo_1x2.jpg", (40, 80)),
        (["--size", "80"], "photo_80x80.jpg", (80, 80)),
        (["--size", "x80", "--ratio", "16x9"], "photo_16x9.jpg", (142, 80)),
        (["--size", "80", "--ratio", "16/9"], "photo_16x9.jpg", (80, 45)),
        (["--ratio", "original"], "photo_original.jpg", (240, 160)),
        (["--ratio", "original", "--size", "60"], "photo_original.jpg", (60, 40)),
        (["--size", "800x600"], "photo_800x600.jpg", (213, 160)),
        (["--size", "400x300", "--upscale"], "photo_400x300.jpg", (400, 300)),
        (["--size", "400x400", "--fill", "white"], "photo_400x400.jpg", (400, 400)),
    ],
)
def test_size_scales_down_and_never_up(crop: Crop, draw: Draw, options: list[str], name: str, size: tuple[int, int]):
    photo = draw("photo.jpg")
    assert crop(photo, *options) == 0
    assert load(photo.with_name(name)).size == size


def test_output_names_a_folder_or_a_file(crop: Crop, draw: Draw, tmp_path: Path):
    photo = draw("photo.jpg")
    assert crop(photo, tmp_path / "new" / "folder") == 0
    assert crop(photo, tmp_path / "deep" / "name.png", "--heatmap") == 0
    assert listing(tmp_path) == [
        "deep/name.png",
        "deep/name_heatmap.png",
        "new/folder/photo_1x1.jpg",
        "photo.jpg",
    ]
    assert load(tmp_path / "deep" / "name.png").format == "PNG"


def test_json_tells_boxes_and_scores(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str], bright_model: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: the spot on the right is at the bottom of the upright photo
    photo = draw("photo.jpg", exif=exif)
    assert crop(photo, "--json", "--ratio", "1:1", "--ratio", "9:16", "--size", "64x64", "--heatmap") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["input"], record["width"], record["height"]) == (str(photo), 160, 240)
    assert record["model"] == {"name": "bright", "version": "7"}
    square, tall = record["crops"]
    assert square["box"] == {"left": 0, "top": square["box"]["top"], "width": 160, "height": 160}
    assert square["box"]["top"] > 45
    assert 0 < square["center_score"] < square["score"] <= 1
    thumbnail = photo.with_name("photo_1x1.jpg")
    content = thumbnail.read_bytes()
    told = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert square["output"] == {"path": str(thumbnail), "width": 64, "height": 64, **told}
    assert (tall["ratio"], tall["output"]["height"]) == ("9:16", 64)
    assert record["heatmap"]["path"] == str(photo.with_name("photo_heatmap.jpg"))
    library = gaze.crop(photo, ratio="1:1", predictor=Predictor(bright_model))
    assert (library.box.top, round(library.score, 6)) == (square["box"]["top"], square["score"])


def test_folder_is_mirrored_and_goes_on_after_bad_files(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photos = tmp_path / "photos"
    for name in ("a.jpg", "b/c.PNG", "b/d/e.webp", "z.jpg"):
        draw(f"photos/{name}")
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:700])
    (photos / "empty.png").write_bytes(b"")
    (photos / "notes.txt").write_text("no photo")
    (photos / ".hidden.jpg").write_bytes(b"")
    assert crop(photos, tmp_path / "out") == 1
    thumbnails = ["a_1x1.jpg", "b/c_1x1.PNG", "b/d/e_1x1.webp", "z_1x1.jpg"]
    assert listing(tmp_path / "out") == sorted([*thumbnails, "gaze-manifest.jsonl"])
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == sorted(str(tmp_path / "out" / name) for name in thumbnails)
    lines = [line for line in err.splitlines() if line.startswith("gaze.crop: ")]
    assert len(lines) == 3
    assert "broken.jpg: damaged, truncated" in lines[0]
    assert "empty.png: the file is empty" in lines[1]
    assert lines[2] == "gaze.crop: 6 photos: 4 cropped, 2 failed; 1 other files left alone"


def test_folder_without_output_keeps_its_thumbnails_apart(crop: Crop, draw: Draw, tmp_path: Path):
    draw("a.jpg")
    assert crop(tmp_path) == 0
    draw("b.jpg")
    assert crop(tmp_path, "--overwrite") == 0
    thumbnails = [f"thumbnails/{name}" for name in ("a_1x1.jpg", "b_1x1.jpg", "gaze-manifest.jsonl")]
    assert listing(tmp_path) == ["a.jpg", "b.jpg", *thumbnails]


def test_json_of_a_folder_has_a_line_for_every_photo(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    draw("a.jpg")
    (tmp_path / "b.jpg").write_text("no photo")
    assert crop(tmp_path, "--json") == 1
    records = {record["input"]: record for record in map(json.loads, capsys.readouterr().out.splitlines())}
    assert records["a.jpg"]["crops"][0]["output"]["path"] == "a_1x1.jpg"
    assert records["b.jpg"]["error"].startswith("b.jpg: not an image")


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_two_photos_of_one_name_do_not_replace_each_other(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
):
    draw("photos/a.bmp")
    draw("photos/a.png", size=(100, 50))
    assert crop(tmp_path / "photos", *extra) == 1
    told = "photos/a.png: {}/a_1x1.png is the thumbnail of a.bmp; a --template with {{suffix}} tells them apart"
    assert told.format(tmp_path / "photos" / "thumbnails") in capsys.readouterr().err
    assert load(tmp_path / "photos" / "thumbnails" / "a_1x1.png").size == (160, 160)
    assert crop(tmp_path / "photos", *extra, "--template", "{stem}_{suffix}_{shape}{ext}") == 0


def test_palette_of_a_png_is_kept(crop: Crop, draw: Draw):
    photo = draw("a.png")
    load(photo).quantize(16).save(photo)
    for options in ([], ["--size", "50"]):
        assert crop(photo, *options, "--overwrite") == 0
    thumbnails = [load(photo.with_name(name)) for name in ("a_1x1.png", "a_50x50.png")]
    assert [(picture.mode, picture.size) for picture in thumbnails] == [("P", (160, 160)), ("P", (50, 50))]


def test_mpo_of_a_folder_is_a_photo(crop: Crop, draw: Draw, tmp_path: Path):
    photo = draw("photos/a.jpg")
    load(photo).save(tmp_path / "photos" / "b.MPO", save_all=True, append_images=[load(photo)])
    assert crop(tmp_path / "photos", tmp_path / "out") == 0
    assert listing(tmp_path / "out") == ["a_1x1.jpg", "b_1x1.jpg", "gaze-manifest.jsonl"]
    assert load(tmp_path / "out" / "b_1x1.jpg").format == "JPEG"


def test_transparency_and_suffix_are_kept(crop: Crop, tmp_path: Path):
    Image.new("RGBA", (60, 40), (255, 0, 0, 99)).save(tmp_path / "a.png")
    assert crop(tmp_path / "a.png") == 0
    thumbnail = load(tmp_path / "a_1x1.png")
    assert (thumbnail.mode, thumbnail.getpixel((0, 0))) == ("RGBA", (255, 0, 0, 99))


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--include", "*.gif"], ["--exclude", "*"], ["--json"]])
def test_folder_without_a_photo_is_told_and_exit_code_1(
    crop: Crop, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
):
    (tmp_path / "notes.txt").touch()
    assert crop(tmp_path, *options) == 1
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"gaze.crop: {tmp_path}: no photo found")
    assert listing(tmp_path) == ["notes.txt"]


def test_shard_without_a_photo_is_done(crop: Crop, draw: Draw, tmp_path: Path):
    draw("a.jpg")
    assert sorted(crop(tmp_path, tmp_path / "out", "--shard", f"{i}/2") for i in (1, 2)) == [0, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"text", "not an image"),
        (b"\xff\xd8\xff\xe0" * 9, "not an image"),
    ],
)
def test_bad_photo_is_one_line_and_exit_code_1(
    crop: Crop, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
):
    if content is not None:
        (tmp_path / "bad\n.jpg").write_bytes(content)
    assert crop(tmp_path / "bad\n.jpg") == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("gaze.crop: ")
    assert r"bad\n.jpg" in err
    assert reason in err


def test_what_nobody_foresaw_is_one_line_too(
    crop: Crop,
    draw: Draw,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    draw("a.jpg")
    monkeypatch.setattr("gaze.crop.photo.cropper.choose", lambda *_: {}["surprise"])
    assert crop(tmp_path / "a.jpg") == 1
    assert "a.jpg: KeyError: 'surprise'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: PHOTO"),
        (["a.jpg", "--ratio", "0:1"], "argument --ratio: ratio: expected"),
        (["a.jpg", "--size", "400:300"], "argument --size: size: expected WIDTHxHEIGHT"),
        (["a.jpg", "--speed", "9"], "unrecognized arguments: --speed"),
        (["a.jpg", "--zoom", "0.5"], "zoom: expected a number from 1 to 100"),
        (["a.jpg", "--padding", "120%"], "padding: expected a share from 0 to 1"),
        (["a.jpg", "--padding", "60%"], "padding: expected a share"),
        (["a.jpg", "--focus", "1"], "focus: expected X,Y"),
        (["a.jpg", "--focus-file", "none.csv"], "none.csv: cannot be read"),
        (["a.jpg", "--candidates", "0"], "candidates: expected a whole number, 1 to 100"),
        (["a.jpg", "--candidates", "10000000"], "candidates: expected a whole number, 1 to 100, got '10000000'"),
        (["a.jpg", "--template", "{stem:>999999999}"], "no field takes a format but {rank}"),
        (["a.jpg", *["--focus", "1,1"] * 1001], "focus: expected at most 1000 points of one photo"),
        (["a.jpg", "--quality", "101"], "quality: expected a whole number, 1 to 100"),
        (["a.jpg", "--format", "bmp"], "--format bmp: "),
        (["a.jpg", "--fill", "blurple"], "fill: expected a color"),
        (["a.jpg", "--keep", "0.5"], "--keep: shows more than the ratio holds, so it needs --fill"),
        (["a.jpg", "--template", "{stem}{exp}"], "{exp} is unknown"),
        (["folder", "--shard", "3/2"], "shard: expected I/N"),
        (["a.jpg", "--report", "r.html"], "--report: expected a folder of photos"),
        (["a.jpg", "-", "--json"], "standard output holds one thumbnail and nothing else"),
        (["a.jpg", "b.jpg", "-"], "-: expected a file, as a pipe is read by itself"),
        (["a.jpg", "b.jpg", "--out", "-"], "output -: expected a folder, as there are several photos"),
        (["a.jpg", "b.jpg", "--out", "c.png"], "output c.png: expected a folder, as there are several photos"),
        (["a.jpg", "b.jpg", "--out", "file"], "output file: expected a folder, as there are several photos"),
        (["a.jpg", "b.jpg", "thumbs"], "thumbs: is neither a photo nor a folder that exists; a new folder ends in /"),
        (["a.jpg", "folder", "b.jpg"], "folder: is a folder among several photos"),
        (["a.jpg", "s3://b/c.jpg", "folder"], "s3://b/c.jpg: expected paths of photos"),
        (["a.jpg", "b.jpg", "folder", "--engine", "ray"], "--engine ray: expected one folder"),
        (["a.jpg", "--print0", "--json"], "--print0: separates paths"),
        (["a.jpg", "--print0", "--quiet"], "--print0: separates paths"),
        (["folder", "-"], "expected a folder, as the photos come from one"),
        (["folder", "-", "--fail-fast", "--overwrite"], "expected a folder, as the photos come from one"),
        (["a.jpg", "b.txt"], "output b.txt: .txt: gaze writes .jpg .png"),
        (
            ["a.jpg", "b.jpg", "--ratio", "1:1", "--ratio", "2"],
            "expected a folder, as there are several",
        ),
        ([".", "."], "expected a folder that does not hold the photos"),
        (["folder", "."], "expected a folder that does not hold the photos"),
        (["folder", "file"], "expected a folder, as the photos come from one"),
    ],
)
def test_wrong_command_is_exit_code_2(
    crop: Crop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as raised:
        crop(*arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("model", ["slow", "./quality", "none.onnx"])
def test_model_that_is_neither_a_name_nor_a_file_is_exit_code_2(
    draw: Draw, capsys: pytest.CaptureFixture[str], model: str
):
    with pytest.raises(SystemExit) as raised:
        main([str(draw("a.jpg")), "--model", model])
    assert raised.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"error: model: expected fast or quality, or an .onnx file that exists, got {model!r}")


def test_shipped_model_that_is_absent_is_one_line_and_exit_code_1(
    draw: Draw, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gaze.weights._FOLDER", tmp_path)
    assert main([str(draw("a.jpg")), "--model", "fast"]) == 1
    assert capsys.readouterr().err == f"gaze.crop: model fast: this installation lacks {tmp_path / 'fast.onnx'}\n"


def test_shipped_model_is_taken_by_name_and_told(
    draw: Draw, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright_model: Path
):
    monkeypatch.setattr("gaze.weights._FOLDER", tmp_path)
    for suffix in (".onnx", ".json"):
        shutil.copy(bright_model.with_suffix(suffix), tmp_path / f"fast{suffix}")
    assert main([str(draw("a.jpg")), "--model", "fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == {"name": "bright", "version": "7"}


def test_help_documents_the_exit_codes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    for code in ("0 all done", "1 some photos failed", "2 the command was wrong"):
        assert code in out


def shown(option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a help prints in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as raised:
        main([option])
    assert raised.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_help_is_one_page_of_daily_use_and_help_all_shows_every_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    daily, every = (shown(option, capsys, monkeypatch) for option in ("--help", "--help-all"))
    assert len(daily) <= 50
    assert max(map(len, [*daily, *every])) <= 80
    named = [set(re.findall(r"^ +(?:-h, )?(--[\w-]+)", "\n".join(page), re.M)) for page in (daily, every)]
    assert named[1] == {action.option_strings[-1] for action in parser()._actions if action.option_strings}
    assert {"--size", "--ratio", "--out", "--help-all"} < named[0] < named[1]
    assert not named[0] & {"--chroma", "--shard", "--max-bytes"}


def modules_after(code: str) -> set[str]:
    """What a new interpreter has loaded at the end."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, sep='\\n', file=sys.stderr)"]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    return set(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr.split())


@pytest.mark.parametrize("arguments", ["--help", "--help-all", "--version", "a.jpg --speed 9"])
def test_help_and_a_wrong_option_load_nothing_that_predicts(arguments: str):
    code = f"from gaze.crop.cli import main\ntry: main({arguments.split()})\nexcept SystemExit: pass"
    assert modules_after(code) & {"numpy", "cv2", "PIL", "onnxruntime", "gaze.crop.run"} == set()


def test_a_folder_is_cropped_by_processes_that_alone_load_what_predicts(draw: Draw, bright_model: Path):
    photo = draw("photos/a.jpg")
    arguments = [str(photo.parent), "--model", str(bright_model), "--jobs", "1"]
    loaded = modules_after(f"from gaze.crop.cli import main\nmain({arguments})")
    assert loaded & {"numpy", "cv2", "PIL", "onnxruntime", "gaze.crop.photo.cropper"} == set()
    assert listing(photo.parent / "thumbnails") == ["a_1x1.jpg", "gaze-manifest.jsonl"]


def test_a_jpeg_loads_no_reader_of_rare_formats(draw: Draw, bright_model: Path):
    photo = draw("a.jpg")
    loaded = modules_after(f"from gaze.crop.cli import main\nmain([{str(photo)!r}, '--model', {str(bright_model)!r}])")
    assert {"PIL.JpegImagePlugin"} == loaded & {"PIL.JpegImagePlugin", "PIL.PdfParser", "PIL.DdsImagePlugin"}


def test_a_run_without_a_report_loads_no_page(draw: Draw, bright_model: Path):
    photo = draw("photos/a.jpg")
    code = f"from gaze.crop.cli import main\nmain([{str(photo)!r}, '--model', {str(bright_model)!r}])"
    loaded = modules_after(code)
    assert "gaze.crop.photo.cropper" in loaded
    assert {
        name for name in loaded if name.startswith(("gaze.crop.page", "gaze.crop.cluster", "ray", "pebble"))
    } == set()


def test_interrupt_is_one_line(
    crop: Crop, draw: Draw, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gaze.crop.photo.cropper.open_photo", interrupt)
    assert crop(draw("a.jpg")) == 130
    assert capsys.readouterr().err == "gaze.crop: interrupted\n"


def test_module_runs_from_any_folder_and_prints_paths_that_can_be_used(draw: Draw, bright_model: Path):
    photo = draw("Mädchen & -photo.jpg")
    command = [sys.executable, "-m", "gaze.crop", photo.name, "--model", str(bright_model)]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    result = subprocess.run(command, cwd=photo.parent, env=environment, capture_output=True, check=True)
    assert result.stderr == b""
    assert load(os.fsdecode(result.stdout.rstrip(b"\n"))).size == (160, 160)


def test_reader_that_leaves_early_is_no_traceback(draw: Draw, bright_model: Path):
    photo = draw("a.jpg")
    command = [sys.executable, "-m", "gaze.crop", str(photo), "--model", str(bright_model)]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_candidates_zoom_and_template(crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    photo = draw("photo.jpg", x=0.7)
    name = "{ratio}/{stem}-{rank}-{size}{ext}"
    assert crop(photo, tmp_path / "out", "--zoom", "2", "--candidates", "2", "--template", name, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    first, second = record["crops"]
    assert (first["rank"], second["rank"]) == (1, 2)
    assert first["box"]["width"] == first["box"]["height"] == 80
    assert first["score"] >= second["score"]
    assert first["box"] != second["box"]
    assert listing(tmp_path / "out") == ["1x1/photo-1-80x80.jpg", "1x1/photo-2-80x80.jpg"]


def test_focus_overrides_the_model(crop: Crop, draw: Draw, capsys: pytest.CaptureFixture[str]):
    photo = draw("photo.jpg")
    for option in ("10,80", "4%,50%"):
        assert crop(photo, "--focus", option, "--json", "--overwrite") == 0
        assert json.loads(capsys.readouterr().out)["crops"][0]["box"]["left"] == 0
    assert crop(photo, "--focus", "900,10", "--overwrite") == 1
    assert "focus 900,10: lies outside the photo of 240x160 pixels" in capsys.readouterr().err


def test_photo_that_no_crop_can_hold_is_shown_whole_on_a_background(crop: Crop, draw: Draw):
    photo = draw("photo.png")
    assert crop(photo, "--ratio", "9:16", "--size", "90x160", "--fill", "#ff0000", "--keep", "1") == 0
    image = load(photo.with_name("photo_9x16.png"))
    assert image.size == (90, 160)
    assert image.getpixel((45, 2)) == (255, 0, 0)
    assert image.getpixel((45, 80)) != (255, 0, 0)


def test_all_frames_have_one_box(crop: Crop, tmp_path: Path):
    frames = [Image.new("RGB", (60, 40), (40 * i, 0, 0)) for i in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[40, 50, 60, 70])
    assert crop(tmp_path / "a.gif", "--frames", "all", "--format", "webp") == 0
    assert crop(tmp_path / "a.gif") == 0
    with Image.open(tmp_path / "a_1x1.webp") as image:
        assert (image.n_frames, image.size) == (4, (40, 40))  # type: ignore[attr-defined]
    with Image.open(tmp_path / "a_1x1.gif") as image:
        assert getattr(image, "n_frames", 1) == 1


def test_where_a_photo_was_taken_is_left_out_unless_asked(crop: Crop, draw: Draw):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 0.0)
    photo = draw("photo.jpg", exif=exif)
    assert crop(photo) == 0
    assert not load(photo.with_name("photo_1x1.jpg")).getexif()
    assert crop(photo, "--keep-metadata", "--overwrite") == 0
    assert load(photo.with_name("photo_1x1.jpg")).getexif()[0x010F] == "maker"


def test_pipe(draw: Draw, bright_model: Path):
    photo = draw("photo.png")
    command = [
        sys.executable,
        "-m",
        "gaze.crop",
        "-",
        "--size",
        "64x64",
        "--format",
        "jpeg",
        "--model",
        str(bright_model),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    result = subprocess.run(command, input=photo.read_bytes(), env=environment, capture_output=True, check=True)
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (64, 64))
    result = subprocess.run(command, input=b"no photo", env=environment, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.startswith(b"gaze.crop: ")
    assert result.stderr.count(b"\n") == 1


@pytest.fixture
def piped(bright_model: Path) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Runs the command as a process with bytes in a pipe at its standard input."""

    def run(content: bytes, *arguments: object) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "gaze.crop", *map(str, arguments), "--model", str(bright_model)]
        environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
        return subprocess.run(command, input=content, env=environment, capture_output=True, check=False)

    return run


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="a system without /dev/stdin")
@pytest.mark.parametrize("source", ["/dev/stdin", "-"])
def test_standard_input_by_any_name(draw: Draw, tmp_path: Path, piped: Callable[..., Any], source: str):
    content = draw("photo.png").read_bytes()
    result = piped(content, source, "--size", "64")
    assert (result.returncode, result.stderr) == (0, b"")
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (64, 64))
    result = piped(content, source, tmp_path / "thumb.jpg", "--json")
    assert json.loads(result.stdout)["input"] == "/dev/stdin"
    assert load(tmp_path / "thumb.jpg").size == (160, 160)
    assert piped(content, source, tmp_path / "folder").returncode == 0
    assert listing(tmp_path / "folder") == ["stdin_1x1.png"]
    for output in ([], [tmp_path / "none.jpg"]):
        result = piped(content, source, *output, "--max-bytes", "100")
        assert (result.returncode, result.stdout) == (1, b"")
        assert result.stderr == f"gaze.crop: {source}: more than 100 bytes\n".encode()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_named_pipe_is_read_to_its_end(draw: Draw, tmp_path: Path, crop: Crop):
    content, pipe = draw("photo.png").read_bytes(), tmp_path / "pipe.png"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    assert crop(pipe, tmp_path / "thumb.png") == 0
    writer.join()
    assert load(tmp_path / "thumb.png").size == (160, 160)
