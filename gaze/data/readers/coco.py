"""SALICON's annotations of 2014 and 2015: one JSON in the style of COCO, up to a gigabyte, read in places."""

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaze.errors import DataError
from gaze.fixations import Fixations


class CocoFixations:
    """Fixations by image, held as positions in the file; each annotation is parsed when its image is read.

    Raises:
        DataError: the file is not JSON of `images` (id, file_name) and `annotations` (image_id, worker_id,
            fixations as 1-based [row, column]).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._spans: dict[str, list[slice]] = {}
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            names = {}
            for span in _objects(self._data, b"images"):
                image = self._parse(span)
                names[image["id"]] = image["file_name"]
            for span in _objects(self._data, b"annotations"):
                name = names[self._parse(span)["image_id"]]
                self._spans.setdefault(name, []).append(span)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a file of SALICON annotations ({error})") from error

    def __contains__(self, name: str) -> bool:
        return name in self._spans

    def fixations(self, name: str) -> Fixations:
        """The fixations of one image, 0-based, order as listed for each worker.

        Raises:
            DataError: an annotation has no list of [row, column].
        """
        parts = []
        for span in self._spans[name]:
            annotation = self._parse(span)
            try:
                rows, columns = np.array(annotation["fixations"], np.float32).reshape(-1, 2).T
                parts.append(Fixations.of(columns - 1, rows - 1, annotation["worker_id"], np.arange(len(rows))))
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(f"{self.path.name}: an annotation of {name} is damaged ({error})") from error
        return Fixations.join(parts)

    def _parse(self, span: slice) -> dict[str, Any]:
        return json.loads(self._data[span])


def _objects(data: mmap.mmap, key: bytes) -> Iterator[slice]:
    """Finds the objects of the array under `key`; none of SALICON's has another object inside."""
    start = data.find(b'"%b"' % key)
    position = data.find(b"[", start) + 1
    if start < 0 or not position:
        raise ValueError(f"no list of {key.decode()}")
    while True:
        opening, closing = data.find(b"{", position), data.find(b"]", position)
        if closing < 0:
            raise ValueError(f"the list of {key.decode()} does not end")
        if opening < 0 or closing < opening:
            return
        position = data.find(b"}", opening) + 1
        if not position:
            raise ValueError(f"the list of {key.decode()} does not end")
        yield slice(opening, position)
