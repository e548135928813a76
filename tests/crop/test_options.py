"""Every option does something, or is refused by name; `--help` and its kind apart."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from gaze.crop.cli import main
from gaze.crop.options import parser

Draw = Callable[..., Path]
Outcome = tuple[int, bytes, dict[str, bytes]]


@dataclass(frozen=True)
class Case:
    """An option, what it needs beside it, and what of a photo, a pipe and a folder it is for."""

    option: str
    beside: str = ""
    of: str = "photo pipe folder"
    taken: bool = False
    """Whether a thumbnail of that name is there already."""
    source: str = "photo.jpg"


CASES = [
    Case("--ratio 16:9"),
    Case("--size 40x40"),
    Case("--zoom 2"),
    Case("--padding 40%", "--zoom 2"),
    Case("--focus 5%,50%"),
    Case("--focus-file focus.csv", of="photo folder"),
    Case("--focus-weight 0", "--focus 5%,50%"),
    Case("--candidates 2", "--zoom 2", of="photo folder"),
    Case("--min-confidence 100%"),
    Case("--cut-weight 100", "--zoom 4"),
    Case("--format png"),
    Case("--quality 10"),
    Case("--progressive"),
    Case("--chroma 444"),
    Case("--template {stem}{ext}", of="photo folder"),
    Case("--upscale", "--size 800x600"),
    Case("--fill white", "--size 400x400"),
    Case("--keep 1", "--fill white --ratio 1:4"),
    Case("--frames all", "--format webp", source="moving.gif"),
    Case("--keep-metadata"),
    Case("--keep-profile"),
    Case("--heatmap", of="photo folder"),
    Case("--overwrite", of="photo folder", taken=True),
    Case("--json", of="photo folder"),
    Case("--quiet", of="photo folder"),
    Case("--print0", of="photo folder"),
    Case("--max-pixels 100"),
    Case("--max-bytes 100"),
    Case("--strict", source="cut.jpg"),
    Case("--report r.html", of="folder"),
    Case("--include *.jpg", of="folder"),
    Case("--exclude *.jpg", of="folder"),
    Case("--follow-symlinks", of="folder"),
    Case("--shard 1/2", of="folder"),
    Case("--shard 1/1", of="folder"),
    Case("--engine ray", of="folder"),
    Case("--jobs 2", of="folder"),
    Case("--fail-fast", of="folder"),
    Case("--manifest m.jsonl", of="folder"),
]
ELSEWHERE = {
    "--help",
    "--help-all",
    "--out",  # of which test_paths tells
    "--version",
    "--model",  # which every test here gives
    "--timeout",  # of a photo of a folder
}
HARMLESS = {"--quiet"}
"""It promises that nothing but failures is printed, which holds of a pipe in any case."""


def test_every_option_has_a_case():
    known = {action.option_strings[-1] for action in parser()._actions if action.option_strings}
    assert known == {case.option.split()[0] for case in CASES} | ELSEWHERE


@pytest.fixture
def crop(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright_model: Path
) -> Iterator[Callable[..., Outcome]]:
    """Runs the command in a folder with photos: exit code, standard output, files that were written."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    draw("photos/photo.jpg", exif=exif, icc_profile=profile)
    frames = [Image.new("RGB", (60, 40), (40 * i, 0, 0)) for i in range(3)]
    frames[0].save(tmp_path / "photos" / "moving.gif", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "photos" / "cut.jpg").write_bytes((tmp_path / "photos" / "photo.jpg").read_bytes()[:-2])
    (tmp_path / "photos" / "focus.csv").write_text("photo.jpg,5%,50%\n")
    monkeypatch.chdir(tmp_path / "photos")

    def run(source: str, output: str, options: str) -> Outcome:
        out = TextIOWrapper(BytesIO())
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(Path("photo.jpg").read_bytes())))
            patch.setattr(sys, "stdout", out)
            code = main([source, output, *options.split(), "--model", str(bright_model)])
        out.flush()
        printed = out.buffer.getvalue().replace(output.encode(), b"OUT")  # type: ignore[attr-defined]
        files = Path(output).rglob("*") if Path(output).is_dir() else ()
        return code, printed, {path.name: path.read_bytes() for path in files}

    return run


@pytest.mark.parametrize("case", [case for case in CASES if "photo" in case.of], ids=lambda case: case.option)
def test_of_a_photo_it_acts(crop: Callable[..., Outcome], case: Case):
    for folder in ("without", "with"):
        Path(folder).mkdir()
        if case.taken:
            Path(folder, "photo_1x1.jpg").touch()
    without = crop(case.source, "without", case.beside)
    assert crop(case.source, "with", f"{case.beside} {case.option}") != without


@pytest.mark.parametrize("case", [case for case in CASES if "pipe" in case.of], ids=lambda case: case.option)
def test_in_a_pipe_it_acts(crop: Callable[..., Outcome], case: Case):
    source = "-" if case.source == "photo.jpg" else case.source
    assert crop(source, "-", f"{case.beside} {case.option}") != crop(source, "-", case.beside)


IDLE = [
    *((("photo.jpg", "out"), case.option) for case in CASES if "photo" not in case.of),
    *((("-", "-"), case.option) for case in CASES if "pipe" not in case.of),
    *((("photo.jpg", "-"), case.option) for case in CASES if case.of == "folder"),
    (("photo.jpg", "out"), "--focus-weight 1"),
    (("photo.jpg", "out"), "--upscale"),
    (("photo.jpg", "out"), "--upscale --ratio 16:9"),
    (("photo.jpg", "out"), "--keep 0.5"),
    (("photo.jpg", "out"), "--min-confidence 10% --focus 1,1"),
    (("photo.jpg", "out"), "--quality 50 --format png"),
    (("photo.jpg", "out"), "--progressive --format webp"),
    (("photo.jpg", "out"), "--chroma 420 --format webp"),
    (("photo.jpg", "out.png"), "--quality 50"),
    (("photo.jpg", "out.jpg"), "--template {stem}_{size}{ext}"),
]


@pytest.mark.parametrize(("paths", "options"), [case for case in IDLE if case[1] not in HARMLESS])
def test_what_would_do_nothing_is_refused_by_name(
    crop: Callable[..., Outcome], capsys: pytest.CaptureFixture[str], paths: tuple[str, str], options: str
):
    before = sorted(Path().iterdir())
    with pytest.raises(SystemExit) as raised:
        crop(*paths, options)
    assert raised.value.code == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: ")
    assert options.split()[0] in error
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.option not in ("--engine ray", "--frames all")],
    ids=lambda case: case.option,
)
def test_of_a_folder_none_is_refused(crop: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, case: Case):
    monkeypatch.setattr("gaze.crop.run.run_folder", lambda *_: 0)
    assert crop(".", "../out", f"{case.beside} {case.option}")[0] == 0


OF_A_FOLDER = {"--include", "--exclude", "--follow-symlinks", "--shard", "--engine"}
"""Options of which photos that are named one by one make no use."""


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.option != "--frames all"], ids=lambda case: case.option
)
def test_of_several_photos_only_those_are_refused_that_choose_them(
    crop: Callable[..., Outcome], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: Case
):
    monkeypatch.setattr("gaze.crop.run.run_folder", lambda *_: 0)
    options = f"--out ../out {case.beside} {case.option}"
    if case.option.split()[0] not in OF_A_FOLDER:
        assert crop("photo.jpg", "moving.gif", options)[0] == 0
        return
    with pytest.raises(SystemExit) as raised:
        crop("photo.jpg", "moving.gif", options)
    assert raised.value.code == 2
    assert case.option.split()[0] in capsys.readouterr().err


def test_a_row_of_the_focus_file_counts_for_a_photo_that_goes_to_a_pipe(crop: Callable[..., Outcome]):
    assert crop("photo.jpg", "-", "--focus-file focus.csv") == crop("photo.jpg", "-", "--focus 5%,50%")
