"""What a gaze network is made of: the schema of `gaze/conf/model/*.yaml`, and what a checkpoint says of itself."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gaze.errors import expect, expect_number

PRETRAINED, RANDOM = "pretrained", "none"
WEIGHTS = f"{PRETRAINED} (timm's hub), {RANDOM} (random) or the path of a safetensors file"
RELU = "relu"


@dataclass
class InputConfig:
    """The size rule.

    Attributes:
        longer_side: pixels that the longer side of an image is brought to.
        multiple: of how many pixels both sides are.
    """

    longer_side: int
    multiple: int

    def check(self) -> None:
        """Raises ConfigError where there are no such pixels."""
        for key in ("longer_side", "multiple"):
            expect_number(f"model.input.{key}", getattr(self, key), least=1)


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
    weights: str = field(metadata={"expected": WEIGHTS})
    reparameterize: bool
    activation: str | None
    skip: list[str]

    def check(self) -> None:
        """Raises ConfigError where a value is none that timm could be asked for."""
        expect(bool(self.name), "model.backbone.name", "timm's name of a model", self.name)
        stages = all(isinstance(tap, int) and tap >= 0 for tap in self.taps)
        modules = all(isinstance(tap, str) and tap for tap in self.taps)
        taps = "timm's stage indices or names of modules, one at least"
        expect(bool(self.taps) and (stages or modules), "model.backbone.taps", taps, self.taps)
        expect(bool(self.weights), "model.backbone.weights", WEIGHTS, self.weights)
        expect(self.activation in (RELU, None), "model.backbone.activation", f"{RELU} or null", self.activation)
        expect(all(self.skip), "model.backbone.skip", "glob patterns of timm's names", self.skip)


@dataclass
class ReadoutConfig:
    """1x1 convolutions from the taps to one map.

    Attributes:
        reduce: maps that each tap is brought down to before the taps are joined; null joins them as they are.
        channels: output maps of each 1x1 convolution; the last is 1.
    """

    reduce: int | None
    channels: list[int]

    def check(self) -> None:
        """Raises ConfigError where there are no such maps."""
        expect_number("model.readout.reduce", self.reduce, least=1)
        ends = bool(self.channels) and min(self.channels) == self.channels[-1] == 1
        expect(ends, "model.readout.channels", "numbers of maps of which the last is 1, as [16, 1]", self.channels)


@dataclass
class FinalizerConfig:
    """Blur and centre bias.

    Attributes:
        sigma: standard deviation of the blur before training, in cells of the output (4 pixels of the input).
        center_bias: rows and columns of the learned centre bias.
    """

    sigma: float
    center_bias: list[int]

    def check(self) -> None:
        """Raises ConfigError where there is no such blur or no such grid."""
        expect_number("model.finalizer.sigma", self.sigma, above=0)
        grid = len(self.center_bias) == 2 and min(self.center_bias) >= 1
        expect(grid, "model.finalizer.center_bias", "[rows, columns], each at least 1", self.center_bias)


@dataclass
class HeadsConfig:
    """1x1 convolutions from the taps to where heads are.

    Attributes:
        reduce: maps that each tap is brought down to before the taps are joined; null joins them as they are.
        channels: output maps of each 1x1 convolution before the last, which has 5.
        weight: of the loss on heads in a training, beside that on gaze in bits per fixation.
        taps: how many of the coarsest taps it reads; null reads all. Few see small heads at less cost.
        shared: it reads what the readout has joined, which costs least; then `reduce` and `taps` are null.
    """

    reduce: int | None
    channels: list[int]
    weight: float
    taps: int | None = None
    shared: bool = False

    def check(self) -> None:
        """Raises ConfigError where there are no such maps, or no such weight."""
        expect_number("model.heads.taps", self.taps, least=1)
        expect_number("model.heads.reduce", self.reduce, least=1)
        expect(min(self.channels, default=1) >= 1, "model.heads.channels", "numbers of maps", self.channels)
        expect_number("model.heads.weight", self.weight, above=0)
        for key in ("reduce", "taps") if self.shared else ():
            expect(getattr(self, key) is None, f"model.heads.{key}", "null, as it is shared", getattr(self, key))


@dataclass
class PreferenceConfig:
    """1x1 convolutions from the taps to what people want inside a crop and not at its sides.

    Attributes:
        reduce: maps that each tap is brought down to before the taps are joined.
        channels: output maps of each 1x1 convolution before the last, which has 2.
    """

    reduce: int
    channels: list[int]

    def check(self) -> None:
        """Raises ConfigError where there are no such maps."""
        expect_number("model.preference.reduce", self.reduce, least=1)
        expect(min(self.channels, default=1) >= 1, "model.preference.channels", "numbers of maps", self.channels)


@dataclass
class ModelConfig:
    """A whole gaze network.

    Attributes:
        name: of the network.
        input: the size of the images that it sees.
        backbone: what its feature maps come from.
        readout: what makes one map of them.
        finalizer: what makes a log density of that.
        heads: what says where heads are, as {reduce: 24, channels: [48], weight: 0.5, taps: null}; null leaves it out.
        preference: what says which crops people prefer; `gaze.prefer` adds it to a finished network.
    """

    name: str
    input: InputConfig
    backbone: BackboneConfig
    readout: ReadoutConfig
    finalizer: FinalizerConfig
    heads: HeadsConfig | None = None
    preference: PreferenceConfig | None = None

    def check(self) -> None:
        """Raises ConfigError where there is no name."""
        expect(bool(self.name), "model.name", "text", self.name)


def resized(config: ModelConfig, longer_side: int) -> ModelConfig:
    """The same network, to see images whose longer side has `longer_side` pixels.

    Raises:
        ConfigError: there are no such pixels.
    """
    expect_number("longer_side", longer_side, least=1)
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

    def check(self) -> None:
        """Raises ConfigError where a card would not say what it must."""
        for key in ("version", "license"):
            expect(bool(getattr(self, key)), f"card.{key}", "text", getattr(self, key))


@dataclass
class ExportConfig:
    """All of `gaze/conf/export.yaml`.

    Attributes:
        checkpoint: of `gaze.train`.
        out: the .onnx file; its card is written beside it as .json.
        overwrite: whether a file or a card that is there already is replaced.
        photos: a photograph or a folder of them, on which the export is compared with torch; with `int8` they tell
            which values its maps have.
        longer_side: pixels of the longer side of the images that the network is to see; null keeps the checkpoint's.
        half: store convolution weights as float16 (half the size; the weights are rounded to that).
        int8: have the convolutions behind ReLUs compute in 8-bit integers, see `gaze.models.int8`.
        card: the words of the card.
    """

    checkpoint: Path
    out: Path
    overwrite: bool
    photos: Path
    longer_side: int | None
    half: bool
    int8: bool
    card: CardConfig

    def check(self) -> None:
        """Raises ConfigError where `out` is no .onnx file or there are no such pixels."""
        expect(self.out.suffix == ".onnx", "out", "a file that ends in .onnx", str(self.out))
        expect_number("longer_side", self.longer_side, least=1)

    def idle(self) -> dict[str, str]:
        """Keys that do nothing, and why."""
        return {"half": "int8=true stores weights as integers"} if self.int8 else {}
