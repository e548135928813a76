from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, JpegImagePlugin

import gaze
from gaze.crop.cli import main
from gaze.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(bright_model: Path) -> Predictor:
    return Predictor(bright_model)


def test_path_picture_and_array_give_the_same_crop(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png")
    with Image.open(photo) as image:
        crops = [gaze.crop(x, "1:1", predictor) for x in (photo, str(photo), image, np.asarray(image))]
    assert crops == [crops[0]] * 4
    assert isinstance(crops[0], gaze.Crop)
    assert crops[0].ratio == gaze.AspectRatio(1, 1)
    assert crops[0].box.left > 45
    assert 1 >= crops[0].score > crops[0].center_score > 0


@pytest.mark.parametrize("ratio", ["3:2", "3x2", "3/2", 1.5, (3, 2), gaze.AspectRatio(3, 2)])
def test_ratio_is_text_number_pair_or_ratio(predictor: Predictor, ratio: Any):
    crop = gaze.crop(np.zeros((60, 60, 3), np.uint8), ratio, predictor)
    assert crop.box == gaze.Box(0, 10, 60, 40)
    assert crop.score == crop.center_score == pytest.approx(2 / 3)


def test_score_is_the_share_of_the_full_density(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(1500, 900), x=0.7)
    crop = gaze.crop(photo, "1:1", predictor, padding=0)
    box, density = crop.box, gaze.saliency(photo, predictor).astype(np.float64)
    columns = np.concatenate([[0], np.cumsum(density.sum(axis=0))])
    shares = columns[box.width :] - columns[: -box.width]
    assert crop.score == pytest.approx(shares.max(), abs=3e-3)  # its cells count as evenly filled
    assert shares[box.left] == pytest.approx(shares.max(), abs=1e-3)


def test_same_photo_in_another_size_gives_the_same_choice(draw: Callable[..., Path], predictor: Predictor):
    lefts = []
    for scale in (2, 4, 10):
        photo = draw(f"{scale}.png", size=(160 * scale, 120 * scale), x=0.7)
        lefts.append(gaze.crop(photo, "1:1", predictor).box.left / (160 * scale))
    assert lefts == pytest.approx([lefts[0]] * 3, abs=0.01)


def test_errors_name_the_argument(predictor: Predictor):
    with pytest.raises(gaze.ConfigError, match="ratio: expected"):
        gaze.crop(np.zeros((4, 4, 3), np.uint8), "wide", predictor)
    with pytest.raises(gaze.ImageError, match="got uint8"):
        gaze.crop(np.zeros((4, 4), np.uint8), "1:1", predictor)


def test_focus_is_in_pixels_and_overrides_what_draws_the_eye(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(1200, 400), x=0.8)
    assert gaze.crop(photo, "1:1", predictor).box.left > 600
    crop = gaze.crop(photo, "1:1", predictor, focus=gaze.Point(250, 100))
    assert crop.box.left + 200 == pytest.approx(250, abs=20)
    assert not crop.centered
    pair = gaze.crop(photo, "1:1", predictor, focus=[gaze.Point(150, 10), gaze.Point(350, 390)], threshold=1)
    assert pair.box.left <= 150 < 350 < pair.box.right
    assert gaze.crop(photo, "1:1", predictor, focus=gaze.Point(250, 100), focus_weight=0).box.left > 600


def test_focus_is_in_shares_too(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(1200, 400), x=0.8)
    expected = gaze.crop(photo, "1:1", predictor, focus=gaze.Point(240, 100))
    for focus in ("20%,25%", ("20%", "25%"), ["20%,25%"], (240, 100), "240,100"):
        assert gaze.crop(photo, "1:1", predictor, focus=focus) == expected  # type: ignore[arg-type]


def test_original_is_the_whole_photo_until_it_is_zoomed(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(90, 61))
    assert gaze.crop(photo, "original", predictor).box == gaze.Box(0, 0, 90, 61)
    assert gaze.crop(photo, "original", predictor, zoom=2).box.size == gaze.Size(45, 30)


def test_pillow_cuts_out_the_box(draw: Callable[..., Path], predictor: Predictor):
    with Image.open(draw("a.png")) as image:
        crop = gaze.crop(image, "1:1", predictor)
        assert image.crop(crop.box.bbox).tobytes() == gaze.thumbnail(image, None, "1:1", predictor).tobytes()


@pytest.mark.parametrize(
    ("size", "ratio", "expected"),
    [
        (None, None, (160, 160)),
        (None, "original", (240, 160)),
        ((80, 60), None, (80, 60)),
        ("80x60", "1:1", (60, 60)),
        (80, None, (80, 80)),
        (80, (16, 9), (80, 45)),
        ("x45", "16/9", (80, 45)),
        ((None, 90), 2, (180, 90)),
        (gaze.Size(800, 600), None, (213, 160)),
    ],
)
def test_thumbnail_has_the_sizes_of_the_command_line(
    draw: Callable[..., Path], predictor: Predictor, size: Any, ratio: Any, expected: tuple[int, int]
):
    assert gaze.thumbnail(draw("a.jpg"), size, ratio, predictor).size == expected


def test_thumbnail_is_what_the_command_line_writes(draw: Callable[..., Path], predictor: Predictor, bright_model: Path):
    photo = draw("a.png", size=(900, 600), x=0.7)
    arguments = ["--size", "200", "--ratio", "4:5", "--zoom", "1-2", "--focus", "30%,40%", "--focus-weight", "0.4"]
    assert main([str(photo), *arguments, "--model", str(bright_model)]) == 0
    thumbnail = gaze.thumbnail(photo, 200, (4, 5), predictor, zoom=(1, 2), focus="30%,40%", focus_weight=0.4)
    with Image.open(photo.with_name("a_4x5.png")) as written:
        assert (written.mode, written.tobytes()) == (thumbnail.mode, thumbnail.tobytes())


def test_thumbnail_takes_what_crop_takes_and_stands_upright(draw: Callable[..., Path], predictor: Predictor):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: the spot on the right is at the bottom of the upright photo
    photo = draw("a.png", exif=exif)
    with Image.open(photo) as image:
        upright = ImageOps.exif_transpose(image)
        before = image.tobytes()
        sources = [photo, str(photo), photo.read_bytes(), image, upright, np.asarray(upright)]
        shown = [gaze.thumbnail(source, None, "1:1", predictor) for source in sources]
        assert image.tobytes() == before
    assert shown[0].size == (160, 160)
    assert np.asarray(shown[0])[-10:].mean() < 100  # the box lies where the spot is whole
    assert np.asarray(shown[0]).max() == 255
    assert len({picture.tobytes() for picture in shown}) == 1


def test_thumbnail_decodes_once_and_a_jpeg_reduced(
    draw: Callable[..., Path], predictor: Predictor, monkeypatch: pytest.MonkeyPatch
):
    photo, decoded = draw("a.jpg", size=(2400, 1600)), []
    load = JpegImagePlugin.JpegImageFile.load

    def note(image: JpegImagePlugin.JpegImageFile) -> object:
        decoded.extend([image.size] if image.tile else [])
        return load(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", note)
    assert gaze.thumbnail(photo, 100, None, predictor).size == (100, 100)
    assert decoded == [(600, 400)]


def test_thumbnail_keeps_transparency_fills_and_enlarges(predictor: Predictor):
    clear = Image.new("RGBA", (60, 40), (255, 0, 0, 99))
    assert gaze.thumbnail(clear, 20, None, predictor).getpixel((0, 0)) == (255, 0, 0, 99)
    assert gaze.thumbnail(clear, 80, None, predictor, upscale=True).size == (80, 80)
    assert gaze.thumbnail(clear.convert("RGB"), 80, None, predictor, fill="#00ff00").getpixel((1, 1)) == (0, 255, 0)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"size": "wide"}, "^size: expected"),
        ({"ratio": "wide"}, "^ratio: expected"),
        ({"fill": "blurple"}, "^fill: expected a color such as white"),
        ({"focus": "300,10"}, "^focus 300,10: lies outside the photo of 60x40"),
    ],
)
def test_thumbnail_names_what_is_wrong(predictor: Predictor, arguments: dict[str, Any], error: str):
    with pytest.raises(gaze.ConfigError, match=error):
        gaze.thumbnail(np.zeros((40, 60, 3), np.uint8), predictor=predictor, **arguments)


def test_settings_reach_the_choice(draw: Callable[..., Path], predictor: Predictor):
    photo = draw("a.png", size=(900, 600), x=0.8)
    assert gaze.crop(photo, "1:1", predictor, zoom=2).box.size == gaze.Size(300, 300)
    assert gaze.crop(photo, "1:1", predictor, zoom=(1, 4)).zoom > 1
    assert gaze.crop(photo, "9:16", predictor, keep=1).box == gaze.Box(0, 0, 900, 600)
    still = gaze.crop(photo, "1:1", predictor, threshold=1)
    assert (still.box, still.centered) == (gaze.Box(150, 0, 600, 600), True)
    assert still.confidence > 0
    best = gaze.crop(photo, "9:16", predictor, candidates=3)
    assert len(best.alternatives) == 2
    assert best.alternatives[0].score < best.score
    with pytest.raises(gaze.ConfigError, match="zoom: expected"):
        gaze.crop(photo, "1:1", predictor, zoom=0.5)
    with pytest.raises(gaze.ConfigError, match="focus: expected points inside the 900x600"):
        gaze.crop(photo, "1:1", predictor, focus=gaze.Point(900, 10))


@pytest.mark.parametrize(
    "wanted",
    [
        {"size": "99999x99999", "upscale": True},
        {"size": "99999x99999", "fill": "white"},
        {"size": (99999, None), "ratio": "1:1", "upscale": True},
    ],
)
def test_a_thumbnail_has_no_more_pixels_than_a_photo_may_have(predictor: Predictor, wanted: dict[str, Any]):
    with pytest.raises(gaze.ConfigError, match=r"^size: expected a thumbnail of at most 178956970 pixels, got 99999x"):
        gaze.thumbnail(np.zeros((40, 60, 3), np.uint8), predictor=predictor, **wanted)


def test_many_points_are_refused_in_one_line(predictor: Predictor):
    for focus in ([(1, 1)] * 100_000, {(x, 1) for x in range(100_000)}):
        with pytest.raises(gaze.ConfigError, match=r"^focus: expected") as caught:
            gaze.crop(np.zeros((40, 60, 3), np.uint8), predictor=predictor, focus=focus)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 200


def test_threads_get_what_one_gets(draw: Callable[..., Path], predictor: Predictor):
    photos = [draw(f"{k}.png", x=0.1 * k, y=0.3 + 0.04 * k) for k in range(1, 10)]

    def cropped(photo: Path) -> gaze.Crop:
        return gaze.crop(photo, "1:1", predictor, zoom=(1, 2), candidates=2)

    expected = [cropped(photo) for photo in photos]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(cropped, photos * 4)) == expected * 4


def test_a_crop_says_what_gaze_is_on_cut_heads_where_the_model_knows(
    draw: Callable[..., Path], head_model: Path, bright_model: Path
):
    photo = draw("a.png")
    known, unknown = (gaze.crop(photo, "9:16", model=model) for model in (head_model, bright_model))
    assert 0 <= known.cut_heads <= 1
    assert 0 <= known.center_cut_heads <= 1
    assert (unknown.cut_heads, unknown.center_cut_heads) == (None, None)
    assert gaze.thumbnail(photo, 40, "9:16", model=head_model).size == gaze.thumbnail(photo, 40, "9:16").size


@pytest.mark.parametrize("size", [(100, 100), (90, 160), (160, 90), (37, 53)])
@pytest.mark.parametrize("photo", [(640, 480), (301, 517), (1000, 333), (100, 100)])
def test_centering_has_pillow_cut_out_our_box(predictor: Predictor, size: tuple[int, int], photo: tuple[int, int]):
    width, height = photo
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 5 : height // 3, width * 3 // 4 : width * 5 // 6] = 255
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = Image.merge("RGB", [Image.fromarray(pixels[..., 0])] * 3), Image.fromarray(x), Image.fromarray(y)
    box, center = gaze.crop(pixels, size, predictor).box, gaze.centering(places[0], size, predictor)
    columns, rows = (
        np.asarray(ImageOps.fit(place, size, Image.Resampling.NEAREST, centering=center)) for place in places[1:]
    )
    step = max(box.width / size[0], box.height / size[1])  # the nearest pixel of a cell of the thumbnail
    assert abs(columns[0, 0] - box.left) <= step / 2 + 1
    assert abs(columns[0, -1] - (box.left + box.width - 1)) <= step / 2 + 1
    assert abs(rows[0, 0] - box.top) <= step / 2 + 1
    assert abs(rows[-1, 0] - (box.top + box.height - 1)) <= step / 2 + 1


def test_centering_needs_both_sides(predictor: Predictor):
    with pytest.raises(gaze.ConfigError, match=r"size: expected a width and a height in pixels.*got \(400, None\)"):
        gaze.centering(Image.new("RGB", (60, 40)), (400, None), predictor)  # type: ignore[arg-type]
