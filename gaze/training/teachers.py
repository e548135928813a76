"""Whom a student learns from: trained networks that are asked where people look in a photograph."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze.card import InputRule
from gaze.data.augment import resized_window
from gaze.data.densities import normalise
from gaze.errors import ConfigError
from gaze.geometry import Box, Size
from gaze.predictor import Predictor, network_size
from gaze.weights import SHIPPED

if TYPE_CHECKING:
    import torch

    from gaze.models.network import GazeNetwork

CHECKPOINT, EXPORTED = ".ckpt", ".onnx"


class Teacher(ABC):
    """A trained network that says where people look in a photograph.

    Args:
        name: as the user named it.
        title: what it is, for those who read of it later: its name and version, or the hash of its file.
        sha256: of its file, in hexadecimal digits.
        rule: the size at which it sees an image.
        stride: pixels of that size per cell of its density.
    """

    def __init__(self, name: str, title: str, sha256: str, rule: InputRule, stride: int) -> None:
        self.name, self.title, self.sha256, self.rule, self.stride = name, title, sha256, rule, stride

    @abstractmethod
    def density(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The share of the gaze in each cell of an image.

        Args:
            image: H x W x 3 uint8 RGB, of any size: each teacher sees it at its own.

        Returns:
            float32 rows x columns >= 0, sum 1; the cells divide the image evenly.
        """

    @property
    @abstractmethod
    def knows_heads(self) -> bool:
        """Whether it says where heads are."""

    @abstractmethod
    def look(self, images: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor | None]":
        """The share of the gaze in each cell of each image of a batch, and what it says of heads.

        Args:
            images: B x H x W x 3 uint8 RGB, of any size.

        Returns:
            On the images' device, float32 B x rows x columns >= 0, sum 1 each, and B x 5 x h x w
            (`gaze.models.heads`), None where it says nothing of heads.
        """

    def to(self, device: "torch.device") -> None:  # noqa: B027 - what runs in ONNX Runtime stays where it is
        """Moves it to a device, where torch runs it."""


class ExportedTeacher(Teacher):
    """A shipped model, or an `.onnx` file with its card.

    Raises:
        ConfigError, ModelError: see `Predictor`.
    """

    def __init__(self, name: str) -> None:
        self.predictor = Predictor(name)
        card = self.predictor.card
        super().__init__(name, f"{card.name} {card.version}", card.sha256, card.input, int(card.output["stride"]))

    def density(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Teacher`."""
        return self.predictor.density(image)

    @property
    def knows_heads(self) -> bool:
        """See `Teacher`."""
        return self.predictor.knows_heads

    def look(self, images: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor | None]":
        """See `Teacher`."""
        import torch

        density, heads, _ = zip(*(self.predictor.look(image) for image in images.cpu().numpy()), strict=True)
        said = torch.from_numpy(np.stack(heads)).to(images.device) if self.predictor.knows_heads else None
        return torch.from_numpy(np.stack(density)).to(images.device), said


class CheckpointTeacher(Teacher):
    """A network of `gaze.train` or `gaze.prune`, run by torch.

    Raises:
        ModelError: the checkpoint is missing or damaged.
    """

    def __init__(self, name: str) -> None:
        from gaze.models.checkpoints import load_network  # torch takes seconds to import, an exported one needs none
        from gaze.models.finalizer import STRIDE

        self.network: GazeNetwork = load_network(name).eval().requires_grad_(False)
        config, sha256 = self.network.config, sha256_of(Path(name))
        rule = InputRule(config.input.longer_side, config.input.multiple)
        super().__init__(name, f"{config.name} {sha256[:12]}", sha256, rule, STRIDE)

    def to(self, device: "torch.device") -> None:
        """See `Teacher`."""
        self.network.to(device)

    @property
    def knows_heads(self) -> bool:
        """See `Teacher`."""
        return self.network.heads is not None

    def look(self, images: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor | None]":
        """See `Teacher`: the whole batch at once, on its device, where it is brought to the network's size too."""
        import torch

        with torch.no_grad():
            if self.network.heads is None:
                return self.network(self._fitted(images)).float().exp(), None
            density, heads = self.network.look(self._fitted(images))
            return density.float().exp(), heads

    def _fitted(self, images: "torch.Tensor") -> "torch.Tensor":
        import torch.nn.functional as F

        height, width = images.shape[1:3]
        size = network_size(Size(width, height), self.rule.longer_side, self.rule.multiple)
        if (size.height, size.width) == (height, width):
            return images
        pixels = images.permute(0, 3, 1, 2).float()
        pixels = F.interpolate(pixels, size=(size.height, size.width), mode="bilinear", antialias=True)
        return pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1)

    def density(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Teacher`."""
        import torch

        whole = Box(0, 0, image.shape[1], image.shape[0])
        size = network_size(Size(whole.width, whole.height), self.rule.longer_side, self.rule.multiple)
        seen = torch.from_numpy(np.ascontiguousarray(resized_window(image, whole, size)))
        with torch.inference_mode():
            found = self.network(seen[None].to(next(self.network.parameters()).device))[0].exp()
        return np.asarray(found.float().cpu().numpy(), np.float32)


def open_teacher(key: str, name: str) -> Teacher:
    """Opens what a setting names.

    Args:
        key: full name of the setting, for messages.
        name: of a shipped model, or an exported `.onnx` file with its card, or a checkpoint.

    Raises:
        ConfigError: it is none of these.
        ModelError: it is missing or damaged.
    """
    if name in SHIPPED or (Path(name).suffix == EXPORTED and Path(name).is_file()):
        return ExportedTeacher(name)
    if Path(name).suffix == CHECKPOINT or (Path(name).suffix != EXPORTED and Path(name).is_file()):
        return CheckpointTeacher(name)
    known = ", ".join(SHIPPED)
    raise ConfigError(f"{key}: expected {known}, or an {EXPORTED} or {CHECKPOINT} file that exists, got {name!r}")


def finest(teachers: Sequence[Teacher]) -> Teacher:
    """The one that sees the largest images; the first of several."""
    return max(teachers, key=lambda teacher: teacher.rule.longer_side)


def mean_density(densities: Sequence[NDArray]) -> NDArray[np.float32]:
    """The mean of densities of one image, as an ensemble predicts: Theis et al. 2018 (arXiv 1801.05787), section 3.

    Args:
        densities: rows x columns >= 0 each, of any scale; the grids may differ.

    Returns:
        float32 of the finest grid, sum 1.
    """
    rows, columns = max((density.shape for density in densities), key=lambda shape: shape[0] * shape[1])
    fitted = [
        normalise(cv2.resize(density.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR))
        for density in densities
    ]
    return normalise(np.mean(fitted, 0))


def mean_densities(densities: Sequence["torch.Tensor"], size: Sequence[int]) -> "torch.Tensor":
    """`mean_density` of each image of a batch, on the batch's device.

    Args:
        densities: B x rows x columns >= 0 of each teacher, of any scale; the grids may differ.
        size: rows and columns wanted.

    Returns:
        float32 B x rows x columns, sum 1 each.
    """
    import torch
    import torch.nn.functional as F

    fitted = [F.interpolate(each[:, None].float(), size=tuple(size), mode="bilinear")[:, 0] for each in densities]
    return torch.stack([each / each.sum((1, 2), keepdim=True) for each in fitted]).mean(0)


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hexadecimal digits, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
