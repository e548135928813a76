"""Damaged files: what of the picture could be decoded, and whether that is enough of it."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile

from gaze.errors import ImageError, one_line
from gaze.images.color import bands
from gaze.images.jpeg import WatchedJpeg

ENOUGH = 0.95
"""Share of the rows from the top that a damaged file must hold to count as a picture."""

_PARTIAL = frozenset({"JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF"})
"""Formats whose decoders keep the rows that came before the damage."""


def load(reopen: Callable[[], ImageFile.ImageFile], kind: str, strict: bool) -> tuple[ImageFile.ImageFile, str]:
    """Decodes the first frame.

    Args:
        reopen: opens the file anew, not yet decoded.
        kind: the format.
        strict: refuse what is damaged.

    Returns:
        The image, and in a few words what is damaged; empty where nothing is.

    Raises:
        ImageError: it is damaged and `strict`, or less than `ENOUGH` of its rows could be decoded.
    """
    image, cause = reopen(), None
    try:
        damage = _load(image, kind)
    except (Image.DecompressionBombError, Warning):
        raise
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
        damage, cause = one_line(error), error
    if not damage:
        return image, ""
    image, share = _decoded(reopen, kind) if kind in _PARTIAL and not strict else (image, 0.0)
    if share < ENOUGH:
        part = f"; {share:.0%} of it could be decoded" if share else ""
        raise ImageError(f"damaged, truncated or unsupported {kind} file ({damage}{part})") from cause
    return image, damage


def _load(image: ImageFile.ImageFile, kind: str, noise: bool = False) -> str:
    """Decodes a file; what is damaged, where Pillow would not say."""
    if kind != "JPEG":
        image.load()
        return ""
    watched = WatchedJpeg(image, noise)
    image.fp = watched  # type: ignore[assignment]
    image.load()
    if watched.damage and not watched.whole:
        raise ImageError(f"{watched.damage}, and whole scans are missing")
    return watched.damage


def _decoded(reopen: Callable[[], ImageFile.ImageFile], kind: str) -> tuple[ImageFile.ImageFile, float]:
    """The image as far as it could be decoded, and which share of its rows that is.

    It is decoded twice, over different backgrounds: where the pixels are alike, they come from the file.
    """
    images = []
    for background in (1, 0):
        images.append(reopen())
        if not _attempt(images[-1], kind, background):
            return images[-1], 0.0
    rows = np.concatenate([_shares_alike(images[0], images[1], box) for box in bands(images[0].size)])
    if kind == "JPEG":  # where grey and noise may be alike, by chance or where the noise ends
        rows[int(np.argmax([*(rows < 0.05), True])) :] = 0
    return images[-1], float(rows.mean())


def _shares_alike(first: Image.Image, second: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    """The share of each row of a box in which two images are alike."""
    one, other = (np.asarray(image.crop(box)) for image in (first, second))
    alike = one == other
    return (alike if alike.ndim == 2 else alike.all(axis=-1)).mean(axis=1)


def _attempt(image: ImageFile.ImageFile, kind: str, background: int) -> bool:
    """Decodes what can be; whether there is anything to look at."""
    if kind != "JPEG":
        _put_beneath(image, background)
    try:
        _load(image, kind, noise=background > 0)
    except Exception:
        image.tile = []  # as far as it came
        return kind != "JPEG" and _has_pixels(image)
    return True


def _has_pixels(image: Image.Image) -> bool:
    try:
        image.getpixel((0, 0))
    except Exception:  # which one depends on Pillow's version
        return False
    return True


def _put_beneath(image: ImageFile.ImageFile, background: int) -> None:
    """Has the decoder write over pixels of this value."""
    prepare = image.load_prepare

    def load_prepare() -> None:
        prepare()
        bands = len(image.getbands())
        image.im.paste(background if bands == 1 else (background,) * bands, (0, 0, *image.im.size))

    image.load_prepare = load_prepare  # type: ignore[method-assign]
