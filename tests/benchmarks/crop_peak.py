"""The most memory that `python -m gaze.crop` takes for one photo, format by format.

    python tests/benchmarks/crop_peak.py OUT [--megapixels 40] [--only PNG]

OUT receives `crop_peak.md` and `crop_peak.json`. Every file holds the same smooth picture. A photo of a few pixels
tells what the process takes in any case; the rest of the peak is put down to the pixels. On Linux, where the memory is
counted in kilobytes, and what a process holds as it starts another counts for that one as well: so photos are written
by processes of their own.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

SHARE = 0.8
"""Height over width."""

OPTIONS = {"full size": [], "400x400": ["--size", "400x400"]}


def scene(width: int, mode: str) -> Image.Image:
    """Broad waves, in `mode`."""
    height = round(SHARE * width)
    y, x = np.ogrid[0:height, 0:width]
    if mode == "F":
        return Image.fromarray((x / width * np.ones((height, 1))).astype(np.float32))
    grey = np.uint8(127 + 60 * np.sin(x * 9 / width)) + np.uint8(60 * (y * 2 // height))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    image = Image.fromarray(grey)
    return image if mode == "L" else image.convert("RGB").convert(mode)


def kinds() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Name -> Pillow's format, mode, options."""
    deflate = {"compression": "tiff_adobe_deflate"}
    found: dict[str, tuple[str, str, dict[str, Any]]] = {
        "JPEG": ("JPEG", "RGB", {}),
        "JPEG, turned": ("JPEG", "RGB", {"exif": _turned()}),
        "JPEG, CMYK": ("JPEG", "CMYK", {}),
        "JPEG, progressive": ("JPEG", "RGB", {"progressive": True}),
        "JPEG, progressive, 4:4:4": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        "PNG, RGB": ("PNG", "RGB", {}),
        "PNG, RGBA": ("PNG", "RGBA", {}),
        "PNG, palette": ("PNG", "P", {}),
        "PNG, 1 bit": ("PNG", "1", {}),
        "PNG, grey with alpha": ("PNG", "LA", {}),
        "PNG, 16-bit grey": ("PNG", "I;16", {}),
        "TIFF, RGB": ("TIFF", "RGB", deflate),
        "TIFF, 16-bit grey": ("TIFF", "I;16", deflate),
        "TIFF, float": ("TIFF", "F", deflate),
        "TIFF, float, one strip": ("TIFF", "F", {**deflate, "strip_size": 2**31 - 1}),
        "TIFF, CMYK": ("TIFF", "CMYK", deflate),
        "BMP": ("BMP", "RGB", {}),
        "PPM": ("PPM", "RGB", {}),
        "GIF": ("GIF", "P", {}),
        "WEBP": ("WEBP", "RGB", {"method": 0}),
        "WEBP, lossless, alpha": ("WEBP", "RGBA", {"method": 0, "lossless": True}),
    }
    Image.init()
    if "AVIF" in Image.SAVE:
        found["AVIF"] = ("AVIF", "RGB", {"speed": 10})
        found["AVIF, 4:4:4, alpha"] = ("AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"})
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return found
    register_heif_opener()
    return {**found, "HEIF": ("HEIF", "RGB", {}), "HEIF, alpha": ("HEIF", "RGBA", {})}


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def peak(command: list[str]) -> float:
    """The most megabytes that a command held."""
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, 1, 0)])
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{' '.join(command)}: exit status {status}")
    return used.ru_maxrss / 1024


def write(name: str, width: int, folder: Path) -> Path:
    """Writes a photo, in another process."""
    path = folder / f"photo.{kinds()[name][0].lower()}"
    process = multiprocessing.get_context("spawn").Process(target=_write, args=(name, width, path))
    process.start()
    process.join()
    return path


def _write(name: str, width: int, path: Path) -> None:
    Image.MAX_IMAGE_PIXELS = None
    kind, mode, options = kinds()[name]
    options = dict(options)
    TiffImagePlugin.STRIP_SIZE = options.pop("strip_size", 65536)
    scene(width, mode).save(path, kind, **options)


def measured(name: str, width: int, folder: Path, crop: Callable[[Path, list[str]], float]) -> dict[str, Any]:
    """A row: the peak for each of `OPTIONS`, and what that is a pixel."""
    row: dict[str, Any] = {"format": name, "megapixels": width * round(SHARE * width) / 1e6}
    small, large = write(name, 64, folder), None
    for title, options in OPTIONS.items():
        row[title] = {"base": crop(small, options)}
    large = write(name, width, folder)
    row["bytes"] = large.stat().st_size
    for title, options in OPTIONS.items():
        row[title]["peak"] = crop(large, options)
        row[title]["a pixel"] = (row[title]["peak"] - row[title]["base"]) * 2**20 / (row["megapixels"] * 1e6)
    large.unlink()
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| photo | file, MB | full size: peak, MB | bytes a pixel | 400x400: peak, MB | bytes a pixel |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for row in rows:
        cells = [f"{row[title]['peak']:.0f} | {row[title]['a pixel']:.1f}" for title in OPTIONS]
        lines.append(f"| {row['format']} | {row['bytes'] / 1e6:.1f} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--megapixels", type=float, default=40)
    parser.add_argument("--only", default="", help="formats whose name begins so")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    width = round((options.megapixels * 1e6 / SHARE) ** 0.5)
    with tempfile.TemporaryDirectory() as scratch:

        def crop(photo: Path, more: list[str]) -> float:
            out = str(Path(scratch) / "out")
            command = [sys.executable, "-m", "gaze.crop", str(photo), out, "--overwrite", "--max-pixels", "1000000000"]
            return peak([*command, *more])

        rows = [measured(name, width, Path(scratch), crop) for name in kinds() if name.startswith(options.only)]
    print(table(rows))
    (options.out / "crop_peak.md").write_text(table(rows))
    (options.out / "crop_peak.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
