import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pictures import AVIF, corners, stored
from PIL import Image

from gaze.errors import ImageError
from gaze.images import Frame, Limits, encode, open_photo
from gaze.images.bounds import check_gif_frames

KINDS = [
    "GIF",
    "PNG",
    "WEBP",
    pytest.param("AVIF", marks=pytest.mark.skipif(not AVIF, reason="AVIF")),
]
SHADES = ["red", "lime", "blue", "white"]


def moving(kind: str, **options: Any) -> bytes:
    """Four frames, each of one colour, shown for 100, 200, 300 and 400 milliseconds."""
    frames = [Image.new("RGB", (48, 32), shade) for shade in SHADES]
    options = {"duration": [100, 200, 300, 400], "append_images": frames[1:], **options}
    return stored(frames[0], kind, save_all=True, **options)


def is_near(image: Image.Image, shade: str) -> bool:
    expected = np.asarray(Image.new("RGB", image.size, shade), dtype=int)
    return bool(np.abs(np.asarray(image.convert("RGB")) - expected).max() <= 8)


def test_first_frame_of_an_animation():
    frames = [corners(), Image.new("RGB", (48, 32))]
    file = stored(frames[0].quantize(8), "GIF", save_all=True, append_images=[frames[1].quantize(8)])
    photo = open_photo(file)
    assert np.array_equal(np.asarray(photo.image), np.asarray(corners()))
    assert len(photo.frames) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 2), (9, 4), (None, 4)])
def test_frames_that_were_asked_for(kind: str, count: int | None, kept: int):
    photo = open_photo(moving(kind), frames=count)
    assert photo.image is photo.frames[0].image
    assert len(photo.frames) == kept
    assert all(is_near(frame.image, shade) for frame, shade in zip(photo.frames, SHADES, strict=False))
    assert [frame.milliseconds for frame in photo.frames] == [100, 200, 300, 400][:kept]


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_animation_stays_one(kind: str, target: str):
    photo = open_photo(moving(kind), frames=None)
    again = open_photo(encode(photo.frames, target, photo=photo), frames=None)
    assert again.format == target
    assert all(is_near(frame.image, shade) for frame, shade in zip(again.frames, SHADES, strict=True))
    assert [frame.milliseconds for frame in again.frames] == [100, 200, 300, 400]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_format_that_does_not_move_takes_the_first_frame(kind: str):
    photo = open_photo(moving("GIF"), frames=None)
    again = open_photo(encode(photo.frames, kind, photo=photo), frames=None)
    assert len(again.frames) == 1
    assert is_near(again.image, "red")


@pytest.mark.parametrize("target", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("plays", [0, 1, 5])
def test_an_animation_plays_as_often_as_before(plays: int, target: str):
    repetitions = {} if plays == 1 else {"loop": max(0, plays - 1)}  # in a GIF
    for file in (moving("GIF", **repetitions), moving("PNG", loop=plays), moving("WEBP", loop=plays)):
        photo = open_photo(file, frames=None)
        assert photo.loop == plays
        assert open_photo(encode(photo.frames, target, photo=photo), frames=None).loop == plays


def test_frames_are_composited_after_the_disposal_of_the_one_before():
    """Two small frames over a red one: the first is taken away again, the second stays."""
    frames = [Image.new("P", size) for size in ((48, 32), (10, 10), (12, 12))]
    for number, frame in enumerate(frames):
        frame.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
        frame.paste(number, (0, 0, *frame.size))
    file = stored(frames[0], "GIF", save_all=True)
    # each frame with its place by hand, since Pillow writes only whole canvases
    parts = [image_block(frames[0], 0, 0, 1), image_block(frames[1], 5, 5, 3), image_block(frames[2], 30, 12, 1)]
    header = file[: 13 + 3 * 2 ** ((file[10] & 7) + 1)]
    shown = [
        np.asarray(f.image.convert("RGB")) for f in open_photo(header + b"".join(parts) + b";", frames=None).frames
    ]
    expected = [np.full((32, 48, 3), (255, 0, 0)) for _ in range(3)]
    expected[1][5:15, 5:15] = (0, 255, 0)
    expected[2][12:24, 30:42] = (0, 0, 255)
    assert all(np.array_equal(a, b) for a, b in zip(shown, expected, strict=True))


def image_block(frame: Image.Image, left: int, top: int, disposal: int) -> bytes:
    """A GIF's graphic control and image blocks, with a palette of its own, for a frame at a place."""
    single = stored(frame, "GIF", interlace=False)
    bits = single[10] & 7
    start = 13 + 3 * 2 ** (bits + 1)
    palette = single[13:start]
    assert single[start : start + 1] == b","
    control = b"!\xf9\x04" + struct.pack("<BHBB", disposal << 2, 5, 0, 0)
    place = struct.pack("<HHHHB", left, top, *frame.size, 0x80 | bits)
    return control + b"," + place + palette + single[start + 10 : -1]


def test_an_animated_png_may_show_another_picture_where_nothing_moves():
    file = moving("PNG", default_image=True, duration=50)
    assert is_near(open_photo(file).image, "red")
    kept = open_photo(file, frames=2).frames
    assert [is_near(frame.image, shade) for frame, shade in zip(kept, SHADES[1:], strict=False)] == [True, True]


def test_pages_are_no_frames():
    file = stored(corners(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    photo = open_photo(file, frames=None)
    assert len(photo.frames) == 1
    assert np.array_equal(np.asarray(photo.image), np.asarray(corners()))


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_together_stay_within_the_limit(kind: str):
    limits = Limits(pixels=3 * 48 * 32)
    assert len(open_photo(moving(kind), frames=3, limits=limits).frames) == 3
    with pytest.raises(ImageError, match=r"^image: 48x32 in 4 frames is more than 4608 pixels$"):
        open_photo(moving(kind), frames=None, limits=limits)


def test_a_damaged_later_frame_matters_only_to_who_asks_for_it():
    file = moving("GIF")[:-30]
    assert is_near(open_photo(file).image, "red")
    with pytest.raises(ImageError, match=r"^image: damaged, truncated or unsupported GIF"):
        open_photo(file, frames=None)


def test_transparency_of_an_animation_survives_in_a_gif():
    frames = [Image.new("RGBA", (48, 32), (0, 0, 0, 0)) for _ in range(2)]
    frames[0].paste("red", (0, 0, 10, 10))
    frames[1].paste("red", (20, 0, 30, 10))
    photo = open_photo(stored(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=90), frames=None)
    again = open_photo(encode(photo.frames, "GIF", photo=photo), frames=None)
    for frame, expected in zip(again.frames, frames, strict=True):
        alpha = np.asarray(frame.image.getchannel("A"))
        assert np.array_equal(alpha, np.asarray(expected.getchannel("A")))
        assert np.array_equal(np.asarray(frame.image.convert("RGB"))[alpha > 0], np.full((100, 3), (255, 0, 0)))


def test_a_gif_has_the_colours_of_its_picture():
    assert np.array_equal(np.asarray(open_photo(encode(corners(), "GIF")).image), np.asarray(corners()))
    grey = open_photo(encode(corners("L"), "GIF")).image.convert("L")
    assert np.array_equal(np.asarray(grey), np.asarray(corners("L")))


def drifting(count: int = 6, mode: str = "RGB") -> list[Frame]:
    """A photo-like scene, through which a square moves."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    scene = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    frames = []
    for number in range(count):
        image = scene.convert(mode)
        image.paste((250, 250, 40), (20 * number, 50, 20 * number + 16, 66))
        if mode == "RGBA":
            image.paste((0, 0, 0, 0), (0, 0, 160, 20))
        frames.append(Frame(image, 50))
    return frames


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_what_stands_still_in_a_gif_stays_as_it_is(mode: str):
    frames = drifting(mode=mode)
    again = [np.asarray(frame.image.convert("RGBA")) for frame in open_photo(encode(frames, "GIF"), frames=None).frames]
    for number in range(1, len(frames)):
        pair = [np.asarray(frames[n].image) for n in (number - 1, number)]
        still = (pair[0] == pair[1]).all(axis=-1)
        assert still.mean() > 0.9
        assert (again[number - 1] == again[number]).all(axis=-1)[still].all()
        assert np.abs(again[number][..., :3].astype(int) - pair[1][..., :3])[30:].mean() < 12


def test_an_animated_gif_has_one_palette():
    file = encode(drifting(), "GIF")
    local = 0
    at = 13 + 3 * 2 ** ((file[10] & 7) + 1)
    while file[at : at + 1] != b";":
        if file[at : at + 1] == b",":
            local += file[at + 9] >> 7
            at += 11 + (3 * 2 ** ((file[at + 9] & 7) + 1) if file[at + 9] >> 7 else 0)
        else:
            at += 2
        while file[at]:
            at += 1 + file[at]
        at += 1
    assert local == 0
    assert len(file) < 1.5 * len(encode(drifting(1), "GIF")) + 5 * 400


def test_few_colours_of_an_animation_stay_themselves():
    shades = ["#102030", "#ff0000", "#00ff00", "#c0a080", "#ffffff"]
    frames = [Frame(Image.new("RGB", (48, 32), shade), 50) for shade in shades]
    for frame, again in zip(frames, open_photo(encode(frames, "GIF"), frames=None).frames, strict=True):
        assert np.abs(np.asarray(again.image.convert("RGB")).astype(int) - np.asarray(frame.image)).max() <= 4


def test_an_animation_of_very_many_frames_is_refused():
    single = stored(Image.new("P", (1, 1)), "GIF")
    start = single.index(b",")
    many = single[:start] + single[start:-1] * 100_000 + b";"
    assert open_photo(many).size.width == 1
    with pytest.raises(ImageError, match=r"^image: an animation of more than 10000 frames$"):
        open_photo(many, frames=None)
    few = single[:start] + single[start:-1] * 30 + b";"
    assert len(open_photo(few, frames=None).frames) == 30


@pytest.mark.parametrize("cut", range(0, 200, 3))
def test_frames_of_a_damaged_gif_are_counted_without_an_error(cut: int):
    file = moving("GIF")
    for content in (file[:cut], file[:cut] + b"\xff" + file[cut + 1 :], file[:cut] + b"," * 99):
        check_gif_frames(BytesIO(content))


@pytest.mark.parametrize(("milliseconds", "shown"), [([500_000] * 4, [655_350]), ([10**9, 50], [655_350])])
def test_frames_show_no_longer_than_a_gif_can_say(milliseconds: list[int], shown: list[int]):
    still = [Frame(corners(), each) for each in milliseconds]
    again = open_photo(encode(still, "GIF"), frames=None).frames
    assert sum(frame.milliseconds for frame in again) == sum(shown)
    moving = [Frame(Image.new("RGB", (9, 9), shade), 600_000) for shade in SHADES]
    assert [f.milliseconds for f in open_photo(encode(moving, "GIF"), frames=None).frames] == [600_000] * 4
