import math

import numpy as np
import pytest
import torch

from gaze.training.heads_loss import head_targets, heads_loss, said_of_heads, taught_heads_loss


def boxes(*rows: tuple[float, float, float, float, int]) -> torch.Tensor:
    return torch.tensor([[*rows, (math.nan,) * 5]])


def some_heads(seed: int, count: int = 6) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.random((2, count, 2, 2)), axis=2).reshape(2, count, 4)
    rows = np.concatenate([ends, rng.random((2, count, 1)) < 0.7], axis=2)
    rows[1, 3:] = np.nan
    return torch.from_numpy(rows.astype(np.float32))


def brute_force(heads: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell by cell and head by head."""
    rows, columns = size
    inside, ignored = np.zeros((len(heads), *size), bool), np.zeros((len(heads), *size), bool)
    sides = np.ones((len(heads), 4, *size))
    for b, image in enumerate(heads.numpy()):
        for row in range(rows):
            for column in range(columns):
                x, y, nearest = (column + 0.5) / columns, (row + 0.5) / rows, np.inf
                for left, top, right, bottom, counted in image:
                    if not (left < x < right and top < y < bottom):
                        continue
                    if not counted:
                        ignored[b, row, column] = True
                        continue
                    off = max(
                        abs(x - (left + right) / 2) / (right - left), abs(y - (top + bottom) / 2) / (bottom - top)
                    )
                    if off < nearest:
                        nearest, inside[b, row, column] = off, True
                        away = (x - left) * columns, (y - top) * rows, (right - x) * columns, (bottom - y) * rows
                        sides[b, :, row, column] = away
    return inside, ignored & ~inside, sides


@pytest.mark.parametrize("seed", range(4))
def test_targets_equal_brute_force(seed):
    heads = some_heads(seed)
    for found, expected in zip(head_targets(heads, (9, 12)), brute_force(heads, (9, 12)), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def told(heads: torch.Tensor, size: tuple[int, int], sure: float = 20.0) -> torch.Tensor:
    """The output that says exactly what is labelled."""
    inside, _, sides = head_targets(heads, size)
    return torch.cat([sure * (2 * inside[:, None].float() - 1), sides.log()], dim=1)


EVEN = torch.full((1, 18, 24), 1 / (18 * 24))


def test_what_says_the_truth_has_no_loss():
    heads = boxes((0.1, 0.2, 0.5, 0.8, 1), (0.4, 0.1, 0.9, 0.6, 1), (0.0, 0.85, 0.1, 1.0, 0))
    assert heads_loss(told(heads, (9, 12)), heads, EVEN).item() == pytest.approx(0, abs=1e-5)


def test_the_loss_is_cross_entropy_and_half_of_the_logarithm_of_iou():
    heads = boxes((0, 0, 1, 1, 1))
    output = torch.zeros(1, 5, 9, 12)
    output[:, 1:] = (head_targets(heads, (9, 12))[2] * 2).log()  # twice as wide and as high
    assert heads_loss(output, heads, EVEN).item() == pytest.approx(math.log(2) + 0.5 * math.log(4), abs=1e-5)


def test_cells_of_small_heads_do_not_count():
    heads = boxes((0, 0, 1, 1, 0))
    for logit in (-9.0, 9.0):
        output = torch.full((1, 5, 9, 12), logit)
        assert heads_loss(output, heads, EVEN).item() == pytest.approx(0, abs=1e-6)


def test_half_of_a_cell_s_weight_follows_the_gaze():
    none, density = boxes(), torch.zeros(1, 18, 24)
    density[:, :9, :12] = 1 / (9 * 12)  # the top left quarter
    output = torch.full((1, 5, 9, 12), -20.0)
    output[:, 0, :4, :6] = 0.0  # wrong by ln 2 there, of whose 108 cells 24 have 1/2 + 1/2 x 4 each, on average
    share = output[0, 0].eq(0).float()
    gaze = torch.nn.functional.interpolate(density[None], size=(9, 12), mode="area")[0, 0]
    weight = 0.5 + 0.5 * gaze / gaze.mean()
    expected = math.log(2) * (share * weight).sum() / weight.sum()
    assert heads_loss(output, none, density).item() == pytest.approx(expected.item(), rel=1e-4)


def test_images_do_not_see_each_other_and_no_gradient_is_nan():
    heads = some_heads(7)
    output = torch.randn(2, 5, 9, 12, requires_grad=True)
    output.data[:, 1:] += 40.0  # further than any image is wide
    density = torch.rand(2, 18, 24)
    both = heads_loss(output, heads, density)
    for k in range(2):
        one = heads_loss(output[k : k + 1], heads[k : k + 1], density[k : k + 1])
        torch.testing.assert_close(both[k : k + 1], one)
    both.sum().backward()
    assert torch.isfinite(output.grad).all()
    assert torch.isfinite(both).all()


def test_what_repeats_another_has_the_least_loss():
    heads = boxes((0.1, 0.2, 0.5, 0.8, 1), (0.4, 0.1, 0.9, 0.6, 1))
    sure = told(heads, (9, 12))
    assert taught_heads_loss(sure, said_of_heads(sure), EVEN).item() == pytest.approx(0, abs=1e-5)
    output = told(heads, (9, 12), sure=1.5).requires_grad_()
    taught_heads_loss(output, said_of_heads(output), EVEN).sum().backward()
    torch.testing.assert_close(output.grad[:, 0], torch.zeros(1, 9, 12))


def test_a_sure_teacher_teaches_what_labels_do():
    heads = boxes((0.1, 0.2, 0.5, 0.8, 1), (0.4, 0.1, 0.9, 0.6, 1))
    output, density = torch.randn(1, 5, 9, 12), torch.rand(1, 18, 24)
    taught = said_of_heads(told(heads, (9, 12), sure=40.0))
    torch.testing.assert_close(taught_heads_loss(output, taught, density), heads_loss(output, heads, density))


def test_a_box_counts_by_the_probability_of_its_cell():
    output = torch.zeros(1, 5, 9, 12)
    taught = said_of_heads(output)
    taught[:, 1:] *= 2  # twice as wide and as high
    taught[:, 0] = 0.0
    assert taught_heads_loss(output, taught, EVEN).item() == pytest.approx(math.log(2), abs=1e-5)
    taught[:, 0, :, :6] = 1.0
    expected = math.log(2) + 0.5 * math.log(4)
    assert taught_heads_loss(output, taught, EVEN).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("distance", [-90.0, 90.0])
def test_boxes_of_no_size_or_none_that_ends_are_no_nan(distance):
    output = torch.full((1, 5, 9, 12), distance, requires_grad=True)
    taught_heads_loss(output, said_of_heads(output), EVEN).sum().backward()
    assert torch.isfinite(output.grad).all()
    assert torch.isfinite(taught_heads_loss(output, said_of_heads(output), EVEN)).all()


def test_what_is_said_fits_any_grid():
    heads = boxes((0.0, 0.0, 1.0, 1.0, 1))
    fine = said_of_heads(told(heads, (18, 24)))
    assert taught_heads_loss(told(heads, (9, 12)), fine, EVEN).item() == pytest.approx(0, abs=1e-4)
