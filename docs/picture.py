"""Draws docs/crop.jpg, the picture of the README: the photograph, the predicted gaze with the box, and crops."""

from pathlib import Path

import numpy as np
from PIL import Image

import gaze
from gaze.images.heatmap import overlay

HERE = Path(__file__).parent
HEIGHT, GAP = 300, 12


def main() -> None:
    """Writes the picture."""
    photo = HERE / "chelsea.jpg"
    image = Image.open(photo).convert("RGB")
    crops = [gaze.crop(photo, ratio=ratio) for ratio in ("1:1", "4:5", "16:9")]
    parts = [image, overlay(np.asarray(image), gaze.saliency(photo), [crops[0].box])]
    for crop in crops:
        box = crop.box
        parts.append(image.crop((box.left, box.top, box.right, box.bottom)))
    parts = [
        part.resize((round(part.width * HEIGHT / part.height), HEIGHT), Image.Resampling.LANCZOS) for part in parts
    ]
    sheet = Image.new("RGB", (sum(part.width + GAP for part in parts) - GAP, HEIGHT), "white")
    left = 0
    for part in parts:
        sheet.paste(part, (left, 0))
        left += part.width + GAP
    sheet.save(HERE / "crop.jpg", quality=88)


if __name__ == "__main__":
    main()
