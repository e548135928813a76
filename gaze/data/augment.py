"""Changes to a photograph under which people look at the same things: pure functions of an explicit generator."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.errors import expect_number
from gaze.geometry import Box, Size

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601


@dataclass
class AugmentConfig:
    """How much a training photograph is varied.

    Attributes:
        flip: probability of a horizontal flip.
        crop: probability of cutting off some of the border.
        min_scale: smallest side of such a crop over the photograph's, in (0, 1]; the aspect ratio is kept.
        color: largest relative change of brightness, contrast and saturation, 0 to 1.
    """

    flip: float
    crop: float
    min_scale: float
    color: float

    def check(self) -> None:
        """Raises ConfigError where a share is none."""
        for key in ("flip", "crop", "color"):
            expect_number(f"augment.{key}", getattr(self, key), least=0, most=1)
        expect_number("augment.min_scale", self.min_scale, above=0, most=1)

    def idle(self) -> dict[str, str]:
        """Keys that do nothing, and why."""
        return {} if self.crop else {"augment.min_scale": "augment.crop is 0"}


def random_box(size: Size, config: AugmentConfig, rng: np.random.Generator) -> Box:
    """A random window with the aspect ratio of the photograph, or the whole photograph."""
    if rng.random() >= config.crop:
        return Box(0, 0, size.width, size.height)
    scale = rng.uniform(config.min_scale, 1)
    width, height = max(1, round(size.width * scale)), max(1, round(size.height * scale))
    left, top = rng.integers(0, size.width - width + 1), rng.integers(0, size.height - height + 1)
    return Box(int(left), int(top), width, height)


def random_color(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Scales brightness, contrast and saturation of an H x W x 3 RGB image, each by up to 1 +- `strength`."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    pixels = image.astype(np.float32) * brightness
    grey = (pixels @ _GREY)[..., None]
    pixels = grey + saturation * (pixels - grey)
    pixels = grey.mean() + contrast * (pixels - grey.mean())
    return np.rint(pixels.clip(0, 255)).astype(np.uint8)


def resized_window(image: NDArray, box: Box, size: Size) -> NDArray:
    """Cuts `box` out of an image or a map and brings it to `size`, averaging areas."""
    window = image[box.top : box.bottom, box.left : box.right]
    return cv2.resize(window, (size.width, size.height), interpolation=cv2.INTER_AREA)
