"""Two output channels: which is the foreground, and what a pixel costs."""

import math

import pytest
import torch

from kolbench.models.losses.two_class import cross_entropy, foreground_probability, pixel_cross_entropy


def logits_of(pairs):
    """One row of pixels from (background, foreground) logits."""
    return torch.tensor(pairs).T[None, :, None]


def test_channel_1_is_the_foreground():
    logits = logits_of([[0.0, math.log(3)], [2.0, 2.0], [math.log(9), 0.0]])
    probability = foreground_probability(logits)
    assert probability.shape == (1, 1, 1, 3)
    assert probability.flatten().tolist() == pytest.approx([0.75, 0.5, 0.1])
    assert foreground_probability(logits.half()).dtype == torch.float32


def test_cross_entropy_by_hand():
    logits = logits_of([[0.0, math.log(3)], [0.0, math.log(3)], [5.0, 5.0]])
    mask = torch.tensor([[[[1.0, 0.0, 1.0]]]])
    each = [math.log(4 / 3), math.log(4), math.log(2)]
    assert pixel_cross_entropy(logits, mask).flatten().tolist() == pytest.approx(each)
    assert cross_entropy(logits, mask).item() == pytest.approx(sum(each) / 3)
    assert cross_entropy(logits.bfloat16(), mask).dtype == torch.float32
