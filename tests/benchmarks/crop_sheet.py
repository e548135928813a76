"""Contact sheets of `crop_quality.py`: photographs with their fixations and the boxes of some croppers."""

from pathlib import Path

from crop_choosers import WINDOWS, Photo
from PIL import Image, ImageDraw

from gaze.geometry import Box

SIDE, COLUMNS = 300, 6
"""Pixels of a photograph's longer side; photographs in a row."""

EVERY, PAGE = 4, 30
"""Every so many photographs one is shown; so many on a sheet."""


class Sheet:
    """Collects pictures and lays them out, one set of sheets for each window.

    Args:
        colors: name of a way to choose -> colour of its box.
    """

    def __init__(self, colors: dict[str, str]) -> None:
        self._colors = colors
        self._seen = 0
        self._pictures: dict[str, list[Image.Image]] = {window.name: [] for window in WINDOWS}

    def add(self, photo: Photo, boxes: dict[str, list[Box]]) -> None:
        """Takes every `EVERY`th photograph; `boxes` holds one for each window."""
        self._seen += 1
        if self._seen % EVERY:
            return
        for k, window in enumerate(WINDOWS):
            drawn = {color: boxes[name][k] for name, color in self._colors.items()}
            self._pictures[window.name].append(_drawn(photo, drawn))

    def save(self, folder: Path) -> None:
        """Writes `sheet_<window>_<number>.jpg`."""
        for name, pictures in self._pictures.items():
            for start in range(0, len(pictures), PAGE):
                path = folder / f"sheet_{name.replace(':', 'x').replace(' ', '_')}_{start // PAGE}.jpg"
                _grid(pictures[start : start + PAGE]).save(path, quality=88)


def _drawn(photo: Photo, boxes: dict[str, Box]) -> Image.Image:
    size = photo.size.within(SIDE) if max(photo.size.width, photo.size.height) > SIDE else photo.size
    scale = size.width / photo.size.width
    picture = Image.fromarray(photo.image).resize((size.width, size.height))
    pen = ImageDraw.Draw(picture)
    for x, y in zip(photo.fixations.x * scale, photo.fixations.y * scale, strict=True):
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill="yellow")
    for inset, (color, box) in enumerate(boxes.items()):
        left, top, right, bottom = (scale * edge for edge in (box.left, box.top, box.right, box.bottom))
        pen.rectangle((left + inset, top + inset, right - 1 - inset, bottom - 1 - inset), outline=color, width=2)
    return picture


def _grid(pictures: list[Image.Image]) -> Image.Image:
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE))
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k % COLUMNS * SIDE, k // COLUMNS * SIDE))
    return sheet
