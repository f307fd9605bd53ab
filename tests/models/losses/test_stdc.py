"""STDC-Seg's losses by hand: which pixels are hard, where there is detail, what it costs."""

import math

import numpy as np
import pytest
import torch

from kolbench.models.losses.stdc import detail_losses, detail_target, ohem_cross_entropy


def logits_for(probabilities):
    """One row of foreground pixels whose true class has these probabilities."""
    p = torch.tensor(probabilities)
    return torch.stack((torch.zeros_like(p), (p / (1 - p)).log()))[None, :, None]


@pytest.mark.parametrize("hard", [[0.5], [0.5, 0.6], [0.5, 0.6, 0.2]])
def test_hard_pixels_or_the_costliest_sixteenth(hard):
    easy = [0.8, *[0.9] * (31 - len(hard))]
    mask = torch.ones(1, 1, 1, 32)
    # of 32 pixels at least 2 count, here the hard one and the costliest of the others
    counted = hard if len(hard) >= 2 else [*hard, 0.8]
    expected = -sum(math.log(p) for p in counted) / len(counted)
    found = ohem_cross_entropy(logits_for([*easy, *hard]), mask)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_threshold_is_a_probability():
    logits, mask = logits_for([0.69, 0.71, 0.9, 0.95]), torch.ones(1, 1, 1, 4)
    assert ohem_cross_entropy(logits, mask).item() == pytest.approx(-math.log(0.69), rel=1e-5)
    both = -(math.log(0.69) + math.log(0.71)) / 2
    assert ohem_cross_entropy(logits, mask, threshold=0.8).item() == pytest.approx(both, rel=1e-5)
    assert ohem_cross_entropy(logits, 1 - mask).item() == pytest.approx(
        -sum(math.log(1 - p) for p in (0.69, 0.71, 0.9, 0.95)) / 4, rel=1e-5
    )


def test_detail_of_single_pixels_by_hand():
    # strides 2 and 4 look at every second and fourth pixel from 0 on
    mask, expected = torch.zeros(3, 1, 12, 12), torch.zeros(3, 1, 12, 12)
    mask[0, 0, 3, 3] = expected[0, 0, 3, 3] = 1
    mask[1, 0, 6, 6] = 1
    expected[1, 0, 6:8, 6:8] = 1
    # stride 4 sees this one too, but its weight alone is not above the threshold
    mask[2, 0, 4, 4] = 1
    expected[2, 0, 4:6, 4:6] = 1
    assert torch.equal(detail_target(mask), expected)


def test_detail_written_out():
    mask = torch.zeros(2, 1, 16, 24)
    mask[0, 0, 5:, 3:14] = 1
    mask[1, 0] = (torch.rand(16, 24, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    found = detail_target(mask)
    for picture in range(2):
        padded = np.pad(mask[picture, 0].numpy(), 1)
        fused = np.zeros((16, 24))
        for stride, tenths in ((1, 6), (2, 3), (4, 1)):
            for y in range(0, 16, stride):
                for x in range(0, 24, stride):
                    window = padded[y : y + 3, x : x + 3]
                    if 9 * window[1, 1] > window.sum():
                        fused[y : y + stride, x : x + stride] += tenths
        assert np.array_equal(found[picture, 0].numpy(), fused > 1)
    # the lower end of the frame is an edge, the inside is none
    assert found[0, 0, 15, 6] == 1
    assert found[0, 0, 9, 8] == 0


def test_detail_losses_by_hand():
    logits = torch.tensor([[[[math.log(3), 0.0], [0.0, -math.log(3)]]]])
    target = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    bce, dice = detail_losses(logits, target)
    assert bce.item() == pytest.approx((2 * math.log(4 / 3) + 2 * math.log(2)) / 4)
    # p = 3/4, 1/2, 1/2, 1/4: sum(p t) = 5/4, sum(p) = sum(t) = 2
    assert dice.item() == pytest.approx(1 - (2.5 + 1) / (2 + 2 + 1))
