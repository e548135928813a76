"""Draws docs/crop.jpg, the picture of the README: a photograph, the predicted gaze, and what two croppers keep of it.

python docs/picture.py            leaves the file alone where it already shows the same
python docs/picture.py OTHER.jpg  writes there
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import gaze
from gaze.geometry import Box
from gaze.images.heatmap import overlay

HERE = Path(__file__).parent
PHOTO, PICTURE = HERE / "dog.jpg", HERE / "crop.jpg"
RATIOS = ("1:1", "4:5", "9:16")
HEIGHT, GAP, LINE = 300, 12, 30
TOLERANCE = 8.0
"""Levels of 255 by which the mean pixel of a block of 16x16 may differ before it counts as another picture."""


def main(target: Path = PICTURE) -> None:
    """Writes the picture, unless `target` shows it already."""
    data = encode(draw())
    if not (target.exists() and same(target.read_bytes(), data)):
        target.write_bytes(data)


def draw() -> Image.Image:
    """The picture: two rows of parts with a caption over each."""
    image = Image.open(PHOTO).convert("RGB")
    boxes = {ratio: gaze.crop(PHOTO, ratio=ratio).box for ratio in RATIOS}
    heat = overlay(np.asarray(image), gaze.saliency(PHOTO), [boxes["9:16"]])
    rows = [
        [("the photograph", image), *((f"center, {ratio}", _center(image, box)) for ratio, box in boxes.items())],
        [("predicted gaze, box of 9:16", heat), *((f"gaze, {name}", _cut(image, box)) for name, box in boxes.items())],
    ]
    parts = [[(caption, _scaled(part)) for caption, part in row] for row in rows]
    width = sum(part.width + GAP for _, part in parts[0]) - GAP
    sheet = Image.new("RGB", (width, len(parts) * (LINE + HEIGHT + GAP) - GAP), "white")
    for number, row in enumerate(parts):
        _paste(sheet, row, number * (LINE + HEIGHT + GAP))
    return sheet


def encode(picture: Image.Image) -> bytes:
    """JPEG of fixed options and without metadata: the same pixels give the same bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=86, subsampling="4:2:0", optimize=True, progressive=False)
    return buffer.getvalue()


def same(first: bytes, second: bytes) -> bool:
    """Whether two files show the same, whatever versions of Pillow and ONNX Runtime drew them."""
    one, other = (Image.open(io.BytesIO(data)).convert("RGB") for data in (first, second))
    if one.size != other.size:
        return False
    one, other = (np.asarray(image.reduce(16), np.float32) for image in (one, other))
    return float(np.abs(one - other).max()) < TOLERANCE


def _paste(sheet: Image.Image, row: list[tuple[str, Image.Image]], top: int) -> None:
    pen, left = ImageDraw.Draw(sheet), 0
    for caption, part in row:
        pen.text((left, top + 4), caption, fill="#333333", font=ImageFont.load_default(18))
        sheet.paste(part, (left, top + LINE))
        left += part.width + GAP


def _center(image: Image.Image, box: Box) -> Image.Image:
    left, top = (image.width - box.width) // 2, (image.height - box.height) // 2
    return _cut(image, Box(left, top, box.width, box.height))


def _cut(image: Image.Image, box: Box) -> Image.Image:
    return image.crop((box.left, box.top, box.right, box.bottom))


def _scaled(part: Image.Image) -> Image.Image:
    return part.resize((round(part.width * HEIGHT / part.height), HEIGHT), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
