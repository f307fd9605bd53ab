"""Soft Dice by hand, at its limits, and what it refuses."""

import pytest
import torch

from kolbench.models.losses.bce import probability_cross_entropy
from kolbench.models.losses.dice import soft_dice


def test_dice_by_hand():
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    half = torch.tensor([[[[0.5, 1.0], [0.5, 0.0]]]])
    # sum(p t) = 1.5, sum(p) = sum(t) = 2
    assert soft_dice(half, target, smooth=0).item() == pytest.approx(1 - 3 / 4)
    assert soft_dice(half, target).item() == pytest.approx(1 - 4 / 5)
    # each picture counts alike: 0 and 1 - 1 / (2 + 0 + 1)
    both = torch.cat((target, torch.zeros_like(target)))
    found = soft_dice(torch.cat((target, target)), both)
    assert found.item() == pytest.approx((0 + 2 / 3) / 2)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_limits_of_dice(smooth):
    full, empty = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    left = full.clone()
    left[..., 2:] = 0
    assert soft_dice(empty, empty, smooth).item() == 0
    assert soft_dice(full, full, smooth).item() == 0
    assert soft_dice(left, left, smooth).item() == 0
    disjoint = soft_dice(left, 1 - left, smooth).item()
    assert disjoint == pytest.approx(1 - smooth / (16 + smooth))
    assert soft_dice(full.half(), full.half(), smooth).dtype == torch.float32


def test_dice_has_a_gradient_where_the_target_is_empty():
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    soft_dice(logits.sigmoid(), torch.zeros(1, 1, 4, 4)).backward()
    assert (logits.grad > 0).all()


def test_dice_and_cross_entropy_refuse_other_shapes():
    for loss in (soft_dice, probability_cross_entropy):
        with pytest.raises(ValueError, match="shapes differ"):
            loss(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 5))
