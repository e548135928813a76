"""How a photo lies: EXIF's orientation, and the turn that makes it upright."""

from PIL import Image

ORIENTATION = 0x0112
"""The tag of EXIF's first directory."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or one that means nothing. XMP's does not count."""
    try:
        exif = image.getexif()
        if stored := image.info.get("exif"):  # as Pillow may have looked into XMP when it opened the file
            exif = Image.Exif()
            exif.load(stored)
        orientation = int(exif.get(ORIENTATION, 1))
    except Warning:  # which the caller wants as an error
        raise
    except Exception:  # damaged metadata is no reason to refuse the pixels
        return 1
    return orientation if orientation in range(1, 9) else 1


def sideways(orientation: int) -> bool:
    """Whether making the image upright exchanges width and height."""
    return orientation in (5, 6, 7, 8)


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """The image upright, without metadata."""
    upright = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
    upright.info = {}
    return upright
