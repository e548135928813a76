import base64
import contextlib
import errno
import io
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from gaze.crop.page.spool import PageSpool
from gaze.crop.photo.preview import Preview, preview
from gaze.crop.photo.record import (
    CroppedRecord,
    CropRecord,
    FailedRecord,
    ModelRecord,
    PhotoRecord,
    PictureRecord,
    Record,
    Stamp,
)
from gaze.errors import ConfigError, OutputError
from gaze.framing.policy import NEAR, Framing
from gaze.geometry import Box

HOSTILE = [
    "a 'quoted\" name.jpg",
    "</script><script>document.title = 'broken'</script>.jpg",
    "<!--<script>.jpg",
    "two\nlines.jpg",
    "\udcff no utf-8.jpg",
    "日本 é 👩‍👩‍👧 \u202egpj.jpg",
    "a#b?c%41&amp;:.jpg",
]
MODEL = ModelRecord("fa<st", "1.2")
SUMMARY = (MODEL, 14.27)


def record(name: str, *scores: float, moved: float = 0.05) -> CroppedRecord:
    """What the manifest says of a photo of 80 x 60 pixels with a crop for each score, the first of them square."""
    crops = tuple(
        CropRecord(
            ratio=ratio,
            rank=1,
            box=Box(10, 0, 60, 60),
            score=score,
            center_score=score - moved,
            confidence=moved,
            centered=moved < 0.01,
            output=PictureRecord(f"{name}_{ratio.replace(':', 'x')}.jpg", 60, 60),
        )
        for score, ratio in zip(scores, ("1:1", "16:9"), strict=False)
    )
    return CroppedRecord(name, Stamp(3, 5), "same", PhotoRecord(80, 60, "JPEG", MODEL, crops, None, {}))


def failure(name: str, reason: str = "the file is empty") -> FailedRecord:
    return FailedRecord(name, reason, Stamp(3, 5), "same")


def add(spool: PageSpool, entry: Record, pictures: Preview) -> None:
    spool.add(entry, pictures if isinstance(entry, CroppedRecord) else None)


@pytest.fixture(scope="module")
def pictures() -> Preview:
    image = Image.effect_noise((320, 240), 60).convert("RGB")
    return preview(image, np.eye(60, 80, dtype=np.float32) + 0.01, [image.crop((0, 0, 240, 240)), image])


class Elements(HTMLParser):
    """The elements of a page with their attributes and text."""

    def __init__(self, page: Path):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("", {}, []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)

    def texts(self, tag: str, **attributes: str | None) -> list[str]:
        chosen = [(own, text) for name, own, text in self.found if name == tag]
        return [
            "".join(text) for own, text in chosen if all(own.get(key) == value for key, value in attributes.items())
        ]


def rows(page: Path) -> list[dict[str, Any]]:
    (text,) = Elements(page).texts("script", id="records")
    return json.loads(text)


def test_header_counts_photos_and_names_the_model(tmp_path: Path, pictures: Preview):
    spool = PageSpool(tmp_path / "deep/report.html", resume=False)
    spool.add(record("a.jpg", 0.9, 0.8), pictures)
    spool.add(record("b.jpg", 0.7, moved=0.0), pictures)
    spool.add(failure("c.jpg"), None)
    spool.finish(*SUMMARY)
    page = Elements(tmp_path / "deep/report.html")
    assert page.texts("p", **{"class": "soft"})[0] == "model fa<st 1.2, 14.3 photos a second"
    counts = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert counts == {"photos": "3", "cropped": "2", "failed": "1", "crops": "3", "centred": "1"}
    assert os.listdir(tmp_path / "deep") == ["report.html"]


def test_page_without_photos_or_summary(tmp_path: Path):
    PageSpool(tmp_path / "report.html", resume=False).finish()
    assert rows(tmp_path / "report.html") == []


def test_a_report_takes_the_place_of_none_but_a_report(tmp_path: Path):
    path = tmp_path / "report.html"
    path.touch()
    PageSpool(path, resume=False).finish()
    first = path.read_bytes()
    PageSpool(path, resume=False).finish(rate=2.0)
    assert path.read_bytes() != first
    path.write_text("<html>somebody's own page</html>")
    with pytest.raises(ConfigError, match=r"report\.html: expected an earlier report or no file yet"):
        PageSpool(path, resume=False)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "<html>somebody's own page</html>"


def test_nothing_but_the_own_style_and_script_may_run(tmp_path: Path, pictures: Preview):
    spool = PageSpool(tmp_path / "report.html", resume=False)
    for name in HOSTILE:
        spool.add(record(name, 0.9), pictures)
        spool.add(failure(f"failed {name}", name), None)
    spool.finish(*SUMMARY)
    page = Elements(tmp_path / "report.html")
    (policy,) = [own["content"] or "" for _, own, _ in page.found if own.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        (text,) = page.texts(tag, type=None)
        assert rules[f"{tag}-src"] == f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
    assert [own for _, own, _ in page.found if {"src", "href", "style"} & own.keys()] == []
    assert len(page.texts("script", type="application/json")) == 1 + 2 * len(HOSTILE)


def test_names_come_through_and_links_lead_to_the_files(tmp_path: Path, pictures: Preview):
    path = tmp_path / "pages/report.html"
    spool = PageSpool(path, resume=False, photos=tmp_path / "photos", thumbnails=tmp_path / "thumbs")
    for name in [*HOSTILE, "/elsewhere/a.jpg"]:
        spool.add(record(name, 0.9), pictures)
    spool.finish(*SUMMARY)
    found = {row["input"]: row for row in rows(path)}
    assert sorted(found) == sorted([*HOSTILE, "/elsewhere/a.jpg"])
    for name, row in found.items():
        for href, folder, file in [
            (row["href"], "photos", name),
            (row["crops"][0]["output"]["href"], "thumbs", row["crops"][0]["output"]["path"]),
        ]:
            assert not set(href) & set("#?:\"'<> \n")
            led = os.path.normpath(os.fsencode(path.parent) + b"/" + unquote_to_bytes(href))
            assert led == os.fsencode(os.path.join(tmp_path, folder, file))


def test_last_record_of_a_photo_wins(tmp_path: Path, pictures: Preview):
    spool = PageSpool(tmp_path / "report.html", resume=False)
    for entry in (failure("b.jpg"), record("a.jpg", 0.5), record("b.jpg", 0.9), record("a.jpg", 0.6)):
        add(spool, entry, pictures)
    spool.finish(*SUMMARY)
    assert [(row["input"], row["crops"][0]["score"]) for row in rows(tmp_path / "report.html")] == [
        ("a.jpg", 0.6),
        ("b.jpg", 0.9),
    ]


@pytest.mark.parametrize("torn", [b"", b'[{"input":"c.jpg",', b'[{"input":"c.jpg"},\tnull]'])
def test_resumed_run_keeps_what_a_killed_one_left(tmp_path: Path, pictures: Preview, torn: bytes):
    path = tmp_path / "report.html"
    PageSpool(path, resume=False).add(record("a.jpg", 0.9), pictures)
    (left,) = tmp_path.iterdir()
    with left.open("ab") as file:
        file.write(torn)
    spool = PageSpool(path, resume=True)
    spool.add(record("b.jpg", 0.8), pictures)
    spool.finish(*SUMMARY)
    assert [row["input"] for row in rows(path)] == ["a.jpg", "b.jpg"]


def test_a_link_where_the_photos_wait_is_not_followed(tmp_path: Path, pictures: Preview):
    path, secret = tmp_path / "report.html", tmp_path / "secret"
    PageSpool(path, resume=False)
    (left,) = tmp_path.iterdir()
    left.unlink()
    secret.write_bytes(b"half a line")
    left.symlink_to(secret)
    spool = PageSpool(path, resume=True)
    spool.add(record("b.jpg", 0.8), pictures)
    spool.finish(*SUMMARY)
    assert secret.read_bytes() == b"half a line"
    assert [row["input"] for row in rows(path)] == ["b.jpg"]


def test_resumed_run_keeps_what_the_page_holds(tmp_path: Path, pictures: Preview):
    path = tmp_path / "report.html"
    for name in HOSTILE:
        spool = PageSpool(path, resume=True)
        spool.add(record(name, 0.9), pictures)
        spool.finish(*SUMMARY)
    assert [row["input"] for row in rows(path)] == sorted(HOSTILE)
    assert json.loads(Elements(path).texts("script", id="p0")[0]) == [
        record(min(HOSTILE), 0.9).to_json(),
        {**vars(pictures), "thumbnails": list(pictures.thumbnails)},
    ]


def test_fresh_run_starts_anew(tmp_path: Path, pictures: Preview):
    path = tmp_path / "report.html"
    PageSpool(path, resume=False).add(record("a.jpg", 0.9), pictures)
    PageSpool(path, resume=False).finish(*SUMMARY)
    assert rows(path) == []


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_failed_finish_leaves_the_old_page_and_the_spool(
    tmp_path: Path, pictures: Preview, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "report.html"
    PageSpool(path, resume=False).finish()
    old = path.read_bytes()
    spool = PageSpool(path, resume=False)
    spool.add(record("a.jpg", 0.9), pictures)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            spool.finish()
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 2
    spool.finish(*SUMMARY)
    assert len(rows(path)) == 1


def test_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/report\.html: cannot be written"):
        PageSpool(tmp_path / "file/report.html", resume=False)
    with pytest.raises(ConfigError, match="expected a file, got a folder"):
        PageSpool(tmp_path, resume=False)


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path, pictures: Preview):
    tracemalloc.start()
    try:
        spool = PageSpool(tmp_path / "report.html", resume=False)
        for index in range(1000):
            spool.add(record(f"{index}.jpg", 0.9, 0.8), pictures)
        spool.finish(*SUMMARY)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "report.html").stat().st_size > 1000 * 10_000
    assert peak < 1_500_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium on PATH")
    play = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with (
        play.sync_playwright() as driver,
        contextlib.closing(driver.chromium.launch(executable_path=chromium, args=options)) as launched,
    ):
        yield launched


@pytest.fixture
def opened(browser: Any, tmp_path: Path, pictures: Preview) -> Iterator[Callable[..., Any]]:
    """Makes a page of records and opens it; fails where the browser reports an error."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text))

    def open_page(*records: Record, path: Path | None = None) -> Any:
        if path is None:
            path = tmp_path / "report.html"
            spool = PageSpool(path, resume=False)
            for entry in records:
                add(spool, entry, pictures)
            spool.finish(*SUMMARY)
        tab.goto(path.as_uri())
        names(tab)
        return tab

    yield open_page
    tab.close()
    assert errors == []


def names(tab: Any) -> list[str]:
    """The photos that are drawn, once the browser has drawn what it now should."""
    frame = "new Promise(requestAnimationFrame)"
    tab.evaluate(f"{frame}.then(() => {frame}).then(() => new Promise(setTimeout))")
    return tab.locator(".photo h2 a").all_inner_texts()


def test_photos_are_sorted(opened: Callable[..., Any]):
    tab = opened(
        record("10.jpg", 0.5, 0.95, moved=0.2), record("2.jpg", 0.7, moved=0.1), record("1.jpg", 0.9, moved=0.3)
    )
    assert names(tab) == ["1.jpg", "2.jpg", "10.jpg"]
    for choice, expected in [
        ("score", ["10.jpg", "2.jpg", "1.jpg"]),
        ("score down", ["10.jpg", "1.jpg", "2.jpg"]),
        ("confidence", ["2.jpg", "10.jpg", "1.jpg"]),
        ("confidence down", ["1.jpg", "10.jpg", "2.jpg"]),
        ("name down", ["10.jpg", "2.jpg", "1.jpg"]),
    ]:
        tab.select_option("#sort", choice)
        assert names(tab) == expected
    tab.select_option("#ratio", "1:1")
    tab.select_option("#sort", "score down")  # the 0.95 of 10.jpg is of another ratio
    assert names(tab) == ["1.jpg", "2.jpg", "10.jpg"]


def with_crops(photo: CroppedRecord, **fields: Any) -> CroppedRecord:
    crops = tuple(replace(crop, **fields) for crop in photo.photo.crops)
    return replace(photo, photo=replace(photo.photo, crops=crops))


def test_photos_are_sorted_by_the_cut_and_those_of_before_come_last(opened: Callable[..., Any]):
    cuts = {"3.jpg": 0.02, "1.jpg": 0.3, "4.jpg": 0.1, "2.jpg": 0.0}
    told = [with_crops(record(name, 0.9), cut=cut, center_cut=0.5) for name, cut in cuts.items()]
    tab = opened(record("0.jpg", 0.9), record("00.jpg", 0.9, 0.8), *told)
    for choice, expected in [
        ("cut down", ["1.jpg", "4.jpg", "3.jpg", "2.jpg", "0.jpg", "00.jpg"]),
        ("cut", ["2.jpg", "3.jpg", "4.jpg", "1.jpg", "0.jpg", "00.jpg"]),
    ]:
        tab.select_option("#sort", choice)
        assert names(tab) == expected
    facts = [facts.inner_text().split("\n")[6:] for facts in tab.locator(".crops dl").all()]
    assert facts[0] == ["cut", "0.0 %", "center cut", "50.0 %"]
    assert facts[-1] == ["cut", "–", "center cut", "–"]


def test_heads_that_are_cut_are_told_where_they_are_known(opened: Callable[..., Any]):
    tab = opened(with_crops(record("a.jpg", 0.9), cut_heads=0.125, center_cut_heads=0.0), record("b.jpg", 0.9))
    known, unknown = (facts.inner_text().split("\n") for facts in tab.locator(".crops dl").all())
    assert known[-4:] == ["heads cut", "12.5 %", "center heads cut", "0.0 %"]
    assert not any("heads" in fact for fact in unknown)


def test_center_crop_is_shown_beside_one_that_was_moved(opened: Callable[..., Any], tmp_path: Path):
    image = Image.new("RGB", (320, 240), "red")
    image.paste("lime", (120, 60, 200, 180))  # the middle of 20 x 30 in 80 x 60 pixels, and the middle of that
    image.paste("blue", (140, 90, 180, 150))
    small = preview(image, np.ones((60, 80), dtype=np.float32), [image])
    spool = PageSpool(tmp_path / "report.html", resume=False)
    spool.add(with_crops(record("a.jpg", 0.9), box=Box(0, 30, 20, 30)), small)
    spool.add(record("b.jpg", 0.9, moved=0.0), small)
    spool.finish(*SUMMARY)
    tab = opened(path=tmp_path / "report.html")
    assert tab.locator("figure").all_inner_texts() == ["center", "this is the center crop"]
    assert tab.locator("figure img").evaluate_all("images => images.map(image => image.alt)") == [
        "1:1 center crop of a.jpg"
    ]
    shot = np.asarray(Image.open(io.BytesIO(tab.locator(".center").screenshot())).convert("RGB"))
    height, width, _ = shot.shape
    assert width / height == pytest.approx(20 / 30, abs=0.03)
    across = [
        ["red", "lime", "blue"][int(shot[round(y * height), round(x * width)].argmax())]
        for y, x in [(0.1, 0.1), (0.1, 0.9), (0.9, 0.1), (0.9, 0.9), (0.35, 0.35), (0.65, 0.35), (0.65, 0.65)]
    ]
    assert across == 4 * ["lime"] + 3 * ["blue"]


def test_center_crop_is_hidden_where_the_photo_has_no_picture(opened: Callable[..., Any], tmp_path: Path):
    PageSpool(tmp_path / "report.html", resume=False).finish(*SUMMARY, [record("a.jpg", 0.7)])
    tab = opened(path=tmp_path / "report.html")
    assert names(tab) == ["a.jpg"]
    assert (tab.locator("figure").count(), tab.locator("figure:visible").count()) == (1, 0)


def test_numbers_are_explained_where_they_are_read(opened: Callable[..., Any]):
    terms = opened(record("a.jpg", 0.9)).locator(".terms li:visible").all_inner_texts()
    assert [term.split(":")[0] for term in terms] == ["Score", "Confidence", "Cut", "Heads cut", "Center"]
    assert f"{Framing().cut_weight} times" in terms[1]
    assert f"within {NEAR:.0%} of" in terms[2]


def test_photos_are_filtered(opened: Callable[..., Any]):
    tab = opened(record("beach/a.jpg", 0.9, 0.8), record("town/b.jpg", 0.7), failure("town/c.jpg"), failure("d.jpg"))
    tab.fill("#text", "TOWN jpg")
    assert names(tab) == ["town/b.jpg"]
    assert tab.inner_text("#shown") == "1 of 2 shown"
    assert tab.locator("tbody tr:visible").all_inner_texts() == ["town/c.jpg\tthe file is empty"]
    tab.fill("#text", "")
    tab.select_option("#ratio", "16:9")
    assert names(tab) == ["beach/a.jpg"]
    assert [text.split()[0] for text in tab.locator("h3").all_inner_texts()] == ["16:9"]
    assert tab.locator(".box").count() == 1
    tab.fill("#text", "nothing")
    assert (names(tab), tab.inner_text("#shown")) == ([], "0 of 2 shown")
    assert not tab.is_visible("#failures")


def test_photo_is_shown_with_all_that_is_known_of_it(opened: Callable[..., Any]):
    tab = opened(record("a.jpg", 0.93, 0.8), record("b.jpg", 0.5, moved=0.0), failure("c.jpg", "line\nbreak"))
    assert tab.locator("tbody tr").all_inner_texts() == ["c.jpg\tline\\x0abreak"]
    assert [box.inner_text() for box in tab.locator("h3").all()] == ["1:1\nmoved", "16:9\nmoved", "1:1\ncentred"]
    facts = tab.locator(".crops dl").first.inner_text().split("\n")
    assert facts == ["score", "93.0 %", "center score", "88.0 %", "confidence", "0.050", "cut", "–", "center cut", "–"]
    assert tab.locator(".path").first.inner_text() == "a.jpg_1x1.jpg"
    sizes = tab.evaluate("[...document.images].slice(0, 5).map(image => [image.naturalWidth, image.naturalHeight])")
    assert sizes == [[240, 180], [40, 30], [160, 160], [240, 180], [160, 120]]
    alternatives = tab.evaluate("[...document.images].slice(0, 5).map(image => image.alt)")
    assert alternatives == ["a.jpg, whole", "", "1:1 crop of a.jpg", "1:1 center crop of a.jpg", "16:9 crop of a.jpg"]
    whole, box = (tab.locator(name).first.bounding_box() for name in (".whole", ".box"))
    assert box["x"] - whole["x"] == pytest.approx(whole["width"] / 8, abs=1)
    assert (box["width"], box["height"]) == pytest.approx((whole["width"] * 3 / 4, whole["height"]), abs=1)


def test_further_choices_of_a_ratio_are_told_apart(opened: Callable[..., Any]):
    photo = record("a.jpg", 0.9)
    crops = tuple(replace(photo.photo.crops[0], rank=rank) for rank in (1, 2))
    tab = opened(replace(photo, photo=replace(photo.photo, crops=crops)))
    assert tab.locator("h3").all_inner_texts() == ["1:1\nmoved", "1:1, choice 2\nmoved"]
    assert tab.locator(".box").count() == 2


def test_heat_map_and_boxes_are_switched_without_a_mouse(opened: Callable[..., Any]):
    tab = opened(record("a.jpg", 0.9))
    assert tab.locator(".heat:visible, .box:visible").count() == 2
    for shown in (".box:visible", ".heat:visible"):
        tab.keyboard.press("Tab")
        while tab.evaluate("document.activeElement.type") != "checkbox":
            tab.keyboard.press("Tab")
        tab.keyboard.press("Space")
        assert tab.locator(shown).count() == (1 if shown == ".box:visible" else 0)
    assert tab.locator(".heat:visible, .box:visible").count() == 0
    tab.locator(".path").focus()
    assert tab.locator(".box.on").count() == 1


def test_hostile_names_stay_text(opened: Callable[..., Any]):
    tab = opened(*(record(name, 0.9) for name in HOSTILE))
    assert tab.title() == f"gaze: {len(HOSTILE)} photos"
    shown = set(names(tab))
    assert {"two\\x0alines.jpg", "\\xff no utf-8.jpg", "日本 é 👩‍👩‍👧 \\u202egpj.jpg", HOSTILE[0], HOSTILE[1]} < shown
    assert tab.evaluate("getComputedStyle(document.querySelector('.heat')).filter") == 'url("#turbo")'


def test_page_of_5000_photos_makes_few_images(opened: Callable[..., Any]):
    tab = opened(*(record(f"{index}.jpg", index / 5000) for index in range(5000)))
    few = tab.evaluate("document.images.length")
    assert 0 < few < 100
    assert tab.inner_text("#shown") == "5,000 of 5,000 shown"
    tab.select_option("#sort", "score down")
    assert names(tab)[0] == "4999.jpg"
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    tab.get_by_role("link", name="0.jpg", exact=True).wait_for()
    assert tab.evaluate("document.images.length") < 100
    assert tab.evaluate("document.images[0].complete")


def test_photos_of_runs_without_a_report_are_on_the_page_too(tmp_path: Path, pictures: Preview):
    path = tmp_path / "report.html"
    spool = PageSpool(path, resume=False)
    spool.add(record("b.jpg", 0.9), pictures)
    spool.add(failure("c.jpg"), None)
    again = replace(record("c.jpg", 0.8), stamp=Stamp(4, 6))
    assert spool.finish(*SUMMARY, iter([record("a.jpg", 0.7), record("b.jpg", 0.9), again])) == 2
    assert [(row["input"], "error" in row) for row in rows(path)] == [
        ("a.jpg", False), ("b.jpg", False), ("c.jpg", False),
    ]  # fmt: skip
    page = Elements(path)
    told = page.texts("p", **{"class": "soft"})[0]
    assert told.endswith("2 photos without pictures, as they were done without a report")
    assert json.loads(page.texts("script", id="p0")[0])[1] is None
    assert json.loads(page.texts("script", id="p1")[0])[1]["photo"] == pictures.photo
    assert PageSpool(path, resume=True).finish(*SUMMARY, [record("b.jpg", 0.9)]) == 2  # as the page holds them now


def test_photo_without_pictures_is_shown_by_its_facts(opened: Callable[..., Any], tmp_path: Path):
    tab = opened(record("b.jpg", 0.9))
    PageSpool(tmp_path / "report.html", resume=True).finish(*SUMMARY, [record("a.jpg", 0.7)])
    tab.reload()
    assert names(tab) == ["a.jpg", "b.jpg"]
    assert tab.locator(".path").all_inner_texts() == ["a.jpg_1x1.jpg", "b.jpg_1x1.jpg"]
