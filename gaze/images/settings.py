"""What a user may say of images: what is refused, what is kept, how pictures are written."""

from dataclasses import dataclass

from gaze.errors import ConfigError
from gaze.images.formats import WRITTEN

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded; Pillow refuses them too wherever it looks, see `accept`."""

MAX_BYTES = 2**30
"""Larger files are refused before they are read."""

_INSTEAD = {"HEIF": "JPEG"}
"""What a photo in a format that gaze does not write becomes, where that is not PNG."""


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded."""

    pixels: int = MAX_PIXELS
    """Of one frame, and of all the frames that are kept together; more than `MAX_PIXELS` need `accept`. Where it is
    that, formats that need more memory than 8 bytes a pixel have fewer."""
    bytes: int = MAX_BYTES
    """Of the file."""


@dataclass(frozen=True)
class Keep:
    """What goes from a photo into its thumbnails besides the pixels."""

    metadata: bool = False
    """EXIF and XMP, without orientation and embedded thumbnails, which would no longer be true."""
    profile: bool = False
    """The colour profile; otherwise colours are converted to sRGB."""


@dataclass(frozen=True)
class Encoding:
    """How pictures are written; what a format does not know, it does not heed."""

    format: str | None = None
    """One of `WRITTEN`; None: that of the photo, or PNG (for HEIF, JPEG) where gaze does not write it."""
    quality: int | None = None
    """1 to 100, of JPEG, WebP and AVIF; None: 90, for AVIF 80."""
    progressive: bool = False
    """Of JPEG."""
    chroma: str | None = None
    """Chroma subsampling of JPEG and AVIF, "420", "422" or "444"; None: 420. WebP is always 420."""

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in WRITTEN:
            raise ConfigError(f"format: expected one of {' '.join(WRITTEN)}, got {self.format!r}")
        if self.quality is not None and self.quality not in range(1, 101):
            raise ConfigError(f"quality: expected a whole number from 1 to 100, got {self.quality!r}")
        if self.chroma not in (None, "420", "422", "444"):
            raise ConfigError(f"chroma: expected 420, 422 or 444, got {self.chroma!r}")

    def of(self, kind: str) -> str:
        """The format in which a picture of a photo of format `kind` is written."""
        return self.format or (kind if kind in WRITTEN else _INSTEAD.get(kind, "PNG"))
