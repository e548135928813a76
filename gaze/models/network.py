"""A gaze network: backbone, readout and finalizer wired together, and readouts of heads and of preference if any."""

from dataclasses import replace

from torch import Tensor, fx, nn

from gaze.errors import check_settings
from gaze.models.backbone import Backbone, build_backbone
from gaze.models.config import RANDOM, HeadsConfig, ModelConfig, PreferenceConfig
from gaze.models.finalizer import STRIDE, Finalizer
from gaze.models.heads import HeadsReadout
from gaze.models.preference import PreferenceReadout
from gaze.models.readout import Readout, factors


class GazeNetwork(nn.Module):
    """Predicts where people look: photographs in, log densities out.

    Attributes:
        config: the `ModelConfig` it was built from; it travels with every checkpoint.
        heads: says where heads are; None where the network does not.
        preference: says which crops people prefer; None where the network does not.
    """

    def __init__(
        self, config: ModelConfig, backbone: Backbone, readout: Readout, finalizer: Finalizer,
        heads: HeadsReadout | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = config
        self.backbone, self.readout, self.finalizer, self.heads = backbone, readout, finalizer, heads
        self.preference: PreferenceReadout | None = None

    def forward(self, images: Tensor) -> Tensor:
        """uint8 RGB images, B x H x W x 3, to natural-log densities, float32 B x H/4 x W/4; exp sums to 1 each.

        H and W are multiples of `config.input.multiple`.
        """
        taps = self.backbone(images)
        joined = self.readout.join(taps)
        if isinstance(images, fx.Proxy):  # a trace is to see all that reads maps; another run need not pay for it
            self._others(taps, joined)
        return self._density(joined, images)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the heads: float32 B x 5 x h x w (`gaze.models.heads`), at the size of a tap."""
        taps = self.backbone(images)
        joined = self.readout.join(taps)
        return self._density(joined, images), self._heads(taps, joined).float()

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """All that the network says, by the names of an exported file: `log_density`, `heads` and `preference`.

        The last is float32 B x 2 x h x w (`gaze.framing.preference`), at the size of the finest tap.
        """
        taps = self.backbone(images)
        joined = self.readout.join(taps)
        return {"log_density": self._density(joined, images)} | self._others(taps, joined)

    def _others(self, taps: list[Tensor], joined: Tensor) -> dict[str, Tensor]:
        heads = {} if self.heads is None else {"heads": self._heads(taps, joined).float()}
        return heads if self.preference is None else heads | {"preference": self.preference.maps(taps).float()}

    def _density(self, joined: Tensor, images: Tensor) -> Tensor:
        size = (images.shape[1] // STRIDE, images.shape[2] // STRIDE)
        return self.finalizer(self.readout.read(joined)[:, 0].float(), size)

    def _heads(self, taps: list[Tensor], joined: Tensor) -> Tensor:
        assert self.heads is not None
        assert self.config.heads is not None
        return self.heads([joined] if self.config.heads.shared else taps)

    def add_heads(self, config: HeadsConfig) -> None:
        """Gives the network, pruned or not, a heads readout with random weights."""
        self.heads = _build_heads(self.backbone, self.readout, config)
        self.heads.to(next(self.parameters()).device)
        self.config = replace(self.config, heads=config)

    def add_preference(self, config: PreferenceConfig) -> None:
        """Gives the network, pruned or not, a preference readout that prefers nothing yet."""
        self.preference = PreferenceReadout(self.backbone.channels, config.reduce, config.channels)
        self.preference.to(next(self.parameters()).device)
        self.config = replace(self.config, preference=config)

    def fix_factors(self) -> None:
        """Has maps enlarged by numbers, where these are the same for every image that the network may see."""
        strides = self.backbone.fixed_strides(self.config.input.multiple)
        self.readout.factors = factors(strides)
        (self.finalizer.factor,) = factors(strides[:1], STRIDE)
        if self.heads is not None and self.config.heads is not None and not self.config.heads.shared:
            self.heads.factors = factors(strides[self.heads.skipped :])
        if self.preference is not None:
            self.preference.factors = factors(strides)


def build_network(config: ModelConfig, *, load_weights: bool = True) -> GazeNetwork:
    """Builds the network that `config` describes; `load_weights=False` leaves the backbone random (for checkpoints).

    Raises:
        ConfigError: a value of the configuration makes no sense.
        ModelError: see `build_backbone`.
    """
    check_settings(config)
    backbone = build_backbone(config.backbone if load_weights else replace(config.backbone, weights=RANDOM))
    readout = Readout(backbone.channels, config.readout.reduce, config.readout.channels)
    rows, columns = config.finalizer.center_bias
    heads = _build_heads(backbone, readout, config.heads) if config.heads else None
    network = GazeNetwork(config, backbone, readout, Finalizer(config.finalizer.sigma, (rows, columns)), heads)
    if config.preference is not None:
        network.add_preference(config.preference)
    return network


def _build_heads(backbone: Backbone, readout: Readout, config: HeadsConfig) -> HeadsReadout:
    if config.shared:
        return HeadsReadout([readout.joined], None, config.channels)
    return HeadsReadout(backbone.channels, config.reduce, config.channels, config.taps)
