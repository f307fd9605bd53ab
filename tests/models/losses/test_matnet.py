"""MATNet's loss: golden values, boundaries on both sides of an edge, and what of the background is hard."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kolbench.models.losses import matnet as losses


def test_golden_errors():
    logits, target, hardness = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    target[..., :2] = 1
    hardness[..., 0] = 0.5
    error = losses.weighted_error(logits, target, hardness)
    assert float(error) == pytest.approx(1.125 * math.log(2), abs=1e-6)
    assert float(error + losses.BOUNDARY_WEIGHT * 5 * error) == pytest.approx(1.559581, abs=1e-6)


def square(rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, 60, 60)
    mask[..., rows, columns] = 1
    return mask


def disk() -> Tensor:
    y, x = np.mgrid[:64, :64]
    return torch.from_numpy(((y - 32) ** 2 + (x - 32) ** 2 <= 400).astype(np.float32))[None, None]


@pytest.mark.parametrize(
    ("mask", "radius", "pixels", "inside"),
    [
        (square(slice(10, 30), slice(10, 30)), 2, 308, 144),
        (square(slice(10, 30), slice(10, 30)), 1, 156, 76),
        (disk(), 2, 456, 220),
        (disk(), 1, 228, 112),
        # the picture's end is no edge
        (square(slice(0, 20), slice(10, 30)), 2, 234, 112),
        (square(slice(0, 20), slice(10, 30)), 1, 118, 58),
        (torch.ones(1, 1, 60, 60), 2, 0, 0),
        (torch.zeros(1, 1, 60, 60), 2, 0, 0),
    ],
)
def test_golden_boundaries(mask, radius, pixels, inside):
    found = losses.boundary_target(mask, radius)
    assert (int(found.sum()), int((found * mask).sum())) == (pixels, inside)


def test_golden_hard_background():
    mask = square(slice(10, 30), slice(10, 30))
    everywhere = torch.ones_like(mask)
    assert int(losses.away_from(everywhere, mask, 11, 1).sum()) == 2_700
    spread = losses.away_from(everywhere, mask, 11, 5)
    assert int(spread.sum()) == 2_924
    assert not (spread * losses.boundary_target(mask, 2)).any()


def test_hard_background_has_edges_of_its_own_and_is_1_at_the_strongest():
    image = torch.full((2, 3, 60, 60), 0.5)
    image[0, :, 40:, :] = 0.9
    mask = square(slice(5, 20), slice(5, 20)).repeat(2, 1, 1, 1)
    boundary = losses.boundary_target(mask, 1)
    found = losses.hard_background(image, mask, boundary)
    assert float(found[0].max()) == 1
    assert found[0, 0, 39:41].min() > 0.9
    assert found[0, 0, :30].max() < 1e-5
    # a picture without any edge
    assert not found[1].any()


def test_edges_are_lengths_of_the_gradient():
    ramp = torch.arange(20.0).expand(3, 20, 20)[None] / 100
    # Sobel's weights sum to 8 for a difference of two pixels
    inner = losses.edges(ramp)[..., 5:15, 5:15]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.08))


def test_distances_follow_the_size():
    small, published = torch.zeros(1, 1, 192, 320), torch.zeros(1, 1, 480, 854)
    assert [losses.radius_at(mask) for mask in (small, published)] == [1, 2]
    assert [losses.window(5, mask) for mask in (small, published)] == [5, 11]
    assert [losses.window(2, mask) for mask in (small, published)] == [3, 5]
