"""The finalizer: upsample, blur, add the centre bias, normalise."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gaze.models.readout import enlarged

STRIDE = 4  # pixels of the network's input a cell of the log density covers, each way
RADIUS = 16  # cells that the blur reaches each way while it is learned


class Finalizer(nn.Module):
    """log p(x, y | image) = log softmax(G_sigma * r(x, y) + b(x, y)): Kuemmerer et al. 2016 (DeepGaze II), section 2.1.

    Args:
        sigma: standard deviation of the blur before training, in cells.
        center_bias: rows and columns of the learned log centre bias b, stretched over the image whatever its size.

    Attributes:
        reach: cells that the blur reaches each way.
        factor: cells of the density on a cell of the readout, each way, where that is the same for every image; None:
            to be found from the sizes.
    """

    untraced = True  # for pruning: it reads the readout's last map, which stays

    def __init__(self, sigma: float, center_bias: tuple[int, int]) -> None:
        super().__init__()
        self.reach = RADIUS
        self.factor: int | None = None
        self.log_sigma = nn.Parameter(torch.tensor(float(sigma)).log())
        self.center_bias = nn.Parameter(torch.zeros(center_bias))

    def kernel(self) -> Tensor:
        """The sampled Gaussian, 2 reach + 1 taps that sum to 1."""
        at = torch.arange(-self.reach, self.reach + 1, dtype=self.log_sigma.dtype, device=self.log_sigma.device)
        return torch.softmax(-0.5 * (at / self.log_sigma.exp()) ** 2, 0)

    def forward(self, readout: Tensor, size: tuple[int, int]) -> Tensor:
        """A readout, B x h x w, to a log density, B x height x width: natural log, exp sums to 1 over each map."""
        x = enlarged(readout[:, None], size, self.factor)
        kernel = self.kernel()
        x = F.pad(x, (self.reach,) * 4, mode="replicate")
        x = F.conv2d(F.conv2d(x, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))
        x = x[:, 0] + F.interpolate(self.center_bias[None, None], size=size, mode="bilinear")[0]
        return x.flatten(1).log_softmax(1).unflatten(1, size)
