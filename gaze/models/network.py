"""A gaze network: backbone, readout and finalizer wired together."""

from dataclasses import replace

from torch import Tensor, nn

from gaze.errors import check_settings
from gaze.models.backbone import Backbone, build_backbone
from gaze.models.config import RANDOM, ModelConfig
from gaze.models.finalizer import STRIDE, Finalizer
from gaze.models.readout import Readout


class GazeNetwork(nn.Module):
    """Predicts where people look: photographs in, log densities out.

    Attributes:
        config: the `ModelConfig` it was built from; it travels with every checkpoint.
    """

    def __init__(self, config: ModelConfig, backbone: Backbone, readout: Readout, finalizer: Finalizer) -> None:
        super().__init__()
        self.config = config
        self.backbone, self.readout, self.finalizer = backbone, readout, finalizer

    def forward(self, images: Tensor) -> Tensor:
        """uint8 RGB images, B x H x W x 3, to natural-log densities, float32 B x H/4 x W/4; exp sums to 1 each.

        H and W are multiples of `config.input.multiple`.
        """
        size = (images.shape[1] // STRIDE, images.shape[2] // STRIDE)
        return self.finalizer(self.readout(self.backbone(images)).float(), size)


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
    return GazeNetwork(config, backbone, readout, Finalizer(config.finalizer.sigma, (rows, columns)))
