"""Image -> log density, and heads, through ONNX Runtime: finds, checks and runs a model file.

A model is two files: the network `<name>.onnx` and its card `<name>.json`, which says how to feed it, where
it comes from, and the sha256 of the network (see `gaze.card`).
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gaze.card import ModelCard
from gaze.errors import ConfigError, ModelError
from gaze.framing.heads import Heads
from gaze.framing.preference import MAPS, Preference
from gaze.geometry import Size
from gaze.images import ImageLike, as_rgb, check_rgb
from gaze.weights import find_model
from gaze.weights.external_data import has_external_data

OTHERS = {"heads": 5, "preference": MAPS}
"""Outputs that a network may have beside the log density, and the maps of each."""

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def network_size(size: Size, longer_side: int, multiple: int) -> Size:
    """The size at which a network sees an image of `size`.

    The longer side becomes `longer_side`, the other side keeps the aspect ratio; both are rounded to the
    nearest multiple of `multiple`, at least one. The size of the original drops out: same photo, other size,
    same input.
    """
    scale = longer_side / max(size.width, size.height)

    def fit(side: int) -> int:
        return multiple * max(1, int(side * scale / multiple + 0.5))

    return Size(fit(size.width), fit(size.height))


def shrink(image: np.ndarray, size: Size) -> np.ndarray:
    """Scales an image by averaging over areas.

    OpenCV averages quickly only over whole pixels, so the image is brought to the nearest whole multiple of `size`
    first. What the network makes of that differs less from what it makes of exact averages than those of a JPEG that
    was decoded reduced differ from those of the whole one.

    Args:
        image: H x W x 3 uint8.
        size: of the result.
    """
    multiple = max(1, round(min(image.shape[1] / size.width, image.shape[0] / size.height)))
    between = (multiple * size.width, multiple * size.height)
    image = cv2.resize(image, between, interpolation=cv2.INTER_LINEAR)
    return cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_AREA) if multiple > 1 else image


def fit_log_density(coarse: np.ndarray, size: Size) -> np.ndarray:
    """Brings a coarse map to `size` and normalises it.

    Args:
        coarse: h x w float32 logits or log density, natural logarithm.
        size: the size of the result.

    Returns:
        float32 of size.height x size.width: natural-log density whose exponential sums to 1.
    """
    fitted: np.ndarray = np.array(coarse, np.float32)
    if fitted.shape != (size.height, size.width):
        fitted = cv2.resize(fitted, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    fitted -= fitted.max()
    fitted -= np.log(np.exp(fitted).sum(dtype=np.float64)).astype(np.float32)
    return fitted


@dataclass(frozen=True)
class Prediction:
    """What a model says of an image.

    Attributes:
        density: float32, h x w: the share of the gaze in each of the cells that divide the image evenly; sums to 1.
        heads: where it takes heads to be, and the gaze on them; None where the model does not tell.
        preference: what it takes people to want inside a crop and not at its sides; None likewise.
    """

    density: np.ndarray
    heads: Heads | None = None
    preference: Preference | None = None

    @classmethod
    def read(
        cls, density: np.ndarray, heads: np.ndarray | None = None, preference: np.ndarray | None = None
    ) -> "Prediction":
        """What a model's outputs say, see `Predictor.look`."""
        return cls(
            density,
            None if heads is None else Heads.read(heads, density),
            None if preference is None else Preference.read(preference, density.shape),
        )

    @classmethod
    def mean(cls, parts: "Sequence[Prediction]") -> "Prediction":
        """That of several frames of one size, each counting the same."""
        density = np.mean([part.density for part in parts], axis=0)
        heads = [part.heads for part in parts if part.heads is not None]
        preferences = [part.preference for part in parts if part.preference is not None]
        return cls(density, Heads.mean(heads) if heads else None, Preference.mean(preferences) if preferences else None)


class Predictor:
    """A loaded model; safe to call from many threads.

    Args:
        model: the name of a shipped model, or an `.onnx` file with its card beside it; None takes the default one
            (see `gaze.weights`).
        threads: of ONNX Runtime within one image; on images this small a second one only costs.

    Raises:
        ConfigError: `model` is neither a shipped model's name nor a file.
        ModelError: the shipped model or a card is missing, a file is damaged, the hash is not the card's, or the
            network is another kind.
    """

    __module__ = "gaze"

    def __init__(self, model: str | Path | None = None, threads: int = 1):
        self.path = find_model(model)
        self.card = ModelCard.load(self.path.with_suffix(".json"))
        self._session = open_session(_verified(self.path, self.card), self.path, threads)
        _check_outputs(self._session, self.card, self.path)

    def log_density(self, image: np.ndarray, size: Size | None = None) -> np.ndarray:
        """Predicts where people look.

        Args:
            image: H x W x 3 uint8, RGB in sRGB, upright.
            size: the size of the result; None means that of the image.

        Returns:
            float32, H x W or `size`: natural-log density whose exponential sums to 1.

        Raises:
            ImageError: the array has another shape or type.
            ModelError: the network failed, or answered with NaN.
        """
        check_rgb(image)
        return fit_log_density(self._cells(image), size or Size(image.shape[1], image.shape[0]))

    def density(self, image: np.ndarray) -> np.ndarray:
        """Predicts where people look, in the network's own cells: all that it knows, and quick to search.

        Args:
            image: H x W x 3 uint8, RGB in sRGB, upright.

        Returns:
            float32, h x w: the share of the gaze in each of the cells that divide the image evenly; sums to 1. h and w
            are those of what the network sees, over the card's `stride`.

        Raises:
            ImageError: the array has another shape or type.
            ModelError: the network failed, or answered with NaN.
        """
        check_rgb(image)
        return _density(self._cells(image))

    def predict(self, image: np.ndarray) -> Prediction:
        """Predicts where people look, and what else the model has outputs for, in one run.

        Args:
            image: H x W x 3 uint8, RGB in sRGB, upright.

        Raises:
            ImageError: the array has another shape or type.
            ModelError: the network failed, or answered with NaN.
        """
        return Prediction.read(*self.look(image))

    def look(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """`density`, and the other outputs as they are.

        Args:
            image: H x W x 3 uint8, RGB in sRGB, upright.

        Returns:
            The density; float32 5 x rows x columns (`gaze.models.heads`), None where the model does not tell; and
            2 x rows x columns (`gaze.framing.preference`), likewise.

        Raises:
            ImageError: the array has another shape or type.
            ModelError: the network failed, or answered with NaN.
        """
        check_rgb(image)
        names = ["log_density", *(name for name in OTHERS if name in self.card.output)]
        found = dict(zip(names, self._run(self._shrunk(image), names), strict=True))
        return _density(found["log_density"]), found.get("heads"), found.get("preference")

    @property
    def knows_heads(self) -> bool:
        """Whether the model tells where heads are."""
        return "heads" in self.card.output

    @property
    def knows_preference(self) -> bool:
        """Whether the model tells which crops people prefer."""
        return "preference" in self.card.output

    def _cells(self, image: np.ndarray) -> np.ndarray:
        """The network's log density for an image, h x w float32."""
        return self._run(self._shrunk(image), ["log_density"])[0]

    def _shrunk(self, image: np.ndarray) -> np.ndarray:
        """An image as the network sees it."""
        rule = self.card.input
        return shrink(image, network_size(Size(image.shape[1], image.shape[0]), rule.longer_side, rule.multiple))

    def _run(self, small: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        """The named outputs of the network for an image of the size that it sees."""
        try:
            found = [each[0] for each in self._session.run(outputs, {"image": small[None]})]
        except Exception as error:  # ONNX Runtime has a dozen unrelated exception classes
            raise ModelError(f"{self.path}: the network failed ({_first_line(error)})") from error
        if not all(np.isfinite(values.max(initial=-np.inf)) for values in found):  # NaN where there is any
            raise ModelError(f"{self.path}: the network answered with NaN or infinity, expected a log density")
        return found


def _density(cells: np.ndarray) -> np.ndarray:
    """A network's log density as a density, h x w float32."""
    return np.exp(fit_log_density(cells, Size(cells.shape[1], cells.shape[0])))


def choose_predictor(predictor: Predictor | None, model: str | Path | None) -> Predictor:
    """The predictor that a caller brought, or that of a model.

    Raises:
        ConfigError: both are given, or `model` is neither a shipped model's name nor a file.
        ModelError: the model is missing or damaged.
    """
    if predictor is None:
        return _loaded(model)
    if model is not None:
        raise ConfigError("predictor, model: expected one of the two, got both")
    return predictor


_loaded = lru_cache(maxsize=4)(Predictor)


def saliency(image: ImageLike, predictor: Predictor | None = None, model: str | Path | None = None) -> np.ndarray:
    """Predicts where people look.

    Args:
        image: a path, the bytes of an encoded file, a PIL image or an H x W x 3 uint8 RGB array. A file is turned
            upright first; a PIL image is taken as it lies.
        predictor: a loaded model.
        model: instead of it, the name of a shipped model or an `.onnx` file, loaded once; None takes the default one.

    Returns:
        float32, H x W: the probability of each pixel to be looked at; sums to 1.

    Raises:
        ConfigError: `model` is neither a shipped model's name nor a file.
        ImageError: the image cannot be read; the message names it.
        ModelError: the model is missing or damaged.
    """
    return np.exp(choose_predictor(predictor, model).log_density(as_rgb(image)))


saliency.__module__ = "gaze"


def _check_outputs(session: "InferenceSession", card: ModelCard, path: Path) -> None:
    """Raises ModelError where the card tells of an output and the network has none of that name and so many maps."""
    shapes = {node.name: node.shape for node in session.get_outputs()}
    for name, maps in OTHERS.items():
        if name in card.output and (len(shape := shapes.get(name, [])) != 4 or shape[1] not in (maps, None)):
            raise ModelError(
                f"{path}: its card tells of {name}, expected an output {name} of {maps} maps, got {shapes}"
            )


def _verified(path: Path, card: ModelCard) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror or error})") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise ModelError(f"{path}: sha256 is {digest}, its card says {card.sha256}: damaged, or another file")
    return content


def open_session(content: bytes, path: Path, threads: int) -> "InferenceSession":
    """Loads an exported network into ONNX Runtime.

    Args:
        content: of the `.onnx` file.
        path: of that file, for messages.
        threads: of ONNX Runtime within one image.

    Raises:
        ModelError: it is not an ONNX file, or not a gaze network, or keeps weights in other files.
    """
    if has_external_data(content):
        raise ModelError(f"{path}: keeps weights in other files, which no card vouches for; expected all in one")
    # ONNX Runtime from 1.29 on sends usage reports, unless this is set when it loads
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen unrelated exception classes
        raise ModelError(f"{path}: not a network that ONNX Runtime can load ({_first_line(error)})") from error
    inputs, outputs = ([node.name for node in nodes] for nodes in (session.get_inputs(), session.get_outputs()))
    if inputs != ["image"] or "log_density" not in outputs:
        raise ModelError(f"{path}: expected input image and output log_density, got {inputs} and {outputs}")
    return session


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
