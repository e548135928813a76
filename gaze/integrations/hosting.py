"""What each host does with a photograph, and where gaze cannot: nothing here breaks a request of the host."""

import logging
from functools import lru_cache
from threading import Lock

from PIL import Image

from gaze.errors import one_line
from gaze.images import as_rgb
from gaze.predictor import Prediction, choose_predictor

_log = logging.getLogger(__name__)
_once = Lock()


def look(image: Image.Image, model: str | None = None) -> Prediction:
    """What a model says of a picture as it lies; the model is loaded once a process. Safe to call from many threads.

    Args:
        image: of any mode; a large one is reduced before its colors are converted.
        model: the name of a shipped model or an `.onnx` file; None takes the default one.

    Raises:
        GazeError: the model or the picture cannot be read.
    """
    with _once:  # else the first requests would each load it
        predictor = choose_predictor(None, model)
    factor = max(image.size) // (4 * predictor.card.input.longer_side)
    if factor > 1 and image.mode in ("L", "RGB", "RGBA"):
        image = image.reduce(factor)
    return predictor.predict(as_rgb(image))


def step_aside(host: str, error: Exception) -> None:
    """Logs, once a process for each reason, that the host goes on without gaze."""
    with _once:
        _warn(host, one_line(error))


@lru_cache(maxsize=256)
def _warn(host: str, reason: str) -> None:
    _log.warning("%s goes on without gaze: %s", host, reason)
