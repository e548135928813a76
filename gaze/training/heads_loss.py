"""What the heads readout is trained to say, and how far it is from that."""

import torch
import torch.nn.functional as F
from torch import Tensor

BOX_SHARE = 0.5
"""Of the loss on the boxes, beside that on whether there is a head."""

GAZE_SHARE = 0.5
"""By how much the weight of a cell follows the gaze on it; the rest is even."""

LEAST_IOU = 1e-4
LARGEST = 10.0  # natural logarithm of a distance in cells; of one that is taught also the least, negative


def head_targets(heads: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """What each cell is to say.

    Of two heads that a cell's center lies in, it tells of the one whose middle is nearer.

    Args:
        heads: B x M x 5, see `gaze.data.heads.HEAD`; rows of NaN are none.
        size: rows and columns of the cells, h and w.

    Returns:
        inside: bool B x h x w, whether the center lies in a head that counts.
        ignored: likewise, whether it lies in none of these but in one that does not.
        sides: B x 4 x h x w, the distances to left, top, right and bottom in cells; 1 where there is no head.
    """
    rows, columns = size
    left, top, right, bottom, counted = heads[..., None, None].unbind(2)
    left, right, top, bottom = left * columns, right * columns, top * rows, bottom * rows
    x = (torch.arange(columns, device=heads.device) + 0.5)[None, None, None]
    y = (torch.arange(rows, device=heads.device) + 0.5)[None, None, :, None]
    distances = torch.stack(torch.broadcast_tensors(x - left, y - top, right - x, bottom - y))
    within = (distances > 0).all(0)
    off = torch.maximum(abs(x - (left + right) / 2) / (right - left), abs(y - (top + bottom) / 2) / (bottom - top))
    nearest, chosen = off.where(within & (counted == 1), torch.inf).min(1)
    inside = nearest.isfinite()
    sides = distances.gather(2, chosen[None, :, None].expand(4, -1, -1, -1, -1))[:, :, 0].transpose(0, 1)
    return inside, within.any(1) & ~inside, sides.where(inside[:, None], 1.0)


def heads_loss(output: Tensor, heads: Tensor, density: Tensor) -> Tensor:
    """Cross-entropy of the logits, and half of -ln IoU of the boxes of cells in heads: Tian et al. 2019 (FCOS).

    The second is that of Yu et al. 2016 (UnitBox), equation 3. Both are means over the cells of an image, weighted half
    evenly and half by the gaze on them: a head counts for as much as people look at it.

    Args:
        output: B x 5 x h x w, see `gaze.models.heads`.
        heads: B x M x 5, see `head_targets`.
        density: B x rows x columns, the gaze on the same images.

    Returns:
        B values, lower is better.
    """
    size = (output.shape[2], output.shape[3])
    inside, ignored, sides = head_targets(heads, size)
    weight = _weight(density, size)
    there = F.binary_cross_entropy_with_logits(output[:, 0], inside.to(output), reduction="none")
    boxes = -_iou(output[:, 1:].clamp(max=LARGEST).exp(), sides).clamp(min=LEAST_IOU).log()
    return _mean(there, weight * ~ignored) + BOX_SHARE * _mean(boxes, weight * inside)


def said_of_heads(output: Tensor) -> Tensor:
    """What a heads readout says, in terms that fit any grid of cells, for another network to learn from.

    Args:
        output: B x 5 x h x w, see `gaze.models.heads`.

    Returns:
        B x 5 x h x w: the probability, 0 to 1, and the distances to left, top, right and bottom as shares of the
        image's width and height.
    """
    rows, columns = output.shape[2:]
    cells = torch.tensor([columns, rows, columns, rows], device=output.device)[None, :, None, None]
    return torch.cat([output[:, :1].sigmoid(), output[:, 1:].clamp(-LARGEST, LARGEST).exp() / cells], 1)


def taught_heads_loss(output: Tensor, taught: Tensor, density: Tensor) -> Tensor:
    """`heads_loss` on what another network says in place of labels: Hinton et al. 2015 (arXiv 1503.02531), section 2.

    A cell's box counts by the probability that it lies in a head.

    Args:
        output: B x 5 x h x w, see `gaze.models.heads`.
        taught: B x 5 x rows x columns of any grid, see `said_of_heads`.
        density: B x rows x columns of any grid, the gaze on the same images.

    Returns:
        B values, lower is better.
    """
    rows, columns = size = (output.shape[2], output.shape[3])
    taught = F.interpolate(taught.detach(), size=size, mode="bilinear")
    cells = torch.tensor([columns, rows, columns, rows], device=output.device)[None, :, None, None]
    weight, probability = _weight(density, size), taught[:, 0]
    there = F.binary_cross_entropy_with_logits(output[:, 0], probability, reduction="none")
    boxes = -_iou(output[:, 1:].clamp(-LARGEST, LARGEST).exp(), taught[:, 1:] * cells).clamp(min=LEAST_IOU).log()
    return _mean(there, weight) + BOX_SHARE * _mean(boxes, weight * probability)


def _weight(density: Tensor, size: tuple[int, int]) -> Tensor:
    """Of each cell, half even and half by the gaze on it: B x h x w, mean 1."""
    gaze = F.interpolate(density.detach()[:, None], size=size, mode="area")[:, 0]
    return 1 - GAZE_SHARE + GAZE_SHARE * gaze / gaze.mean((1, 2), keepdim=True)


def _iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes around the same point, by the distances B x 4 x h x w to their sides."""
    common = torch.minimum(one, other)
    both, first, second = ((b[:, 0] + b[:, 2]) * (b[:, 1] + b[:, 3]) for b in (common, one, other))
    return both / (first + second - both)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of each image, 0 where nothing counts."""
    return (values * weights).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1e-6)
