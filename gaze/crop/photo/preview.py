"""What a report's page shows of one photo: small pictures, made where the photo is at hand."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from gaze.geometry import Size
from gaze.images.color import opaque

PHOTO_SIDE, THUMBNAIL_SIDE, DENSITY_SIDE = 240, 160, 40
"""Pixels of the longer sides in the page; smaller pictures are not enlarged."""

_QUALITY = 50


@dataclass(frozen=True)
class Preview:
    """The small pictures, as Base64 text; its fields stand in the order of JSON."""

    photo: str
    """JPEG."""
    density: str
    """Grey PNG, the root of the share of the map's maximum as in `gaze.images.heatmap`, which the page colors."""
    thumbnails: tuple[str, ...]
    """JPEG, in the order of the record's crops."""


def preview(image: Image.Image, density: np.ndarray, thumbnails: Sequence[Image.Image]) -> Preview:
    """Makes what the page shows of one photo, some 10 to 20 kB.

    Args:
        image: the upright photo, mode L, RGB or RGBA.
        density: a map of the whole photo at any resolution, at least 0, with some mass.
        thumbnails: the crops, in the order of the record's.
    """
    size = Size(density.shape[1], density.shape[0]).within(DENSITY_SIDE)
    coarse = cv2.resize(density.astype(np.float32), (size.width, size.height), interpolation=cv2.INTER_AREA)
    grey = Image.fromarray((np.sqrt(coarse / coarse.max()) * 255).astype(np.uint8))
    return Preview(
        photo=_base64(_reduced(image, PHOTO_SIDE), "JPEG"),
        density=_base64(grey, "PNG"),
        thumbnails=tuple(_base64(_reduced(thumbnail, THUMBNAIL_SIDE), "JPEG") for thumbnail in thumbnails),
    )


def _reduced(image: Image.Image, longer_side: int) -> Image.Image:
    size = Size(*image.size).within(longer_side)
    small = image.resize((size.width, size.height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return opaque(small).convert("RGB")


def _base64(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=_QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
