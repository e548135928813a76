"""Ways to know where heads are, for `crop_heads.py`: not, outputs of the network, a face detector, the labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from crop_choosers import Chooser, Photo, by_prediction, remembered
from crop_measures import GROWN
from numpy.typing import NDArray

from gaze.framing.heads import Heads
from gaze.geometry import Size
from gaze.predictor import Prediction, Predictor

LONGER, LOW, OVERLAP = 512, 0.5, 0.45
"""Pixels that the detector sees, the least score of a face, and the most of it that a better one may cover."""

HEAD_OF_FACE = (0.03, -0.13, 1.67, 1.57)
"""A head in widths and heights of its face: where its middle is, how wide and high; medians over EyeCrowd's `train`."""

Boxes = Callable[[Photo], NDArray[np.float64]]
"""N x 4, left, top, right and bottom in pixels."""


def ways(model: str, detector: Path | None) -> dict[str, Chooser]:
    """The choosers, by name; `detector` is the file of YuNet s, if it is there."""
    predictor = Predictor(model)
    name = f"gaze {predictor.card.name} {predictor.card.version}"
    seen = remembered(lambda photo: predictor.predict(photo.image))
    found = {f"{name}, the rule alone": by_prediction(lambda photo: Prediction(seen(photo).density))}
    if predictor.knows_heads:
        found[f"{name}, its output of heads"] = by_prediction(lambda photo: replace(seen(photo), preference=None))
    if predictor.knows_preference:
        found[f"{name}, and of preference"] = by_prediction(seen)
    if detector is not None:
        found[f"{name}, a face detector"] = by_boxes(seen, YuNet(detector))
    return found | {f"{name}, the labelled heads": by_boxes(seen, labelled)}


def by_boxes(seen: Callable[[Photo], Prediction], boxes: Boxes) -> Chooser:
    """The predicted gaze in each box, grown as people's gaze on heads is counted."""

    def known(photo: Photo) -> Prediction:
        density, found = seen(photo).density, boxes(photo)
        return Prediction(density, weighed(density, photo.size, found))

    return by_prediction(remembered(known))


def weighed(density: NDArray, size: Size, boxes: NDArray[np.float64]) -> Heads:
    """The boxes with the gaze of a density on each."""
    shares = boxes / ([size.width, size.height] * 2)
    wide, high = (GROWN * (shares[:, 2 + k] - shares[:, k]) for k in (0, 1))
    grown = shares + np.stack([-wide, -high, wide, high], axis=1)
    gaze = np.array([_held(density, *box) for box in grown.clip(0, 1)])
    inside = shares.clip(0, 1)
    there = (inside[:, 2:] > inside[:, :2]).all(axis=1)
    return Heads(inside[there], gaze.reshape(-1)[there])


def _held(density: NDArray, left: float, top: float, right: float, bottom: float) -> float:
    rows, columns = density.shape
    down, across = (_parts(n, *ends) for n, ends in ((rows, (top, bottom)), (columns, (left, right))))
    return float(down @ density @ across)


def _parts(cells: int, start: float, stop: float) -> NDArray[np.float64]:
    """How much of each of the cells lies between two places, 0 to 1."""
    edges = np.arange(cells + 1).clip(start * cells, stop * cells)
    return np.diff(edges)


def labelled(photo: Photo) -> NDArray[np.float64]:
    """Those that EyeCrowd's authors labelled and that count; none in the other sets."""
    return np.array([(h.left, h.top, h.left + h.width, h.top + h.height) for h in photo.heads or ()]).reshape(-1, 4)


class YuNet:
    """The face detector of Wu, Peng and Yu 2023, "YuNet: a tiny millisecond-level face detector"; boxes grown to heads.

    Args:
        path: of `yunet_s_dynamic.onnx`.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, photo: Photo) -> NDArray[np.float64]:
        """Of the heads in pixels of the photograph."""
        scale = LONGER / max(photo.size.width, photo.size.height)
        width, height = (32 * max(1, round(side * scale / 32)) for side in (photo.size.width, photo.size.height))
        small = cv2.resize(photo.image[..., ::-1], (width, height), interpolation=cv2.INTER_AREA)
        names = [f"{kind}_{stride}" for stride in (8, 16, 32) for kind in ("cls", "obj", "bbox")]
        found = self.session.run(names, {"input": small.transpose(2, 0, 1)[None].astype(np.float32)})
        out = dict(zip(names, found, strict=True))
        parts = [_faces(out, stride, width // stride) for stride in (8, 16, 32)]
        boxes, scores = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        kept = cv2.dnn.NMSBoxes([*map(list, boxes)], scores.tolist(), LOW, OVERLAP) if len(boxes) else []
        left, top, wide, high = boxes[np.array(kept, int).reshape(-1)].T
        across, down, wider, higher = HEAD_OF_FACE
        x, y = left + wide / 2 + across * wide, top + high / 2 + down * high
        wide, high = wider * wide, higher * high
        heads = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], axis=1)
        return heads * ([photo.size.width / width, photo.size.height / height] * 2)


def _faces(out: dict[str, Any], stride: int, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left, top, width and height of the faces of one grid in pixels of what the detector sees, and their scores."""
    score = np.sqrt(np.clip(out[f"cls_{stride}"].ravel() * out[f"obj_{stride}"].ravel(), 0, 1))
    at = np.flatnonzero(score > LOW)
    box = out[f"bbox_{stride}"].reshape(-1, 4)[at].astype(np.float64)
    wide, high = (np.exp(box[:, 2:]) * stride).T
    x, y = (at % columns + box[:, 0]) * stride, (at // columns + box[:, 1]) * stride
    return np.stack([x - wide / 2, y - high / 2, wide, high], axis=1), score[at].astype(np.float64)
