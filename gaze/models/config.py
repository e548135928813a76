"""What a gaze network is made of: the schema of `gaze/conf/model/*.yaml`, and what a checkpoint says of itself."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gaze.errors import ConfigError


@dataclass
class InputConfig:
    """The size rule: the longer side becomes `longer_side`, the other is rounded to a `multiple`, both in pixels."""

    longer_side: int
    multiple: int


@dataclass
class BackboneConfig:
    """A timm model and where it is tapped.

    Attributes:
        name: timm's name of the model.
        taps: which feature maps are read: timm's stage indices (integers), or names of modules in running order.
        weights: `pretrained` (timm's hub), the path of a safetensors file with timm's keys, or `none` (random).
        reparameterize: fuse the training-time branches (MobileOne, RepVGG) into plain convolutions first.
        activation: `relu` puts ReLU in place of the smooth activations (SiLU, GELU, Hardswish): an engine computes
            it within the convolution; null leaves those that the network came with.
        skip: modules left out, as glob patterns of timm's names: residual blocks or squeeze-and-excitation gates.
    """

    name: str
    taps: list[Any]
    weights: str
    reparameterize: bool
    activation: str | None
    skip: list[str]


@dataclass
class ReadoutConfig:
    """1x1 convolutions from the taps to one map.

    Attributes:
        reduce: maps that each tap is brought down to before the taps are joined; null joins them as they are.
        channels: output maps of each 1x1 convolution; the last is 1.
    """

    reduce: int | None
    channels: list[int]


@dataclass
class FinalizerConfig:
    """Blur and centre bias.

    Attributes:
        sigma: standard deviation of the blur before training, in cells of the output (4 pixels of the input).
        center_bias: rows and columns of the learned centre bias.
    """

    sigma: float
    center_bias: list[int]


@dataclass
class ModelConfig:
    """A whole gaze network."""

    name: str
    input: InputConfig
    backbone: BackboneConfig
    readout: ReadoutConfig
    finalizer: FinalizerConfig


def resized(config: ModelConfig, longer_side: int) -> ModelConfig:
    """The same network, to see images whose longer side has `longer_side` pixels.

    Raises:
        ConfigError: there are no such pixels.
    """
    if longer_side < 1:
        raise ConfigError(f"longer_side: expected pixels, got {longer_side}")
    return replace(config, input=replace(config.input, longer_side=longer_side))


@dataclass
class CardConfig:
    """What only a person knows of a model; the rest of the card comes from the checkpoint.

    Attributes:
        version: of the model.
        license: of the weights.
        notices: what the licences of backbone and data ask to be said.
        command: that trained it.
        log: summary of the training.
        metrics: `evaluation.json` of the exported file; null leaves the figures out.
        left_out: per set, `evaluation.json` of a model trained without it.
    """

    version: str
    license: str
    notices: list[str]
    command: str
    log: str
    metrics: Path | None
    left_out: dict[str, Path] | None


@dataclass
class ExportConfig:
    """All of `gaze/conf/export.yaml`.

    Attributes:
        checkpoint: of `gaze.train`.
        out: the .onnx file; its card is written beside it as .json.
        photos: a photograph or a folder of them, on which the export is compared with torch.
        longer_side: pixels of the longer side of the images that the network is to see; null keeps the checkpoint's.
        half: store convolution weights as float16 (half the size; the weights are rounded to that).
        card: the words of the card.
    """

    checkpoint: Path
    out: Path
    photos: Path
    longer_side: int | None
    half: bool
    card: CardConfig
