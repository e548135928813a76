"""Makes square thumbnails with the croppers that Python users have, as crop_speed.py asks and times.

    python crop_speed_peers.py vips|smartcrop|pillow|opencv SIDE QUALITY

A line in: {"files", "out"}, a list of photos and a folder. A line out: {"seconds", "cpu"}, of wall time and of all
threads. One photo at a time; `pillow` and `opencv` cut out the centre.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

Crop = Callable[[Path, Path, int, int], None]


def vips() -> Crop:
    """libvips' `attention`; set VIPS_CONCURRENCY."""
    import pyvips

    def crop(file: Path, out: Path, side: int, quality: int) -> None:
        pyvips.Image.thumbnail(str(file), side, height=side, crop="attention").jpegsave(str(out), Q=quality)

    return crop


def smartcrop() -> Crop:
    """smartcrop.py as its command does it: the box on the whole photo, which is then cut and scaled."""
    from PIL import Image
    from smartcrop import SmartCrop

    cropper = SmartCrop()

    def crop(file: Path, out: Path, side: int, quality: int) -> None:
        image = Image.open(file).convert("RGB")
        box = cropper.crop(image, 100, 100)["top_crop"]
        place = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        image.crop(place).resize((side, side), Image.Resampling.LANCZOS).save(out, quality=quality)

    return crop


def pillow() -> Crop:
    """The centre, decoded reduced."""
    from PIL import Image, ImageOps

    def crop(file: Path, out: Path, side: int, quality: int) -> None:
        image = Image.open(file)
        image.draft("RGB", (side, side))
        ImageOps.fit(image, (side, side)).save(out, quality=quality)

    return crop


def opencv() -> Crop:
    """The centre, decoded reduced."""
    import cv2

    cv2.setNumThreads(1)
    scales = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    from PIL import Image

    def crop(file: Path, out: Path, side: int, quality: int) -> None:
        with Image.open(file) as header:
            factor = min(header.size) / side
        flag = next((flag for scale, flag in scales.items() if scale <= factor), cv2.IMREAD_COLOR)
        image = cv2.imread(str(file), flag)
        short = min(image.shape[:2])
        top, left = (image.shape[0] - short) // 2, (image.shape[1] - short) // 2
        part = image[top : top + short, left : left + short]
        small = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(out), small, [cv2.IMWRITE_JPEG_QUALITY, quality])

    return crop


def main(way: str, side: int, quality: int) -> None:
    """Answers each line."""
    crop = {"vips": vips, "smartcrop": smartcrop, "pillow": pillow, "opencv": opencv}[way]()
    for line in sys.stdin:
        asked = json.loads(line)
        out, start, cpu = Path(asked["out"]), perf_counter(), process_time()
        for file in map(Path, asked["files"]):
            crop(file, out / file.name, side, quality)
        print(json.dumps({"seconds": perf_counter() - start, "cpu": process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
