"""The two parts behind the backbone, each against the formula written out."""

import numpy as np
import torch
from scipy.ndimage import correlate1d

from gaze.models.finalizer import RADIUS, Finalizer
from gaze.models.readout import Readout


def test_readout_is_the_same_function_of_every_pixel():
    torch.manual_seed(0)
    readout = Readout([5], None, [4, 3, 1])
    features = torch.randn(2, 5, 6, 7)
    x = features.permute(0, 2, 3, 1)
    for i, layer in enumerate(readout.layers):
        x = torch.relu(x) if i else x
        x = x @ layer.weight[:, :, 0, 0].T + layer.bias
    torch.testing.assert_close(readout([features]), x[..., 0])


def test_reducing_commutes_with_the_upsampling():
    torch.manual_seed(0)
    readout = Readout([6, 8], 3, [2, 1])
    fine, coarse = torch.randn(1, 6, 8, 12), torch.randn(1, 8, 4, 6)
    upsampled = torch.nn.functional.interpolate(coarse, size=(8, 12), mode="bilinear")
    torch.testing.assert_close(readout([fine, coarse]), readout([fine, upsampled]), rtol=1e-4, atol=1e-5)


def test_finalizer_is_log_softmax_of_blur_plus_center_bias():
    torch.manual_seed(0)
    finalizer = Finalizer(1.5, (12, 16))
    torch.nn.init.normal_(finalizer.center_bias)
    readout = torch.randn(2, 12, 16)
    at = np.arange(-RADIUS, RADIUS + 1)
    kernel = np.exp(-0.5 * (at / 1.5) ** 2)
    kernel /= kernel.sum()
    for image, got in zip(readout.numpy(), finalizer(readout, (12, 16)).detach().numpy(), strict=True):
        blurred = correlate1d(correlate1d(image, kernel, axis=0, mode="nearest"), kernel, axis=1, mode="nearest")
        logits = blurred + finalizer.center_bias.detach().numpy()
        np.testing.assert_allclose(got, logits - np.log(np.exp(logits).sum()), atol=1e-5)


def test_every_size_gives_a_density():
    finalizer = Finalizer(2.0, (12, 16))
    for size in ((60, 80), (80, 60), (4, 4), (33, 7)):
        density = finalizer(torch.randn(1, 5, 5), size).exp()
        assert density.shape == (1, *size)
        torch.testing.assert_close(density.sum(), torch.tensor(1.0))


def test_blur_and_center_bias_learn():
    finalizer = Finalizer(2.0, (3, 4))
    finalizer(torch.randn(1, 5, 5), (20, 20))[0, 3, 4].backward()
    assert finalizer.log_sigma.grad.abs() > 0
    assert finalizer.center_bias.grad.abs().sum() > 0
