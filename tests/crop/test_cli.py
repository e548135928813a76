import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gaze
from gaze.crop.cli import main
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
        assert crop(photo, output, *extra) == 1
        assert "the photo itself is never overwritten" in capsys.readouterr().err
    assert photo.read_bytes() == before


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
    assert square["output"] == {"path": str(photo.with_name("photo_1x1.jpg")), "width": 64, "height": 64}
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
    assert str(tmp_path / "b.jpg") in records["b.jpg"]["error"]


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_two_photos_of_one_name_do_not_replace_each_other(
    crop: Crop, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
):
    draw("photos/a.bmp")
    draw("photos/a.png", size=(100, 50))
    assert crop(tmp_path / "photos", *extra) == 1
    assert re.search(r"a_1x1\.png (was already written|exists already)", capsys.readouterr().err)
    assert load(tmp_path / "photos" / "thumbnails" / "a_1x1.png").size == (160, 160)


def test_transparency_and_suffix_are_kept(crop: Crop, tmp_path: Path):
    Image.new("RGBA", (60, 40), (255, 0, 0, 99)).save(tmp_path / "a.png")
    assert crop(tmp_path / "a.png") == 0
    thumbnail = load(tmp_path / "a_1x1.png")
    assert (thumbnail.mode, thumbnail.getpixel((0, 0))) == ("RGBA", (255, 0, 0, 99))


def test_empty_folder_is_no_failure(crop: Crop, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert crop(tmp_path) == 0
    assert capsys.readouterr().err.endswith("0 photos: 0 cropped, 0 failed\n")


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
        (["a.jpg", "--size", "400"], "argument --size: size: expected WIDTHxHEIGHT"),
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
        (["a.jpg", "--fill", "blurple"], "--fill: expected a colour"),
        (["a.jpg", "--keep", "0.5"], "--keep: shows more than the ratio holds, so it needs --fill"),
        (["a.jpg", "--template", "{stem}{exp}"], "{exp} is unknown"),
        (["folder", "--shard", "3/2"], "shard: expected I/N"),
        (["a.jpg", "--report", "r.html"], "--report: expected a folder of photos"),
        (["a.jpg", "-", "--json"], "standard output holds one thumbnail and nothing else"),
        (["-", "b.jpg"], "goes to standard output"),
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
    monkeypatch.setattr("gaze.weights.files", lambda _: tmp_path)
    assert main([str(draw("a.jpg")), "--model", "fast"]) == 1
    assert capsys.readouterr().err == f"gaze.crop: model fast: this installation lacks {tmp_path / 'fast.onnx'}\n"


def test_shipped_model_is_taken_by_name_and_told(
    draw: Draw, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright_model: Path
):
    monkeypatch.setattr("gaze.weights.files", lambda _: tmp_path)
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


def modules_after(code: str) -> set[str]:
    """What a new interpreter has loaded at the end."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, sep='\\n', file=sys.stderr)"]
    environment = os.environ | {"PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    return set(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr.split())


def test_help_and_a_wrong_option_load_nothing_that_predicts():
    code = "from gaze.crop.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert modules_after(code) & {"numpy", "cv2", "PIL", "onnxruntime", "gaze.crop.run"} == set()


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
