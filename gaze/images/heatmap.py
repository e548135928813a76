"""The picture of a prediction: the photo, the predicted gaze in colour over it, and boxes."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from gaze.geometry import Box, Size

LONGER_SIDE = 1280
"""Larger photos are reduced to this."""

_OPACITY = 0.75


def overlay(image: np.ndarray, density: np.ndarray, boxes: Sequence[Box] = ()) -> Image.Image:
    """Draws a density over an image.

    Args:
        image: H x W x 3 uint8 RGB.
        density: a map of the whole image at any resolution, at least 0; its maximum becomes red.
        boxes: outlined in white, in pixels of `image`.
    """
    original = Size(image.shape[1], image.shape[0])
    size = original.within(LONGER_SIDE)
    picture = cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_AREA)
    heat = cv2.resize(density / density.max(), (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    heat = np.sqrt(heat.clip(0, 1))  # a density falls off steeply; its root shows the second and third place too
    color = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    opacity = _OPACITY * heat[:, :, None]
    picture = np.ascontiguousarray(picture * (1 - opacity) + color * opacity, np.uint8)
    for box in boxes:
        _outline(picture, box, size.width / original.width)
    return Image.fromarray(picture)


def _outline(picture: np.ndarray, box: Box, scale: float) -> None:
    thin = max(1, max(picture.shape[:2]) // 400)
    first = int(box.left * scale) + thin, int(box.top * scale) + thin
    last = int(box.right * scale) - 1 - thin, int(box.bottom * scale) - 1 - thin
    for color, thickness in (((0, 0, 0), 3 * thin), ((255, 255, 255), thin)):
        cv2.rectangle(picture, first, last, color, thickness)
