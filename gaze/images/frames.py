"""The pictures in an opened file: composited, in simple colours, not yet turned."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from gaze.errors import ImageError
from gaze.images.bounds import MAX_FRAMES
from gaze.images.color import simplify
from gaze.images.formats import ANIMATED


@dataclass(frozen=True)
class Frame:
    """One picture of an animation, or the only one of a photo."""

    image: Image.Image
    milliseconds: int = 0
    """How long it shows."""


def read_frames(file: Image.Image, kind: str, count: int | None, pixels: int, profile: bool = False) -> Iterator[Frame]:
    """The first `count` frames of an opened file as a viewer shows them, not yet turned; None: all.

    Args:
        file: decoded frame by frame as the frames are asked for; closed where there is only one.
        kind: the format; of one that is not animated there is one frame.
        count: at least 1.
        pixels: how many all the frames together may have.
        profile: leave colours in the file's profile.

    Raises:
        ImageError: the frames have more than `pixels`, or are more than `MAX_FRAMES`.
    """
    numbers = _numbers(file, count) if kind in ANIMATED and count != 1 else range(1)
    if len(numbers) > MAX_FRAMES:
        raise ImageError(f"an animation of more than {MAX_FRAMES} frames")
    size = file.size
    for number in numbers:
        if number:
            file.seek(number)
        # here, as a frame of a GIF that reaches beyond the canvas enlarges it
        if file.width * file.height * len(numbers) > pixels:
            raise ImageError(f"{file.width}x{file.height} in {len(numbers)} frames is more than {pixels} pixels")
        file.load()
        milliseconds = round(file.info.get("duration") or 0)
        image = simplify(file, profile, own=len(numbers) == 1)
        if len(numbers) == 1:
            file.close()  # its pixels are the image's, or no longer needed
        image = image if image.size == size else image.crop((0, 0, *size))
        yield Frame(image, milliseconds)


def _numbers(file: Image.Image, count: int | None) -> range:
    total = getattr(file, "n_frames", 1)
    first = 1 if file.info.get("default_image") and total > 1 else 0  # what an APNG shows where nothing moves
    return range(first, total if count is None else min(total, first + count))


def plays(file: Image.Image, kind: str) -> int:
    """How often an animation plays, 0 for ever."""
    loop = file.info.get("loop")
    if kind == "GIF":  # which counts repetitions, and says nothing where there is none
        return 1 if loop is None else loop and loop + 1
    return loop or 0
