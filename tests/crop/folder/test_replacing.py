"""What a run replaces, and what it never does."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gaze.crop.folder.console import Console
from gaze.crop.folder.listing import Shard
from gaze.crop.folder.manifest import line_of, read_records
from gaze.crop.folder.publishing import run_key, write_part
from gaze.crop.photo.record import CroppedRecord, Record

Crop = Callable[..., int]
Draw = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photos(draw: Draw, tmp_path: Path) -> Path:
    draw("photos/a.jpg")
    draw("photos/b/c.png")
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(crop: Crop, capsys: Capture, *arguments: object) -> str:
    """The message of a command that is refused before anything is done."""
    with pytest.raises(SystemExit) as raised:
        crop(*arguments)
    assert raised.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def thumbnails(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(folder).items() if not name.endswith(".jsonl")}


# --report, --manifest, --template


def test_report_leaves_its_neighbors_alone(crop: Crop, photos: Path, out: Path, tmp_path: Path):
    for name in ("album.jsonl", ".album.jsonl", "album.html"):
        (tmp_path / name).write_text("precious")
    assert crop(photos, out, "--report", tmp_path / "album") == 0
    assert {name: (tmp_path / name).read_text() for name in ("album.jsonl", ".album.jsonl", "album.html")} == (
        dict.fromkeys(("album.jsonl", ".album.jsonl", "album.html"), "precious")
    )
    assert sorted(os.listdir(tmp_path)) == [".album.jsonl", "album", "album.html", "album.jsonl", "out", "photos"]


@pytest.mark.parametrize("name", ["out/gaze-manifest.jsonl", "gaze-manifest-2of2.jsonl", "out/a_1x1.jpg", "x.PNG"])
def test_report_of_a_name_of_another_is_refused(
    crop: Crop, photos: Path, out: Path, tmp_path: Path, capsys: Capture, name: str
):
    message = refused(crop, capsys, photos, out, "--report", tmp_path / name)
    assert f"--report {tmp_path / name}: is the name of a" in message
    assert thumbnails(out) == {}


def test_report_that_is_the_manifest_is_refused(crop: Crop, photos: Path, out: Path, tmp_path: Path, capsys: Capture):
    place = tmp_path / "both.html"
    assert "is the name of a manifest" in refused(crop, capsys, photos, out, "--report", place, "--manifest", place)
    assert not place.exists()


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_report_that_is_no_file_is_refused(
    crop: Crop, photos: Path, out: Path, tmp_path: Path, capsys: Capture, kind: str
):
    place = tmp_path / "place"
    os.mkfifo(place) if kind == "pipe" else place.symlink_to("/dev/null")  # the device itself is not put at risk
    assert f"--report {place}: expected an earlier report" in refused(crop, capsys, photos, out, "--report", place)
    assert place.is_fifo() if kind == "pipe" else place.is_char_device()
    assert thumbnails(out) == {}


def test_report_is_never_a_thumbnails_place(crop: Crop, draw: Draw, out: Path, tmp_path: Path, capsys: Capture):
    draw("photos/page.jpg")
    template = ["--template", "{stem}.html", "--report", out / "page.html"]
    assert crop(tmp_path / "photos", out, *template, "--overwrite") == 1
    assert "page.html is another photo, or the report, and none is ever overwritten" in capsys.readouterr().err
    assert (out / "page.html").read_bytes().startswith(b"<!doctype html>")


@pytest.mark.parametrize("name", ["photos/a.jpg", "notes.txt", "pipe", "device"])
def test_manifest_that_is_another_file_is_refused(
    crop: Crop, photos: Path, out: Path, tmp_path: Path, capsys: Capture, name: str
):
    (tmp_path / "notes.txt").write_text("precious")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    before = files(tmp_path)
    message = refused(crop, capsys, photos, out, "--manifest", tmp_path / name)
    assert f"--manifest {tmp_path / name}: expected a manifest or no file yet" in message
    assert files(tmp_path) == before


def test_manifest_that_leads_out_of_the_output_is_refused(
    crop: Crop, photos: Path, out: Path, tmp_path: Path, capsys: Capture
):
    for target in (tmp_path / "notes.txt", tmp_path / "none.txt"):
        out.mkdir(exist_ok=True)
        (out / "gaze-manifest.jsonl").symlink_to(target)
        (tmp_path / "notes.txt").write_text("precious")
        assert "gaze-manifest.jsonl: a link leads out of" in refused(crop, capsys, photos, out)
        assert (tmp_path / "notes.txt").read_text() == "precious"
        (out / "gaze-manifest.jsonl").unlink()
    assert not (tmp_path / "none.txt").exists()


@pytest.mark.parametrize("template", ["gaze-manifest.jsonl", "sub/gaze-manifest-{rank}.jsonl"])
def test_template_that_names_manifests_is_refused(crop: Crop, photos: Path, out: Path, capsys: Capture, template: str):
    message = refused(crop, capsys, photos, out, "--template", template, "--overwrite")
    assert f"--template {template}: is the name of a manifest" in message


def test_photo_that_is_called_as_a_manifest_replaces_none(crop: Crop, draw: Draw, out: Path, capsys: Capture):
    photo = draw("photos/gaze-manifest.jpg")
    draw("photos/b.jpg")
    assert crop(photo.parent, out, "--template", "{stem}.jsonl", "--overwrite") == 1
    err = capsys.readouterr().err
    assert f"{photo}: {out}/gaze-manifest.jsonl: is the name of a manifest, and none is ever replaced" in err
    assert len(list(read_records(out / "gaze-manifest.jsonl"))) == 2


def test_photo_in_the_output_is_never_replaced(crop: Crop, draw: Draw, out: Path, tmp_path: Path, capsys: Capture):
    """One that a link leads to, with the name that another's thumbnail would have."""
    draw("photos/a.jpg")
    precious = draw("out/a_1x1.jpg").read_bytes()
    (tmp_path / "photos" / "z.jpg").symlink_to(out / "a_1x1.jpg")
    assert crop(tmp_path / "photos", out, "--follow-symlinks", "--overwrite") == 1
    assert "a_1x1.jpg is another photo" in capsys.readouterr().err
    assert (out / "a_1x1.jpg").read_bytes() == precious
    assert sorted(thumbnails(out)) == ["a_1x1.jpg", "z_1x1.jpg"]


@pytest.mark.parametrize("template", ["{ratio}/{stem}{ext}", "new/{ratio}/{stem}{ext}", "{ratio}/new/{stem}{ext}"])
def test_no_folder_is_made_outside_through_a_link(
    crop: Crop, photos: Path, out: Path, tmp_path: Path, capsys: Capture, template: str
):
    (tmp_path / "elsewhere").mkdir()
    (out / "b" / "new").mkdir(parents=True)
    for place in (out / "1x1", out / "new", out / "b" / "1x1", out / "b" / "new" / "1x1"):
        place.rmdir() if place.is_dir() else None
        place.symlink_to(tmp_path / "elsewhere") if place.parent.is_dir() else None
    assert crop(photos, out, "--template", template) == 1
    assert "a link leads out of" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


# thumbnails within the photos


def test_thumbnails_of_another_run_are_no_photos(crop: Crop, photos: Path, capsys: Capture):
    assert crop(photos, photos / "small", "--size", "20x20") == 0
    assert crop(photos, photos / "large") == 0
    err = capsys.readouterr().err
    assert f"{photos}/small: left alone, as thumbnails of another run are there" in err
    assert "2 photos: 2 cropped, 0 failed" in err
    assert sorted(thumbnails(photos / "large")) == ["a_1x1.jpg", "b/c_1x1.png"]
    assert crop(photos / "small", photos.parent / "again") == 0
    assert sorted(thumbnails(photos.parent / "again")) == ["a_20x20_1x1.jpg", "b/c_20x20_1x1.png"]


def test_output_that_holds_photos_already_is_told(crop: Crop, draw: Draw, photos: Path, capsys: Capture):
    for told in (True, False):  # by then they may be thumbnails
        assert crop(photos, photos / "b", *([] if told else ["--size", "9x9"])) == 0
        note = f"{photos}/b: is the output, so that photos in it are left alone"
        assert (note in capsys.readouterr().err) == told
    assert sorted(thumbnails(photos / "b")) == ["a_1x1.jpg", "a_9x9.jpg", "c.png"]
    (photos / "new").mkdir()
    assert crop(photos, photos / "new") == 0
    assert "is the output" not in capsys.readouterr().err


# two photos that want one name


@pytest.mark.parametrize("first", range(3))
def test_first_of_the_listing_gets_the_name(crop: Crop, draw: Draw, out: Path, capsys: Capture, first: int):
    """Even if it takes longest."""
    sizes = [(30, 20)] * 3
    sizes[first] = (3000, 2000)
    for name, size in zip(("x.bmp", "x.jpg", "x.png"), sizes, strict=True):
        draw(f"photos/{name}", size=size)
    options = ["--format", "jpeg", "--size", "10x10", "--jobs", "2"]
    for _ in range(2):  # the second time all that had no thumbnail fail again
        assert crop(out.parent / "photos", out, *options) == 1
        err = capsys.readouterr().err
        for name in ("x.jpg", "x.png"):
            told = "x_10x10.jpg is the thumbnail of x.bmp; a --template with {suffix} tells them apart"
            assert f"{name}: {out}/{told}" in err
    records = [record for record in read_records(out / "gaze-manifest.jsonl") if isinstance(record, CroppedRecord)]
    assert [record.input for record in records] == ["x.bmp"]
    template = ["--template", "{stem}_{suffix}_{shape}{ext}"]
    assert crop(out.parent / "photos", out, *options, *template, "--heatmap") == 0
    assert len(thumbnails(out)) == 1 + 6


def test_template_without_a_stem_names_the_field_that_is_missing(crop: Crop, draw: Draw, out: Path, capsys: Capture):
    for name in ("x.jpg", "y.jpg"):
        draw(f"photos/{name}")
    assert crop(out.parent / "photos", out, "--template", "{shape}{ext}") == 1
    told = f"y.jpg: {out}/1x1.jpg is the thumbnail of x.jpg; a --template with {{stem}} tells them apart"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1)])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_first_of_the_listing_gets_the_name_between_shards(
    crop: Crop, draw: Draw, out: Path, capsys: Capture, order: tuple[int, ...], overwrite: tuple[str, ...]
):
    names = [f"{folder}{stem}.{suffix}" for folder in ("", "b/") for stem in "xyz" for suffix in ("bmp", "png", "ppm")]
    for place, name in enumerate(names):
        draw(f"photos/{name}", size=(30 + place, 20))
    losers = [name for name in names if not name.endswith("bmp")]
    shards = {Shard(index, 3): [name for name in losers if Shard(index, 3).holds(name)] for index in order}
    for shard, expected in shards.items():
        arguments = [out.parent / "photos", out, "--shard", f"{shard.index}/3", *overwrite]
        assert crop(*arguments) == (1 if expected else 0)
        err = capsys.readouterr().err
        for name in expected:
            first = name[:-3] + "bmp"
            told = f"{first}, the first that wants that name; a --template with {{suffix}} tells them apart"
            assert f"{name}: {out}/{name[:-4]}_1x1.png is for {told}" in err
        assert err.count("\n") == len(expected) + 1
    done = [record.input for record in _records(out) if isinstance(record, CroppedRecord)]
    assert sorted(done) == sorted(name for name in names if name.endswith("bmp"))


def _records(out: Path) -> list[Record]:
    return [record for path in sorted(out.glob("*.jsonl")) for record in read_records(path)]


def test_shards_refuse_nothing_that_is_done(crop: Crop, draw: Draw, out: Path, capsys: Capture):
    draw("photos/x.png")
    assert crop(out.parent / "photos", out) == 0
    before = thumbnails(out)
    draw("photos/x.bmp", x=0.2)
    codes = {crop(out.parent / "photos", out, "--shard", f"{index}/2") for index in (1, 2)}
    assert codes == {0, 1}
    err = capsys.readouterr().err
    assert f"x.bmp: {out}/x_1x1.png is the thumbnail of x.png; a --template with {{suffix}} tells them apart" in err
    assert thumbnails(out) == before


def test_heat_map_and_thumbnail_of_one_name(crop: Crop, draw: Draw, out: Path, capsys: Capture):
    """The photo that comes first has both, even if it takes longer."""
    draw("photos/x.jpg", size=(3000, 2000))
    draw("photos/x_heatmap.jpg", size=(30, 20))
    draw("photos/x_heatmap_heatmap.jpg", size=(30, 20))
    assert crop(out.parent / "photos", out, "--heatmap", "--template", "{stem}{ext}", "--jobs", "2") == 1
    told = f"x_heatmap.jpg: {out}/x_heatmap.jpg is the thumbnail of x.jpg; a --template with {{shape}} tells them apart"
    assert told in capsys.readouterr().err
    expected = ["x.jpg", "x_heatmap.jpg", "x_heatmap_heatmap.jpg", "x_heatmap_heatmap_heatmap.jpg"]
    assert sorted(thumbnails(out)) == expected


def test_equal_photos_of_one_name_are_two_photos(crop: Crop, draw: Draw, out: Path, capsys: Capture):
    """Though their thumbnails are the same, byte for byte."""
    draw("photos/x.bmp")
    draw("photos/x.png")
    for _ in range(2):
        assert crop(out.parent / "photos", out) == 1
        assert "x.png: " in capsys.readouterr().err


# what is done again


def test_photo_that_changed_is_done_again(crop: Crop, draw: Draw, photos: Path, out: Path, capsys: Capture):
    assert crop(photos, out) == 0
    before = thumbnails(out)
    draw("photos/a.jpg", x=0.3, size=(300, 100))
    capsys.readouterr()
    assert crop(photos, out) == 0
    assert "2 photos: 1 cropped, 1 done before, 0 failed" in capsys.readouterr().err
    after = thumbnails(out)
    assert after["a_1x1.jpg"] != before["a_1x1.jpg"]
    assert after["b/c_1x1.png"] == before["b/c_1x1.png"]


def test_thumbnail_that_was_edited_is_the_users(crop: Crop, draw: Draw, photos: Path, out: Path, capsys: Capture):
    assert crop(photos, out) == 0
    (out / "a_1x1.jpg").write_bytes(b"edited")
    assert crop(photos, out) == 0  # nothing else changed
    draw("photos/a.jpg", x=0.3)
    capsys.readouterr()
    assert crop(photos, out) == 1
    told = f"a.jpg: {out}/a_1x1.jpg was changed since it was written; --overwrite replaces it"
    assert told in capsys.readouterr().err
    assert crop(photos, out, "--quality", "50") == 1
    assert (out / "a_1x1.jpg").read_bytes() == b"edited"
    assert crop(photos, out, "--overwrite") == 0


def test_manifest_without_hashes_replaces_nothing(crop: Crop, draw: Draw, photos: Path, out: Path, capsys: Capture):
    assert crop(photos, out) == 0
    strip_digests(out / "gaze-manifest.jsonl")
    before = thumbnails(out)
    capsys.readouterr()
    assert crop(photos, out) == 0
    assert "2 photos: 0 cropped, 2 done before" in capsys.readouterr().err
    draw("photos/a.jpg", x=0.3)
    assert crop(photos, out) == 1
    told = (
        f"{out}/a_1x1.jpg is of an earlier gaze, which noted no hash, so that it may be edited; --overwrite replaces it"
    )
    assert told in capsys.readouterr().err
    assert thumbnails(out) == before
    assert crop(photos, out, "--overwrite") == 0
    draw("photos/a.jpg", x=0.6)
    assert crop(photos, out) == 0  # from now on it is known


def strip_digests(manifest: Path) -> None:
    """Makes it one of before it held sizes and hashes."""
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:
        del line["asked"]
        for crop in line["crops"]:
            del crop["output"]["bytes"], crop["output"]["sha256"]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_empty_thumbnail_is_not_done(crop: Crop, photos: Path, out: Path):
    assert crop(photos, out) == 0
    before = thumbnails(out)
    (out / "a_1x1.jpg").write_bytes(b"")
    assert crop(photos, out) == 0
    assert thumbnails(out) == before


def test_another_model_or_default_alone_redoes_nothing(
    crop: Crop, photos: Path, out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    """As after an update of gaze."""
    assert crop(photos, out) == 0
    manifest = out / "gaze-manifest.jsonl"
    records = [replace(record, request="other") for record in read_records(manifest)]
    manifest.write_bytes(b"".join(map(line_of, records)))
    capsys.readouterr()
    assert crop(photos, out) == 0
    err = capsys.readouterr().err
    assert "2 photos were done before with another model or default policy; --overwrite does them again" in err
    assert "2 photos: 0 cropped, 2 done before" in err
    assert crop(photos, out, "--padding", "10%") == 0
    assert "2 photos: 2 cropped" in capsys.readouterr().err


def test_manifest_that_was_removed_is_written_again(crop: Crop, photos: Path, out: Path, capsys: Capture):
    assert crop(photos, out) == 0
    before = files(out)
    (out / "gaze-manifest.jsonl").unlink()
    (out / "a_1x1.jpg").write_bytes(b"another's")
    assert crop(photos, out) == 1  # what is the same is as good as written
    assert "a_1x1.jpg exists already; --overwrite replaces it" in capsys.readouterr().err
    (out / "a_1x1.jpg").write_bytes(before["a_1x1.jpg"])
    assert crop(photos, out) == 0
    assert thumbnails(out).keys() == before.keys() - {"gaze-manifest.jsonl"}
    assert len(list(read_records(out / "gaze-manifest.jsonl"))) == 3


@pytest.mark.parametrize("what", ["output", "manifest"])
def test_what_is_removed_in_mid_run_is_done_by_the_next(
    crop: Crop, draw: Draw, out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, what: str
):
    for number in range(12):
        draw(f"photos/{number}.jpg")
    success, shown = Console.success, []

    def remove(self: object, record: CroppedRecord) -> None:
        shown.append(record.input)
        success(self, record)
        if len(shown) == 3:
            shutil.rmtree(out) if what == "output" else (out / "gaze-manifest.jsonl").unlink()

    monkeypatch.setattr("gaze.crop.folder.console.Console.success", remove)
    assert crop(out.parent / "photos", out) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("gaze-manifest.jsonl: was removed while this run wrote to it; the same command does the rest")
    assert len(shown) == 3
    assert not out.exists() or [path for path in out.rglob("*.part")] == []
    assert crop(out.parent / "photos", out) == 0
    assert len(thumbnails(out)) == 12
    assert len({record.input for record in read_records(out / "gaze-manifest.jsonl")}) == 12


def test_shards_know_of_each_other(crop: Crop, draw: Draw, out: Path, capsys: Capture):
    for number in range(8):
        draw(f"photos/{number}.jpg")
    for shard in ("1/2", "2/2"):
        assert crop(out.parent / "photos", out, "--shard", shard) == 0
    capsys.readouterr()
    assert crop(out.parent / "photos", out) == 0
    assert "8 photos: 0 cropped, 8 done before" in capsys.readouterr().err


# what killed runs leave


def test_what_a_killed_run_left_goes_whatever_it_was_to_do(crop: Crop, photos: Path, out: Path):
    assert crop(photos, out) == 0
    left = [
        write_part(out / name, b"half", out, "gone.jpg", run_key("gaze-manifest.jsonl"))
        for name in ("a_16x9.jpg", "b/x.jpg", "c/d/e.png")
    ]
    others = write_part(out / "z.jpg", b"half", out, "z.jpg", run_key("gaze-manifest-1of2.jsonl"))
    old = write_part(out / "y.jpg", b"half", out, "y.jpg", run_key("elsewhere.jsonl"))
    os.utime(old.waiting, (1e9, 1e9))
    (out / ".gaze-notes.part").write_text("precious")
    assert crop(photos, out) == 0
    assert [Path(part.waiting).exists() for part in (*left, old)] == [False] * 4
    assert Path(others.waiting).exists()  # of a run that may be under way
    assert (out / ".gaze-notes.part").exists()


def test_thumbnail_is_a_picture_of_its_photo(crop: Crop, photos: Path, out: Path):
    assert crop(photos, out) == 0
    for record in read_records(out / "gaze-manifest.jsonl"):
        assert isinstance(record, CroppedRecord)
        for picture in record.photo.pictures:
            with Image.open(out / picture.path) as image:
                assert image.size == (picture.width, picture.height)
            assert (out / picture.path).stat().st_size == picture.bytes
